//! The result of one round.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// Larger latencies are recorded as this value.
const LATENCY_MAX_NS: u64 = 600_000_000_000;
/// The number of errors that are described; the others are counted.
const DESCRIBED: usize = 10;

/// The figure that is compared with the floor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compared {
    /// The median latency: smaller is better.
    Median,
    /// The 99th percentile of the latency: smaller is better.
    Tail,
    /// Operations per second: larger is better.
    Rate,
    /// Bytes of server memory for each item: smaller is better.
    Bytes,
}

impl Compared {
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::Median => "us, p50",
            Self::Tail => "us, p99",
            Self::Rate => "/s",
            Self::Bytes => "bytes each",
        }
    }
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Outcome {
    begun: Instant,
    /// In nanoseconds.
    pub(crate) latency: Histogram<u64>,
    /// The number of completed operations, and the time of the last since the round began.
    pub(crate) done: u64,
    pub(crate) within: Duration,
    pub(crate) bytes_each: Option<f64>,
    /// Completed operations in each tenth of a second.
    pub(crate) timeline: Vec<u64>,
    /// Further lines for the report.
    pub(crate) notes: Vec<String>,
    pub(crate) wrong: Vec<String>,
    pub(crate) more_wrong: u64,
}

impl Outcome {
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            begun: Instant::now(),
            latency: Histogram::new_with_max(LATENCY_MAX_NS, 3)?,
            done: 0,
            within: Duration::ZERO,
            bytes_each: None,
            timeline: Vec::new(),
            notes: Vec::new(),
            wrong: Vec::new(),
            more_wrong: 0,
        })
    }

    /// Starts the clock of the round.
    pub(crate) fn begin(&mut self) {
        self.begun = Instant::now();
    }

    /// Counts `count` completed operations.
    pub(crate) fn done(&mut self, count: u64) {
        self.within = self.begun.elapsed();
        self.done += count;
        let tenth = usize::try_from(self.within.as_millis() / 100).unwrap_or(0);
        if self.timeline.len() <= tenth {
            self.timeline.resize(tenth + 1, 0);
        }
        if let Some(slot) = self.timeline.get_mut(tenth) {
            *slot += count;
        }
    }

    pub(crate) fn took(&mut self, latency: Duration) {
        self.latency.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Records an error of the server.
    pub(crate) fn wrong(&mut self, what: impl FnOnce() -> String) {
        if self.wrong.len() < DESCRIBED {
            self.wrong.push(what());
        } else {
            self.more_wrong += 1;
        }
    }

    pub(crate) fn check(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.wrong(otherwise);
        }
    }

    pub(crate) fn is_right(&self) -> bool {
        self.wrong.is_empty()
    }

    pub(crate) fn rate(&self) -> f64 {
        // Exact below 2^53, which no count here reaches.
        #[allow(clippy::cast_precision_loss, reason = "a rate is an approximation")]
        let done = self.done as f64;
        if self.within.is_zero() { 0.0 } else { done / self.within.as_secs_f64() }
    }

    pub(crate) fn quantile_us(&self, quantile: f64) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "a latency is an approximation")]
        let ns = self.latency.value_at_quantile(quantile) as f64;
        ns / 1e3
    }

    pub(crate) fn figure(&self, compared: Compared) -> f64 {
        match compared {
            Compared::Median => self.quantile_us(0.5),
            Compared::Tail => self.quantile_us(0.99),
            Compared::Rate => self.rate(),
            Compared::Bytes => self.bytes_each.unwrap_or(0.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcome_counts_over_time_and_describes_the_first_errors() {
        let mut outcome = Outcome::new().unwrap();
        outcome.begin();
        outcome.done(3);
        outcome.took(Duration::from_micros(250));
        assert_eq!((outcome.done, outcome.timeline.iter().sum::<u64>()), (3, 3));
        assert!((outcome.figure(Compared::Median) - 250.0).abs() < 1.0);
        assert!(outcome.is_right());
        for n in 0..12 {
            outcome.check(false, || format!("{n}"));
        }
        assert!(!outcome.is_right());
        assert_eq!((outcome.wrong.len(), outcome.more_wrong), (DESCRIBED, 2));
    }
}
