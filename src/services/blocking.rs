//! Work that would block an event loop: files, libgit2, large pushes.

use super::ServiceError;
use crate::protocol::code::Code;

/// Runs `work` on a blocking thread. Dropping the future does not stop the work.
///
/// # Errors
/// `internal` if the work panicked.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ServiceError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| ServiceError::new(Code::Internal, error.to_string()))
}
