//! The writer: the only one who changes the database.
//!
//! [`DbWriterActor`] owns the one writable connection and lives on a thread of its own, where blocking is legal. It takes
//! the commands that wait in its mailbox, runs them in one transaction, commits once, publishes what was committed to
//! the cache, and only then answers (group commit; the fsync itself makes the batches, there is no timer).
//!
//! Invariants
//! * An answer `Ok` means committed, with `synchronous=FULL` fsynced, and already on its way to the cache: whoever got
//!   it reads their own write.
//! * One command's failure is its own: refusals and panics are told to their caller, the rest of the batch commits.
//!   An error of the database itself fails the whole batch, and nothing of it is kept.
//! * `commit_no` grows by one per batch that changed something.
//!
//! Deliberately absent: reads for clients. The cache answers those.

mod actor;
mod additions;
mod batch;
mod checkpointer;
mod command;
pub mod commands;
mod counted;
mod handle;
mod mentions;
mod messages;
mod metrics;
mod pending_inserts;
mod writer_cache;

#[cfg(test)]
mod batch_test;
#[cfg(test)]
mod writer_cache_test;

pub use actor::{DbWriterActor, OpenExecutor, WriterEvent};
pub use batch::{Batch, BatchExecutor, Committed};
pub use checkpointer::{Checkpointer, WalSizeEstimator};
pub use command::{Command, CommandError, ExecuteError, Execution, Tx};
pub use handle::WriterHandle;
pub use messages::{Drain, PendingCommand, QueuedCommand};
pub use metrics::CommitMetrics;
pub use writer_cache::{Head, Invalidation};
