//! Tracks whether a connection has a request or a response in progress. The connection's worker
//! writes it; the closer of idle connections reads it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::core::saturate;

/// The activity of a connection. Stored with it.
#[derive(Debug)]
pub struct Activity {
    begun: Instant,
    /// Requests whose responses are not sent yet.
    requests: AtomicUsize,
    /// End of the last request, in milliseconds since `begun`.
    idle_since_ms: AtomicU64,
}

impl Activity {
    pub fn new() -> Self {
        Self { begun: Instant::now(), requests: AtomicUsize::new(0), idle_since_ms: AtomicU64::new(0) }
    }

    fn now_ms(&self) -> u64 {
        saturate::millis(self.begun.elapsed())
    }

    /// Returns how long the connection has been idle; `None` while a request is in progress.
    pub fn idle_for(&self) -> Option<Duration> {
        let idle = self.requests.load(Relaxed) == 0;
        let since = self.idle_since_ms.load(Relaxed);
        idle.then(|| Duration::from_millis(self.now_ms().saturating_sub(since)))
    }
}

impl Default for Activity {
    fn default() -> Self {
        Self::new()
    }
}

/// A request in progress, until its response is sent.
pub(crate) struct UnderWay(Arc<Activity>);

impl UnderWay {
    pub(crate) fn begin(activity: &Arc<Activity>) -> Self {
        activity.requests.fetch_add(1, Relaxed);
        Self(activity.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.idle_since_ms.store(self.0.now_ms(), Relaxed);
        self.0.requests.fetch_sub(1, Relaxed);
    }
}
