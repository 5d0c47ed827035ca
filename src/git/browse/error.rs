//! Errors of browsing.

use git2::{ErrorClass, ErrorCode};

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
    /// Returns whether another read of the same object fails alike: the object does not exist, is
    /// too large or is malformed. Any other failure, such as one of the disk, may end.
    pub fn is_lasting(&self) -> bool {
        // Errors of NetBit itself about an object have no class of libgit2.
        !matches!(self, Self::Failed(error) if error.class() != ErrorClass::None)
    }

    /// Returns a function for `map_err`: "not found" becomes [`Self::NotFound`] with the noun, any
    /// other error [`Self::Failed`].
    pub(super) fn missing(noun: &'static str) -> impl Fn(git2::Error) -> Self {
        move |error| match error.code() {
            ErrorCode::NotFound => Self::NotFound(noun),
            _ => Self::Failed(error),
        }
    }
}
