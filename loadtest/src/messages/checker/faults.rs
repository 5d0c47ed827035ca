//! Faults that the checker finds, counted by kind.

use std::collections::BTreeMap;

/// How many faults are described; the others are counted.
pub(super) const DESCRIBED: usize = 10;

/// The kind of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Fault {
    /// Acknowledged or received by another session, and missing here.
    Lost,
    /// Present twice.
    Doubled,
    /// Not in the order of sending or of seqs.
    Reordered,
    /// A seq without an event.
    Gap,
    /// A contradiction: another content or id, refused but present, or never answered.
    Wrong,
}

/// The number of faults by kind, and descriptions of the first.
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

    /// Returns the descriptions of the first faults.
    pub(crate) fn first(&self) -> &[String] {
        &self.first
    }
}
