//! Errors of browsing.

use git2::ErrorCode;

/// The reason of a failure. The caller maps it to an HTTP status.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum BrowseError {
    #[error("no such {0}")]
    NotFound(&'static str),
    #[error("{0}")]
    BadRequest(&'static str),
    #[error("{0}")]
    TooLarge(&'static str),
    /// An empty ref requested the default branch, which has no commit yet.
    #[error("the repository has no commit on its default branch yet")]
    Empty,
    /// The repository could not be read. The source is for the log only.
    #[error("the repository could not be read")]
    Failed(#[from] git2::Error),
}

impl BrowseError {
    /// Returns a function for `map_err`: "not found" becomes [`Self::NotFound`] with the noun, any
    /// other error [`Self::Failed`].
    pub(super) fn missing(noun: &'static str) -> impl Fn(git2::Error) -> Self {
        move |error| match error.code() {
            ErrorCode::NotFound => Self::NotFound(noun),
            _ => Self::Failed(error),
        }
    }
}
