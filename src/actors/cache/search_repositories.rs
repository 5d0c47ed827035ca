//! The repositories that a user may search.

use std::collections::HashSet;
use std::sync::Arc;

use super::projects::ProjectState;
use super::queries::{Query, QueryContext, QueryOutcome, user_of};
use crate::domain::access::{Credential, RequiredScope, Subject};
use crate::domain::ids::{ProjectId, RepositoryId};
use crate::domain::name;
use crate::domain::permission::project::{self as permission, Act};
use crate::domain::repository::Repository;

/// The repositories that the caller may read now. A token needs the scope that reading them needs.
pub struct SearchRepositories {
    /// Only repositories with these names, `user/project/name` or the end of it, in lower case;
    /// empty: all.
    pub names: Vec<String>,
    /// Only these; `None`: all.
    pub ids: Option<HashSet<RepositoryId>>,
}

/// A repository that the caller may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchableRepository {
    /// `user/project/name`
    pub path: String,
    pub repository: Arc<Repository>,
}

impl Query for SearchRepositories {
    type Answer = Vec<SearchableRepository>;
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::Identity;

    fn answer(&self, who: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<Self::Answer> {
        QueryOutcome::Now(user_of(who).map(|user| {
            let grant = context.grant.as_ref();
            let projects = &context.read.projects;
            let searchable = |(state, repository): (&ProjectState, &Arc<Repository>)| {
                let owner = context.read.directory.username(state.project.owner_id);
                if !self.wants(owner, state, repository) {
                    return None;
                }
                let subject = Subject::Repository(repository.id);
                let role = grant.and_then(|grant| grant.cap(state.role(Some(user)), subject));
                permission::check(Act::Read, state.project.visibility, role, "repository").ok()?;
                let path = format!("{owner}/{}/{}", state.project.name, repository.name);
                Some(SearchableRepository { path, repository: repository.clone() })
            };
            match &self.ids {
                Some(ids) => {
                    ids.iter().filter_map(|id| projects.repository(*id)).filter_map(searchable).collect()
                }
                None => {
                    let states = projects.readable(Some(user), ProjectId(0), false);
                    let all =
                        states.flat_map(|state| state.repositories.values().map(move |found| (state, found)));
                    all.filter_map(searchable).collect()
                }
            }
        }))
    }
}

impl SearchRepositories {
    fn wants(&self, owner: &str, state: &ProjectState, repository: &Repository) -> bool {
        let is_named = |wanted: &String| {
            let own = [&repository.name, &state.project.name, owner].map(name::key);
            let mut parts = wanted.rsplit('/');
            let fits = own.iter().zip(parts.by_ref()).all(|(own, part)| own == part);
            // A name with more parts is that of another repository.
            fits && wanted.split('/').count() <= own.len()
        };
        self.names.is_empty() || self.names.iter().any(is_named)
    }
}
