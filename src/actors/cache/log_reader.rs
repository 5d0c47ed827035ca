//! Requests to read the log of commits, before a refusal that may be out of date.
//!
//! On several nodes, a user may log in at one node and use another a moment later. Invariant: with
//! other nodes running, nothing is refused before the commits up to the request are applied, unless
//! the log cannot be read or [`REQUESTS_MAX`] requests wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{mpsc, oneshot};

/// Requests that wait for the next read of the log. Further ones are answered from what is known.
const REQUESTS_MAX: usize = 4096;

/// A request: answered when the log was read, or dropped when that failed.
pub type LogRequest = oneshot::Sender<()>;

/// Requests reads of the log. Clones share the queue.
#[derive(Debug, Clone)]
pub struct LogReader {
    requests: mpsc::Sender<LogRequest>,
    /// Whether other nodes run.
    others_run: Arc<AtomicBool>,
}

impl LogReader {
    /// Returns the reader, and the requests for the task that reads the log.
    pub fn new() -> (Self, mpsc::Receiver<LogRequest>) {
        let (requests, received) = mpsc::channel(REQUESTS_MAX);
        (Self { requests, others_run: Arc::default() }, received)
    }

    /// Sets whether other nodes run. Without them nothing is requested.
    pub fn set_others_run(&self, run: bool) {
        self.others_run.store(run, Ordering::Relaxed);
    }

    pub fn others_run(&self) -> bool {
        self.others_run.load(Ordering::Relaxed)
    }

    /// Requests a read. `None`: no other node runs, or too many requests wait.
    pub(super) fn request(&self) -> Option<oneshot::Receiver<()>> {
        if !self.others_run() {
            return None;
        }
        let (request, done) = oneshot::channel();
        self.requests.try_send(request).ok().map(|()| done)
    }
}
