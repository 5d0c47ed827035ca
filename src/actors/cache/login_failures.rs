//! Failed logins, by account name: after a few, the next try is delayed. Never a lock-out: the right password always
//! works, after the delay. Names that do not exist are treated the same, so that the delay tells nothing.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A name that was left alone for so long starts afresh.
const FORGET_AFTER: Duration = Duration::from_secs(15 * 60);

#[derive(Debug)]
pub(super) struct LoginFailures {
    names: HashMap<String, (u32, Instant)>,
    free: u32,
    delay_max: Duration,
    tracked_max: usize,
}

impl LoginFailures {
    pub(super) fn new(free: u32, delay_max: Duration, tracked_max: usize) -> Self {
        Self { names: HashMap::new(), free, delay_max, tracked_max }
    }

    /// How long the next try must wait: nothing, then 1 s doubling.
    pub(super) fn delay(&self, name: &str, now: Instant) -> Duration {
        let Some((count, last)) = self.names.get(name) else { return Duration::ZERO };
        if *count < self.free || now.duration_since(*last) > FORGET_AFTER {
            return Duration::ZERO;
        }
        let doublings = (count - self.free).min(16);
        Duration::from_secs(1 << doublings).min(self.delay_max)
    }

    pub(super) fn failed(&mut self, name: String, now: Instant) {
        if self.names.len() >= self.tracked_max && !self.names.contains_key(&name) {
            self.names.retain(|_, (_, last)| now.duration_since(*last) <= FORGET_AFTER);
            if self.names.len() >= self.tracked_max {
                // Full of fresh ones: the oldest gives way.
                let oldest =
                    self.names.iter().min_by_key(|(_, (_, last))| *last).map(|(name, _)| name.clone());
                oldest.and_then(|name| self.names.remove(&name));
            }
        }
        let entry = self.names.entry(name).or_insert((0, now));
        *entry = (entry.0.saturating_add(1), now);
    }

    pub(super) fn succeeded(&mut self, name: &str) {
        self.names.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_begins_after_the_free_tries_doubles_and_is_forgotten() {
        let mut failures = LoginFailures::new(3, Duration::from_secs(5), 10);
        let now = Instant::now();
        let mut delays = Vec::new();
        for _ in 0..7 {
            delays.push(failures.delay("bob", now).as_secs());
            failures.failed("bob".into(), now);
        }
        assert_eq!(delays, [0, 0, 0, 1, 2, 4, 5]);
        assert_eq!(failures.delay("alice", now), Duration::ZERO);
        assert_eq!(failures.delay("bob", now + FORGET_AFTER + Duration::from_secs(1)), Duration::ZERO);
        failures.succeeded("bob");
        assert_eq!(failures.delay("bob", now), Duration::ZERO);
    }

    #[test]
    fn a_flood_of_names_costs_a_bounded_map() {
        let mut failures = LoginFailures::new(0, Duration::from_secs(5), 10);
        for n in 0..1000 {
            failures.failed(format!("u{n}"), Instant::now());
        }
        assert_eq!(failures.names.len(), 10);
        assert!(failures.delay("u999", Instant::now()) > Duration::ZERO);
    }
}
