//! The results of a run, shared by all tasks.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::Instant;

use hdrhistogram::Histogram;

use super::transcript::{Cursors, Transcript};
use crate::scenario::Outcome;

/// Larger latencies are recorded as this value.
const LATENCY_MAX_US: u64 = 600_000_000;

/// A kind of operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    Send,
    Page,
    Mark,
    Typing,
    GetChats,
    GetMessages,
    Post,
    GetForeignMessages,
    Ping,
    Clone,
    Push,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Send => "send (session)",
            Self::Page => "page (session)",
            Self::Mark => "mark (session)",
            Self::Typing => "typing (session)",
            Self::GetChats => "GET chats",
            Self::GetMessages => "GET messages",
            Self::Post => "POST message",
            Self::GetForeignMessages => "GET, refused",
            Self::Ping => "Ping (UDP)",
            Self::Clone => "git clone",
            Self::Push => "git push",
        })
    }
}

/// The number of started operations, and the latencies of completed ones in microseconds.
struct OperationStats {
    begun: u64,
    latency: Option<Histogram<u64>>,
}

impl Default for OperationStats {
    fn default() -> Self {
        Self { begun: 0, latency: Histogram::new_with_max(LATENCY_MAX_US, 3).ok() }
    }
}

impl OperationStats {
    fn done(&self) -> u64 {
        self.latency.as_ref().map_or(0, Histogram::len)
    }
}

pub(crate) struct TeamStats {
    /// Its latencies are those of deliveries: from the due time of a message until another user has
    /// it.
    pub(crate) outcome: RefCell<Outcome>,
    pub(crate) transcript: RefCell<Transcript>,
    /// The cursors of users with a session.
    pub(crate) cursors: RefCell<HashMap<usize, Cursors>>,
    operations: RefCell<BTreeMap<Operation, OperationStats>>,
}

impl TeamStats {
    pub(crate) fn new(transcript: Transcript, outcome: Outcome) -> Self {
        let transcript = RefCell::new(transcript);
        Self {
            outcome: RefCell::new(outcome),
            transcript,
            cursors: RefCell::default(),
            operations: RefCell::default(),
        }
    }

    pub(crate) fn delivered(&self, due: Option<Instant>) {
        let mut outcome = self.outcome.borrow_mut();
        if let Some(due) = due {
            outcome.took(due.elapsed());
        }
        outcome.done(1);
    }

    /// Counts a started operation. An operation that is not completed at the end is lost.
    pub(crate) fn begin(&self, operation: Operation) {
        self.operations.borrow_mut().entry(operation).or_default().begun += 1;
    }

    pub(crate) fn done(&self, operation: Operation, due: Instant) {
        let us = u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX);
        if let Some(latency) = &mut self.operations.borrow_mut().entry(operation).or_default().latency {
            latency.saturating_record(us);
        }
    }

    /// Returns the number of operations that were started and not completed.
    pub(crate) fn under_way(&self) -> u64 {
        self.operations
            .borrow()
            .values()
            .map(|operation_stats| operation_stats.begun - operation_stats.done().min(operation_stats.begun))
            .sum()
    }

    /// Formats a line for each operation.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (operation, operation_stats) in &*self.operations.borrow() {
            let Some(latency) = &operation_stats.latency else { continue };
            let us = |quantile| latency.value_at_quantile(quantile);
            lines.push(format!(
                "{operation:<17}{:>7} times  p50 {:>7}  p99 {:>7}  max {:>7} us",
                operation_stats.done(),
                us(0.5),
                us(0.99),
                us(1.0)
            ));
        }
        lines
    }
}
