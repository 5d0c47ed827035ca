//! The log of connections that a pool could not open.
//!
//! Invariant: a cause is logged at once, then at most every [`LOG_EVERY`]. In an outage the pool
//! tries several times a second; reads without a connection are answered with 503 and log nothing.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use diesel::r2d2::HandleError;

use crate::core::database::DatabaseError;
use crate::core::saturate;
use crate::core::telemetry::chain;

const LOG_EVERY: Duration = Duration::from_secs(30);

/// Logs the failures of a pool. See the [module](self).
#[derive(Debug)]
pub(super) struct FailedConnections {
    created: Instant,
    /// Milliseconds after `created`.
    next_log_ms: AtomicU64,
    /// Failures since the last line.
    failures: AtomicU64,
}

impl FailedConnections {
    pub(super) fn new() -> Self {
        Self { created: Instant::now(), next_log_ms: AtomicU64::new(0), failures: AtomicU64::new(0) }
    }

    /// Counts a failure at a time after the creation. Returns the failures since the last line if a
    /// line is due.
    fn due(&self, at: Duration) -> Option<u64> {
        self.failures.fetch_add(1, Relaxed);
        let (at, next) = (saturate::millis(at), self.next_log_ms.load(Relaxed));
        let until = at.saturating_add(saturate::millis(LOG_EVERY));
        let is_due = at >= next && self.next_log_ms.compare_exchange(next, until, Relaxed, Relaxed).is_ok();
        is_due.then(|| self.failures.swap(0, Relaxed))
    }
}

impl HandleError<DatabaseError> for FailedConnections {
    fn handle_error(&self, error: DatabaseError) {
        if let Some(failures) = self.due(self.created.elapsed()) {
            tracing::error!(error = %chain(&error), failures, "a connection to the database cannot be opened");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outage_is_logged_at_once_and_then_seldom() {
        let log = FailedConnections::new();
        let due: Vec<_> = (0..91).filter_map(|second| log.due(Duration::from_secs(second))).collect();
        assert_eq!(due, [1, 30, 30, 30]);
    }
}
