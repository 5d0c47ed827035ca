//! The result of a batch.

use crate::actors::commit::Committed;
use crate::actors::writer::messages::QueuedCommand;

/// Why a process must end: its state may not be that of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fatal {
    /// The outcome of a COMMIT is unknown.
    CommitUnclear,
    /// The database lacks commits that this executor knows.
    DatabaseLost,
    /// Another node has found that, and has set a new epoch.
    OtherEpoch,
}

/// The outcome of a batch. [`Batch::answer`] is called after `committed` was published.
pub struct Batch {
    pub committed: Option<Committed>,
    pub(super) answers: Vec<Box<dyn QueuedCommand>>,
    /// Why the process must end.
    pub fatal: Option<Fatal>,
    /// Commands that were not reached within `limits.batch_ms`: the next batch.
    pub left: Vec<Box<dyn QueuedCommand>>,
    /// Commits of other nodes that the transaction has read. Published before `committed`.
    pub others: Vec<Committed>,
    /// The commits of other nodes are not known: the cache loads a new snapshot first.
    pub reload: bool,
}

impl Batch {
    /// Returns a batch that committed nothing.
    pub(super) fn answering(answers: Vec<Box<dyn QueuedCommand>>) -> Self {
        Self { committed: None, answers, fatal: None, left: Vec::new(), others: Vec::new(), reload: false }
    }

    pub fn answer(self) {
        for command in self.answers {
            command.answer();
        }
    }
}
