//! Pauses before a request is repeated that the server refused.

use std::time::Duration;

use tokio::time::Instant;

/// Pause after the first refusal; it doubles up to the maximum.
const PAUSE_FIRST: Duration = Duration::from_secs(2);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Whether requests of one kind may be sent now.
#[derive(Debug, Default)]
pub(super) struct Retry {
    at: Option<Instant>,
    pause: Duration,
}

impl Retry {
    /// The server refused a request and may have named the pause that it wants.
    pub(super) fn refused(&mut self, after_ms: Option<u64>, now: Instant) {
        self.pause = (self.pause * 2).clamp(PAUSE_FIRST, PAUSE_MAX);
        let asked = after_ms.map_or(Duration::ZERO, Duration::from_millis);
        self.at = Some(now + self.pause.max(asked).min(PAUSE_MAX));
    }

    /// The server accepted a request, or the session ended.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// Returns when requests may be sent again.
    pub(super) fn at(&self) -> Option<Instant> {
        self.at
    }

    /// Returns whether requests may be sent, and ends a pause that is over.
    pub(super) fn is_over(&mut self, now: Instant) -> bool {
        if self.at.is_some_and(|at| at <= now) {
            self.at = None;
        }
        self.at.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute() {
        let (mut retry, mut now) = (Retry::default(), Instant::now());
        assert!(retry.is_over(now));
        for seconds in [2, 4, 8, 16, 32, 60, 60] {
            retry.refused(None, now);
            assert!(!retry.is_over(now));
            now += Duration::from_secs(seconds);
            assert_eq!(retry.at(), Some(now));
            assert!(retry.is_over(now) && retry.at().is_none());
        }
        retry.reset();
        retry.refused(Some(7_000), now);
        assert_eq!(retry.at(), Some(now + Duration::from_secs(7)));
    }
}
