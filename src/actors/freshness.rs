//! The age of the state from which this node answers, while several nodes share a database.
//!
//! A node that is cut off from PostgreSQL does not receive the commits of the others. It answers no
//! reads once its state is older than `limits.stale_ms`.
//!
//! Invariants
//! * The age counts from the beginning of the read that found no commit beyond the applied ones, by
//!   the monotonic clock.
//! * The age is computed for each answer. A process that was stopped therefore does not answer from
//!   an old state, not even until its timers have run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Registry;

use super::error::QueryError;
use crate::core::metrics::{Export, Rows};

/// Clones share the age. Without a maximum age the state is never stale.
#[derive(Debug, Clone)]
pub struct Freshness {
    max: Option<Duration>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    created: Instant,
    /// Microseconds from `created` to the instant at which the state was current.
    current_us: AtomicU64,
    /// Whether the age counts: not before clients are served.
    counts: AtomicBool,
}

impl Freshness {
    /// Returns the freshness of a state that is read after this call.
    pub fn new(max: Option<Duration>) -> Self {
        let created = Instant::now();
        let shared = Shared { created, current_us: AtomicU64::new(0), counts: AtomicBool::new(false) };
        Self { max, shared: Arc::new(shared) }
    }

    /// Begins to count the age. Called before clients are served.
    pub fn begin(&self) {
        self.shared.counts.store(true, Relaxed);
    }

    /// Records that the state was current at `at`.
    pub fn record(&self, at: Instant) {
        let since = at.saturating_duration_since(self.shared.created).as_micros();
        self.shared.current_us.fetch_max(u64::try_from(since).unwrap_or(u64::MAX), Relaxed);
    }

    fn current(&self) -> Duration {
        Duration::from_micros(self.shared.current_us.load(Relaxed))
    }

    /// Returns whether the state has all commits up to this time.
    pub fn was_current_at(&self, time: Instant) -> bool {
        self.current() >= time.saturating_duration_since(self.shared.created)
    }

    /// Returns the maximum age, if there is one.
    pub fn max(&self) -> Option<Duration> {
        self.max
    }

    /// Returns the time since the state was current; zero without a maximum age.
    pub fn age(&self) -> Duration {
        if self.max.is_none() || !self.shared.counts.load(Relaxed) {
            return Duration::ZERO;
        }
        self.shared.created.elapsed().saturating_sub(self.current())
    }

    /// Returns whether the state is too old to answer from.
    pub fn is_stale(&self) -> bool {
        self.max.is_some_and(|max| self.age() > max)
    }

    /// Refuses an answer from a state that is too old.
    ///
    /// # Errors
    /// [`QueryError::Stale`].
    pub fn check(&self) -> Result<(), QueryError> {
        if self.is_stale() { Err(QueryError::Stale) } else { Ok(()) }
    }
}

impl Export for Freshness {
    fn export(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(self.clone()));
    }
}

impl Collector for Freshness {
    fn encode(&self, encoder: DescriptorEncoder) -> std::fmt::Result {
        let mut rows = Rows(encoder);
        let help = "Time since the state in memory was current, on several nodes; 0 otherwise";
        rows.gauge("netbit_tail_lag_seconds", help, self.age().as_secs_f64())?;
        let help = "1 while reads are refused, because PostgreSQL did not answer for limits.stale_ms";
        rows.gauge("netbit_stale", help, f64::from(u8::from(self.is_stale())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a freshness that was created this long ago.
    fn created_before(age: Duration, max: Option<Duration>) -> Freshness {
        let created = Instant::now().checked_sub(age).unwrap();
        let shared = Shared { created, current_us: AtomicU64::new(0), counts: AtomicBool::new(false) };
        Freshness { max, shared: Arc::new(shared) }
    }

    #[test]
    fn state_is_stale_until_a_later_read_is_recorded() {
        let (minute, max) = (Duration::from_secs(60), Duration::from_secs(20));
        let freshness = created_before(minute, Some(max));
        assert!(!freshness.is_stale(), "the age does not count yet");
        freshness.begin();
        assert!(freshness.is_stale() && freshness.check() == Err(QueryError::Stale));
        freshness.record(Instant::now().checked_sub(max * 2).unwrap());
        assert!(freshness.is_stale(), "a read that began too long ago does not help");
        freshness.record(Instant::now());
        assert!(!freshness.is_stale() && freshness.age() < max);
        let now = Instant::now();
        freshness.record(now);
        assert!(freshness.was_current_at(now.checked_sub(max).unwrap()));
        assert!(!freshness.was_current_at(now + Duration::from_micros(2)));
        freshness.record(Instant::now().checked_sub(minute).unwrap());
        assert!(!freshness.is_stale(), "a slower read does not make the state older");
    }

    #[test]
    fn state_without_a_maximum_age_is_never_stale() {
        let freshness = created_before(Duration::from_secs(3600), None);
        freshness.begin();
        assert!(!freshness.is_stale() && freshness.age().is_zero());
    }
}
