//! The handle of the search actor.

use super::actor::SearchActor;
use super::messages::{CompareIndex, FindMessages, FoundCandidates, IndexComparison};
use crate::actors::error::QueryError;
use crate::core::actor::{Gate, Mailbox};
use crate::domain::access::Credential;

/// Sends searches to the search actor. Cheap to clone.
#[derive(Clone)]
pub struct SearchHandle {
    mailbox: Mailbox<SearchActor>,
    gate: Gate,
}

impl SearchHandle {
    pub fn new(mailbox: Mailbox<SearchActor>, gate: Gate) -> Self {
        Self { mailbox, gate }
    }

    /// Finds messages that meet conditions. The caller checks permissions and contents.
    pub async fn find(&self, who: Credential, query: FindMessages) -> Result<FoundCandidates, QueryError> {
        self.mailbox.ask(&self.gate, who, query).await
    }

    /// Brings the index up to date and compares it with the database.
    pub async fn compare(&self) -> Result<IndexComparison, QueryError> {
        self.mailbox.ask_ungated(CompareIndex).await
    }
}
