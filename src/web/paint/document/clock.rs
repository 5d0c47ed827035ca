//! The time that a document may take.

use std::time::{Duration, Instant};

/// A time that began when a document was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    begin: Instant,
    time_max: Duration,
}

impl Clock {
    /// Starts the time.
    pub(super) fn start(time_max: Duration) -> Self {
        Self { begin: Instant::now(), time_max }
    }

    /// Returns whether the time is used up.
    pub(super) fn is_over(self) -> bool {
        self.begin.elapsed() >= self.time_max
    }
}
