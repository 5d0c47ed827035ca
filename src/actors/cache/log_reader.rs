//! Requests to read the log of commits, before a refusal that may be out of date.
//!
//! On several nodes, a user may log in at one node and use another a moment later. Invariant: with
//! other nodes running, nothing is refused before the commits up to the request are applied. If the
//! log cannot be read within `limits.commit_wait_ms`, or too many refusals wait, the answer is
//! [`QueryError::Stale`](crate::actors::error::QueryError::Stale).
//!
//! A request that names a commit waits for it in the same way ([`LogReader::read`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{mpsc, oneshot};

use crate::actors::freshness::Freshness;

/// Requests that wait for the next read of the log. Further ones are refused as stale.
const REQUESTS_MAX: usize = 4096;

/// A request: answered when the log was read, or dropped when that failed.
pub type LogRequest = oneshot::Sender<()>;

/// Requests reads of the log. Clones share the queue.
#[derive(Debug, Clone)]
pub struct LogReader {
    requests: mpsc::Sender<LogRequest>,
    /// Whether other nodes run.
    others_run: Arc<AtomicBool>,
    freshness: Freshness,
}

/// The log of commits could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the log of commits could not be read")]
pub struct LogUnread;

impl LogReader {
    /// Returns the reader, and the requests for the task that reads the log.
    pub fn new(freshness: Freshness) -> (Self, mpsc::Receiver<LogRequest>) {
        let (requests, received) = mpsc::channel(REQUESTS_MAX);
        (Self { requests, others_run: Arc::default(), freshness }, received)
    }

    /// Sets whether other nodes run. Without them nothing is requested.
    pub fn set_others_run(&self, run: bool) {
        self.others_run.store(run, Ordering::Relaxed);
    }

    pub fn others_run(&self) -> bool {
        self.others_run.load(Ordering::Relaxed)
    }

    pub fn freshness(&self) -> &Freshness {
        &self.freshness
    }

    /// Returns when the commits so far are published to the cache.
    ///
    /// # Errors
    /// [`LogUnread`] if the database does not answer, or too many requests wait.
    pub async fn read(&self) -> Result<(), LogUnread> {
        let (request, done) = oneshot::channel();
        self.requests.try_send(request).map_err(|_| LogUnread)?;
        done.await.map_err(|_| LogUnread)
    }

    /// Requests a read. `None`: too many requests wait.
    pub(super) fn request(&self) -> Option<oneshot::Receiver<()>> {
        let (request, done) = oneshot::channel();
        self.requests.try_send(request).ok().map(|()| done)
    }
}
