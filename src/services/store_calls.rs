//! Calls of the store of files, on threads that may wait.
//!
//! A store beyond the network may answer late, or not at all. Its calls have threads of their own,
//! in a bounded number, so that all other blocking work goes on. Reads do not wait for puts.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tracing::Span;

use super::ServiceError;
use super::blocking::blocking;
use crate::blobs::BlobStore;
use crate::core::limits::Limits;
use crate::protocol::code::Code;

const BUSY: &str = "the store of files is busy; try again later";
const AWAY: &str =
    "the store of files does not work now; its operator finds the cause with netbit doctor; try again later";
/// When a client may try again, in milliseconds.
const RETRY_MS: u64 = 5_000;

/// The threads of a store, with places for its calls. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct StoreCalls {
    /// `None`: the store is on disk, and answers at once.
    threads: Option<Handle>,
    reads: Arc<Semaphore>,
    puts: Arc<Semaphore>,
    /// How long a read waits for a place, and a put.
    patience: (Duration, Duration),
}

impl StoreCalls {
    pub(super) fn of(store: &dyn BlobStore, limits: &Limits) -> Self {
        Self {
            threads: store.threads(),
            reads: Arc::new(Semaphore::new(limits.files_s3_requests)),
            puts: Arc::new(Semaphore::new(limits.files_s3_puts)),
            patience: (
                Duration::from_millis(limits.files_s3_retry_ms),
                Duration::from_millis(limits.files_s3_put_ms),
            ),
        }
    }

    /// Runs work that reads from the store. Dropping the future does not stop it.
    ///
    /// # Errors
    /// `overloaded` if no thread is free in time.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ServiceError> {
        self.run((&self.reads, self.patience.0), work).await
    }

    /// Runs work that changes the store, like [`Self::read`].
    pub(super) async fn put<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ServiceError> {
        self.run((&self.puts, self.patience.1), work).await
    }

    async fn run<T: Send + 'static>(
        &self,
        (places, patience): (&Arc<Semaphore>, Duration),
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ServiceError> {
        let Some(threads) = &self.threads else { return blocking(work).await };
        let place = tokio::time::timeout(patience, places.clone().acquire_owned()).await;
        let busy = |_| ServiceError::later(Code::Overloaded, BUSY, RETRY_MS);
        let place = place.map_err(busy)?.map_err(ServiceError::internal)?;
        let span = Span::current();
        let done = threads.spawn_blocking(move || {
            let done = span.in_scope(work);
            drop(place);
            done
        });
        done.await.map_err(ServiceError::internal)
    }
}

/// Returns the error for a store that does not work now.
pub(super) fn away(error: io::Error) -> ServiceError {
    ServiceError::later(Code::Overloaded, AWAY, RETRY_MS).because(error)
}
