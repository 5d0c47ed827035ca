//! Refusals: the answers "no" that the rules give, with a stable code and a sentence.

use super::user::Invalid;

/// The rule that said no. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the credentials are missing, wrong or no longer valid")]
    Unauthenticated,
    /// Also when it exists but must not be known to the caller.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    #[error("{0}")]
    Forbidden(&'static str),
    /// The login is too old for this, and no password came with the request.
    #[error("your login is too old for this: send your password in \"password\", or log in again")]
    FreshLoginRequired,
    #[error("{0}")]
    Conflict(&'static str),
    #[error("this client_id was used for another message")]
    ClientIdReused,
    #[error("too many requests; try again later")]
    RateLimited { retry_after_ms: u64 },
    /// A person was put into many chats by users who share none with them, or a user adds many such people.
    #[error(
        "too many people were added to chats by users who share no chat with them; \
         ask them to join, ask an administrator to add them, or try again later"
    )]
    TooManyAdditions { retry_after_ms: u64 },
    #[error("{field} {reason}")]
    Invalid { field: &'static str, reason: Invalid },
    #[error("{0}")]
    TooLarge(&'static str),
}

impl Refusal {
    pub fn invalid(field: &'static str, reason: &'static str) -> Self {
        Self::Invalid { field, reason: Invalid(reason) }
    }
}
