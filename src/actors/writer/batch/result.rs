//! The result of a batch.

use crate::actors::commit::Committed;
use crate::actors::writer::messages::QueuedCommand;

/// The outcome of a batch. [`Batch::answer`] is called after `committed` was published.
pub struct Batch {
    pub committed: Option<Committed>,
    pub(super) answers: Vec<Box<dyn QueuedCommand>>,
    /// The outcome of the COMMIT is unknown: the process must end.
    pub fatal: bool,
    /// The database lacks commits that this executor knows. Such a batch is fatal.
    pub lost: bool,
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
        Self {
            committed: None,
            answers,
            fatal: false,
            lost: false,
            left: Vec::new(),
            others: Vec::new(),
            reload: false,
        }
    }

    pub fn answer(self) {
        for command in self.answers {
            command.answer();
        }
    }
}
