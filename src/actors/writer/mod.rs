//! The writer: the actor with the only writable connection to the database.
//!
//! [`DbWriterActor`] runs on its own thread, where blocking calls are allowed. It takes the
//! commands that wait in its mailbox, executes them in one transaction and commits once. Then it
//! publishes the committed events to the cache and answers the callers (group commit). No timer
//! is needed: the commands that arrive during one fsync form the next batch.
//!
//! Invariants
//! * An answer `Ok` means that the change is committed and, with `synchronous=FULL`, fsynced. Its
//!   events are already on their way to the cache, so the caller reads its own write.
//! * A command that is refused or panics fails alone: its caller gets the error, and the rest of
//!   the batch commits. An error of the database fails the whole batch, and nothing of it is kept.
//! * `commit_no` grows by one for each batch that changed something.
//!
//! Deliberately absent: reads for clients. The cache answers those.
//!
//! # Example: a batch of two messages and an edit
//!
//! Ada posts M1 and M2 in a group whose head is seq 7, and edits M1. [`BatchExecutor::run`] gets
//! the three commands as one batch:
//!
//! 1. It begins a transaction. Each command executes with a [`Tx`]: its view of the transaction,
//!    the events to publish and the writer cache.
//! 2. `AppendMessage` declares [`Invalidation::Appends`]: it makes no cache entry stale. Its `Tx`
//!    is therefore *collecting*. M1 takes seq 8 from the cached head, M2 takes seq 9, and both rows
//!    wait in `PendingInserts`.
//! 3. `UpdateMessage` declares [`Invalidation::ChatEvents`], so its `Tx` does not collect. Before
//!    it executes, the cache is flushed: the rows of M1 and M2, one UPDATE of the head, and Ada's
//!    cursors. The edit then finds M1, is stored as seq 10, and evicts the chat from the cache.
//!    After a write, [`Invalidation::All`] (the default) would empty the cache.
//! 4. The batch stores its `commit_no` and commits. Then the events are published, and then the
//!    three callers are answered.
//!
//! Failures before the commit:
//! * The edit is refused before [`Tx::write`]: it fails alone, and the batch continues.
//! * The edit is refused or panics later: the batch rolls back, which empties the cache, and is
//!   *replayed* without the edit. M1 and M2 get seq 8 and 9 again; rates count them once.
//! * A pending row violates a constraint: the error does not identify the message. The batch is
//!   replayed without collecting, one INSERT for each message. A message that fails again is
//!   removed, and the rest is replayed.
//! * Any other database error fails all three commands; a full disk makes the writer read-only.

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
mod outage;
mod pending_inserts;
mod writer_cache;

#[cfg(test)]
mod batch_test;
#[cfg(test)]
mod writer_cache_test;

pub use actor::{DbWriterActor, OpenExecutor};
pub use batch::{Batch, BatchExecutor};
pub use checkpointer::{Checkpointer, CheckpointerWaker, WalSizeEstimator};
pub use command::{Command, CommandError, ExecuteError, Execution, Tx};
pub use handle::WriterHandle;
pub use messages::{Drain, PendingCommand, QueuedCommand, ReadLog};
pub use metrics::CommitMetrics;
pub use outage::Outage;
pub use writer_cache::{Head, Invalidation};
