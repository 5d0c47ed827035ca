//! The handle of the search actor.

use super::actor::SearchActor;
use super::messages::{
    CompareIndex, FindInRepositories, FindMessages, FoundCandidates, FoundInRepositories, IndexComparison,
};
use crate::actors::error::QueryError;
use crate::core::actor::{Gate, Mailbox, NamedMessage, Overloaded, Permit};
use crate::domain::access::Credential;

/// Sends searches to the search actor. Cheap to clone.
#[derive(Clone)]
pub struct SearchHandle {
    mailbox: Mailbox<SearchActor>,
    gate: Gate,
}

/// The right of a user to search once.
#[derive(Debug)]
pub struct SearchPermit(#[expect(dead_code, reason = "it is held until the search ends")] Permit);

impl SearchHandle {
    pub fn new(mailbox: Mailbox<SearchActor>, gate: Gate) -> Self {
        Self { mailbox, gate }
    }

    /// Waits until the caller has no other search, and too many others have ended. The search runs
    /// until the permit is dropped.
    ///
    /// # Errors
    /// If that takes too long.
    pub async fn begin(&self, who: Credential) -> Result<SearchPermit, Overloaded> {
        self.gate.enter(who, FindMessages::NAME).await.map(SearchPermit)
    }

    /// Finds messages that meet conditions. The caller checks permissions and contents.
    pub async fn find(&self, _: &SearchPermit, query: FindMessages) -> Result<FoundCandidates, QueryError> {
        self.mailbox.ask_ungated(query).await
    }

    /// Finds files or commits that meet conditions. The caller checks permissions and texts.
    pub async fn find_in_repositories(
        &self,
        _: &SearchPermit,
        query: FindInRepositories,
    ) -> Result<FoundInRepositories, QueryError> {
        self.mailbox.ask_ungated(query).await
    }

    /// Brings the index up to date and compares it with the database.
    pub async fn compare(&self) -> Result<IndexComparison, QueryError> {
        self.mailbox.ask_ungated(CompareIndex).await
    }
}
