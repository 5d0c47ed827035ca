//! The names of objects in the audit log, for administrators of the server.

use std::collections::{BTreeMap, BTreeSet};

use super::queries::{Query, QueryContext, QueryOutcome, user_of};
use super::token_queries::check_administrator;
use crate::domain::access::{Credential, RequiredScope};
use crate::domain::ids::{ProjectId, RepositoryId};

/// The present paths of projects and repositories. Deleted ones are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PathsToAdminister {
    pub projects: BTreeSet<ProjectId>,
    pub repositories: BTreeSet<RepositoryId>,
}

/// The paths that were found: `owner/project`, `owner/project/repository`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PathsFound {
    pub projects: BTreeMap<ProjectId, String>,
    pub repositories: BTreeMap<RepositoryId, String>,
}

impl Query for PathsToAdminister {
    type Answer = PathsFound;
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::ServerAdmin;

    fn answer(&self, who: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<PathsFound> {
        QueryOutcome::Now(user_of(who).and_then(|user| {
            check_administrator(context, user)?;
            let read = &context.read;
            let project = |id: &ProjectId| {
                let project = &read.projects.get(*id)?.project;
                Some((*id, format!("{}/{}", read.directory.username(project.owner_id), project.name)))
            };
            let repository = |id: &RepositoryId| {
                let (state, repository) = read.projects.repository(*id)?;
                let owner = read.directory.username(state.project.owner_id);
                Some((*id, format!("{owner}/{}/{}", state.project.name, repository.name)))
            };
            Ok(PathsFound {
                projects: self.projects.iter().filter_map(project).collect(),
                repositories: self.repositories.iter().filter_map(repository).collect(),
            })
        }))
    }
}
