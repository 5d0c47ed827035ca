//! The error of queries, shared by the actors that answer them.

use crate::core::actor::{Overloaded, ReplyDropped};
use crate::domain::refusal::Refusal;

/// The reason why a query has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
    #[error("this server has lost contact to its database; try again")]
    Stale,
    #[error("the server failed to answer")]
    Internal,
}

impl From<ReplyDropped> for QueryError {
    fn from(_: ReplyDropped) -> Self {
        Self::Internal
    }
}
