//! Queries of pushes.

use super::project_queries::{RepositoryNamed, RepositoryView, find};
use super::queries::{Query, QueryContext, QueryOutcome, user_of};
use crate::domain::access::{Credential, RequiredScope, Subject};
use crate::domain::permission::project::{self as permission, Act};
use crate::domain::refusal::Refusal;

const NOUN: &str = "repository";

/// The repository that a push goes to, where a push may create it. Existence and permission are
/// read in one query, so a repository that another push creates in between is not reported as
/// missing.
pub struct RepositoryToPush {
    pub owner: String,
    pub project: String,
    pub repository: String,
}

impl RepositoryToPush {
    /// Returns whether the repository is missing from a project that exists.
    fn is_missing(&self, context: &QueryContext<'_>) -> bool {
        find(context, &self.owner, &self.project, NOUN)
            .is_ok_and(|(state, _)| context.read.projects.repository_named(state, &self.repository).is_none())
    }

    /// Checks that the caller may create it: as owner, with a credential that may create
    /// repositories.
    fn check_create(&self, who: Option<Credential>, context: &QueryContext<'_>) -> Result<(), Refusal> {
        let user = user_of(who).map_err(|_| Refusal::NotFound(NOUN))?;
        let (state, _) = find(context, &self.owner, &self.project, NOUN)?;
        let role = state.role(Some(user));
        permission::push_to_create(role, NOUN)?;
        let grant = context.grant.as_ref().ok_or(Refusal::NotFound(NOUN))?;
        let subject = Subject::Project { chosen: context.read.projects.holds_one_of(state, grant) };
        grant.check_act(Act::Maintain, (state.project.visibility, role), subject, NOUN).map(drop)
    }
}

impl Query for RepositoryToPush {
    /// `None`: it does not exist, and the push may create it.
    type Answer = Option<RepositoryView>;
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::Identity;

    fn answer(&self, who: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<Self::Answer> {
        if self.is_missing(context) {
            return QueryOutcome::Now(self.check_create(who, context).map(|()| None));
        }
        let named = RepositoryNamed {
            owner: self.owner.clone(),
            project: self.project.clone(),
            repository: self.repository.clone(),
            act: Act::Push,
        };
        match named.answer(who, context) {
            QueryOutcome::Now(found) => QueryOutcome::Now(found.map(Some)),
            QueryOutcome::AfterFill(chat) => QueryOutcome::AfterFill(chat),
        }
    }
}
