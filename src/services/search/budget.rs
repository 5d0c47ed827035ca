//! The budget of a search, which all of its steps share.

use std::time::Duration;

use crate::core::limits::Limits;

/// Candidates that are read together.
const CANDIDATES_MIN: usize = 20;
const CANDIDATES_MAX: usize = 200;
/// Queries of the index by one search. Each of them may merge long lists again.
const STEPS_MAX: usize = 12;

/// The limits that remain for a search.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    pub(super) steps: usize,
    /// Rows and time in the index.
    pub(super) rows: usize,
    pub(super) time: Duration,
    /// Candidates, their bytes, and the time to compare them.
    pub(super) checked: usize,
    pub(super) bytes: usize,
    /// Bytes of dense files.
    pub(super) dense_bytes: usize,
    pub(super) check_time: Duration,
}

impl Budget {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            steps: STEPS_MAX,
            rows: limits.search_rows,
            time: Duration::from_millis(limits.search_ms),
            checked: limits.search_checked,
            bytes: limits.search_checked_bytes,
            dense_bytes: 0,
            check_time: Duration::from_millis(limits.search_check_ms),
        }
    }

    /// Returns the limits of a search for files or commits, which are larger than messages.
    pub(super) fn of_repositories(limits: &Limits) -> Self {
        Self {
            bytes: limits.search_code_checked_bytes,
            dense_bytes: limits.search_code_dense_checked_bytes,
            check_time: Duration::from_millis(limits.search_code_check_ms),
            ..Self::new(limits)
        }
    }

    pub(super) fn is_used_up(&self) -> bool {
        [self.steps, self.rows, self.checked, self.bytes].contains(&0)
            || self.time.is_zero()
            || self.check_time.is_zero()
    }

    /// Returns how many candidates are read next, to find some more hits. The number grows with
    /// each step, because few of the earlier candidates were hits.
    pub(super) fn candidates(&self, wanted: usize) -> usize {
        let least = CANDIDATES_MIN << (STEPS_MAX - self.steps).min(8);
        wanted.clamp(least.min(CANDIDATES_MAX), CANDIDATES_MAX).min(self.checked)
    }

    /// Takes a query of the index that walked `rows` and found `candidates`.
    pub(super) fn found(&mut self, rows: usize, took: Duration, candidates: usize) {
        self.steps = self.steps.saturating_sub(1);
        self.rows = self.rows.saturating_sub(rows);
        self.time = self.time.saturating_sub(took);
        self.checked = self.checked.saturating_sub(candidates);
    }

    /// Takes the bytes and the time of a comparison.
    pub(super) fn compared(&mut self, bytes: usize, took: Duration) {
        self.bytes = self.bytes.saturating_sub(bytes);
        self.check_time = self.check_time.saturating_sub(took);
    }
}
