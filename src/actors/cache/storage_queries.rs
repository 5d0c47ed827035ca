//! Queries of the server itself about where a repository is stored, and how far the cache is.

use super::project_queries::find;
use super::queries::{Query, QueryContext, QueryOutcome};
use crate::domain::access::{Credential, RequiredScope};
use crate::domain::node::NodeName;
use crate::domain::refusal::Refusal;

/// The storage node of a repository, without a check of rights. The answer must not reach a client.
pub struct StorageOf {
    pub owner: String,
    pub project: String,
    pub repository: String,
}

/// The storage node of a repository, as of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoragePlace {
    pub node: Option<NodeName>,
    pub commit_no: i64,
}

impl StoragePlace {
    pub fn is(&self, node: &NodeName) -> bool {
        self.node.as_ref() == Some(node)
    }
}

impl Query for StorageOf {
    type Answer = StoragePlace;
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::Identity;

    fn answer(&self, _: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<StoragePlace> {
        const NOUN: &str = "repository";
        let found = find(context, &self.owner, &self.project, NOUN).and_then(|(state, _)| {
            let found = context.read.projects.repository_named(state, &self.repository);
            found.map(|(repository, _)| repository.storage.clone()).ok_or(Refusal::NotFound(NOUN))
        });
        let commit_no = context.read.commit_no;
        QueryOutcome::Now(found.map(|node| StoragePlace { node, commit_no }))
    }
}

/// The newest commit that the cache has applied.
pub struct AppliedCommit;

impl Query for AppliedCommit {
    type Answer = i64;
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::Identity;

    fn answer(&self, _: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<i64> {
        QueryOutcome::Now(Ok(context.read.commit_no))
    }
}
