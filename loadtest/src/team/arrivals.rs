//! Times of operations: a Poisson process, independent of whether earlier operations have
//! completed.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Arrivals of one operation. The same seed makes the same times and the same choices.
#[derive(Debug)]
pub(crate) struct Arrivals {
    chance: StdRng,
    per_second: f64,
    due: Instant,
}

impl Arrivals {
    pub(crate) fn new(seed: u64, per_second: f64, begin: Instant) -> Self {
        Self { chance: StdRng::seed_from_u64(seed), per_second, due: begin }
    }

    /// Waits for the next arrival and returns its due time; `None` when that is not before `end`.
    pub(crate) async fn next(&mut self, end: Instant) -> Option<Instant> {
        let unlikely = 1.0 - self.chance.random::<f64>();
        self.due += Duration::from_secs_f64(-unlikely.ln() / self.per_second);
        if self.due >= end {
            return None;
        }
        tokio::time::sleep_until(self.due.into()).await;
        Some(self.due)
    }

    /// Returns a random number below `count`, with equal probability.
    pub(crate) fn one_of(&mut self, count: usize) -> usize {
        self.chance.random_range(0..count.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn arrivals_have_the_requested_rate_at_random_times() {
        let begin = tokio::time::Instant::now().into_std();
        let (mut arrivals, end) = (Arrivals::new(7, 1_000.0, begin), begin + Duration::from_secs(10));
        let mut times = Vec::new();
        while let Some(due) = arrivals.next(end).await {
            times.push(due - begin);
        }
        assert!((9_500..10_500).contains(&times.len()), "{} in ten seconds", times.len());
        let close = times.windows(2).filter(|two| two[1] - two[0] < Duration::from_micros(100)).count();
        assert!((700..1_200).contains(&close), "{close} of them follow within a tenth of the mean");
    }
}
