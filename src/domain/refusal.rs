//! Refusals: the negative results of rules, each with a stable code and a sentence.

use super::text::Invalid;

/// The reason of a refusal. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the credentials are missing, wrong or no longer valid")]
    Unauthenticated,
    /// Also returned when it exists but its existence must be hidden from the caller.
    #[error("{0} not found")]
    NotFound(&'static str),
    #[error("{0}")]
    Forbidden(&'static str),
    /// The login is too old for this request, and the request has no password.
    #[error("your login is too old for this: send your password in \"password\", or log in again")]
    FreshLoginRequired,
    #[error("{0}")]
    Conflict(&'static str),
    /// The value of a field is taken, such as a name.
    #[error("{sentence}")]
    Taken { field: &'static str, sentence: &'static str },
    #[error("this client_id was used for another message")]
    ClientIdReused,
    #[error("too many requests; try again later")]
    RateLimited { retry_after_ms: u64 },
    /// A user was added to many chats by users who share none with them, or a user adds many such
    /// users.
    #[error(
        "too many users were added to chats by users who share no chat with them; \
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
