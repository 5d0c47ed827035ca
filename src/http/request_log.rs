//! Limits the log lines of refused requests, so that a flood of requests does not become a flood of
//! log lines.

use std::num::NonZeroU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use crate::core::limits::Limits;

/// The limiter of a listener.
pub struct RequestLog {
    refusals: DefaultDirectRateLimiter,
    /// Refused requests since the last logged line that were only counted.
    unlogged: AtomicU64,
}

impl RequestLog {
    pub fn new(limits: &Limits) -> Self {
        let per_second = NonZeroU32::new(limits.logged_refusals_per_second).unwrap_or(NonZeroU32::MIN);
        Self { refusals: RateLimiter::direct(Quota::per_second(per_second)), unlogged: AtomicU64::new(0) }
    }

    /// Returns `None` if the request is not logged, otherwise how many were not logged before it.
    /// Successes and server errors are always logged.
    pub(crate) fn admit(&self, status: u16) -> Option<u64> {
        if is_refusal(status) && self.refusals.check().is_err() {
            self.unlogged.fetch_add(1, Relaxed);
            return None;
        }
        Some(self.unlogged.swap(0, Relaxed))
    }
}

/// Returns whether clients can cause this status at will: by an invalid request, or when no permit
/// is free.
pub(crate) fn is_refusal(status: u16) -> bool {
    (400..500).contains(&status) || status == 503
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_beyond_rate_are_counted_and_logged_with_the_next() {
        let log = RequestLog::new(&Limits { logged_refusals_per_second: 2, ..Limits::default() });
        // Regression: a flood of 2,272 WebSockets without a slot wrote as many log lines in 0.3 s.
        let admitted: Vec<_> = [404, 503, 404, 503, 200, 500].map(|status| log.admit(status)).into();
        assert_eq!(admitted, [Some(0), Some(0), None, None, Some(2), Some(0)]);
    }
}
