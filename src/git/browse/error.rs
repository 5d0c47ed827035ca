//! Why browsing gave no answer.

use git2::ErrorCode;

/// The reason, for the caller to turn into a status.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum BrowseError {
    #[error("there is no such {0}")]
    NotFound(&'static str),
    #[error("{0}")]
    BadRequest(&'static str),
    #[error("{0}")]
    TooLarge(&'static str),
    /// The default branch was asked for by an empty ref and has no commit yet.
    #[error("the repository has no commit on its default branch yet")]
    Empty,
    /// The repository could not be read; the details are for the log.
    #[error("the repository could not be read")]
    Failed(#[from] git2::Error),
}

impl BrowseError {
    /// For `map_err`: "not found" gets its noun, anything else stays a failure.
    pub(super) fn missing(noun: &'static str) -> impl Fn(git2::Error) -> Self {
        move |error| match error.code() {
            ErrorCode::NotFound => Self::NotFound(noun),
            _ => Self::Failed(error),
        }
    }
}
