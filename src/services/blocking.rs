//! Work that would block an event loop: files, libgit2, large pushes.

use tracing::Span;

use super::ServiceError;

/// Runs `work` on a blocking thread, in the span of the caller. Dropping the future does not stop
/// the work.
///
/// # Errors
/// `internal` if the work panicked.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ServiceError> {
    let span = Span::current();
    let done = tokio::task::spawn_blocking(move || span.in_scope(work)).await;
    done.map_err(ServiceError::internal)
}
