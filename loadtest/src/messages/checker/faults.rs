//! Faults that the checker finds, counted by kind.

use std::collections::BTreeMap;

/// How many faults are described; the others are counted.
pub(super) const DESCRIBED: usize = 10;

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Fault {
    /// Acknowledged or seen by others, and missing here.
    Lost,
    /// Twice where it should be once.
    Doubled,
    /// In another order than the one in which it was sent or numbered.
    Reordered,
    /// A number that no event has.
    Gap,
    /// Contradictions: other content, other ids, refused but there, never answered.
    Wrong,
}

/// Faults by kind, and the first of them in words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    counts: BTreeMap<Fault, u64>,
    first: Vec<String>,
}

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault, describe: impl FnOnce() -> String) {
        *self.counts.entry(fault).or_default() += 1;
        if self.first.len() < DESCRIBED {
            self.first.push(describe());
        }
    }

    pub(crate) fn count(&self, fault: Fault) -> u64 {
        self.counts.get(&fault).copied().unwrap_or(0)
    }

    pub(crate) fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// The first faults, described.
    pub(crate) fn first(&self) -> &[String] {
        &self.first
    }
}
