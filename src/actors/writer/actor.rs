//! Routing: commands go into the pending batch, the batch to the executor, and its outcome to the
//! cache and the callers.

use std::sync::Arc;

use actix::{Actor, ActorFutureExt, AsyncContext, Handler, Supervised};
use tracing::{debug, debug_span, error};

use super::batch::{Batch, BatchExecutor, Fatal};
use super::checkpointer::{CheckpointerWaker, WalSizeEstimator};
use super::command::{Command, CommandError};
use super::messages::{Drain, PendingCommand, QueuedCommand, ReadLog};
use crate::actors::cache::CacheHandle;
use crate::actors::commit::WriterEvent;
use crate::core::actor::{Ask, Ctx, FATAL_EXIT_CODE, FatalSignal};
use crate::core::database;
use crate::core::fail_points;
use crate::core::limits::Limits;

/// Exit code when the outcome of a COMMIT is unknown (`EX_IOERR` of sysexits.h).
const COMMIT_UNCLEAR_EXIT_CODE: i32 = 74;
/// Exit code when the database has lost commits: another start loads what it has (`EX_TEMPFAIL`).
const DATABASE_REPLACED_EXIT_CODE: i32 = 75;

/// Opens the executor, at start and again after a panic.
pub type OpenExecutor =
    Box<dyn FnMut() -> Result<BatchExecutor, crate::core::database::DatabaseError> + Send>;

/// See the [module](super).
pub struct DbWriterActor {
    executor: Option<BatchExecutor>,
    open: OpenExecutor,
    cache: CacheHandle,
    pending: Vec<Box<dyn QueuedCommand>>,
    pending_bytes: usize,
    /// Whether a flush is scheduled for when the mailbox is empty.
    scheduled: bool,
    restarted: bool,
    wal: Arc<WalSizeEstimator>,
    checkpointer: CheckpointerWaker,
    fatal: FatalSignal,
    limits: Limits,
}

impl DbWriterActor {
    pub fn new(
        executor: BatchExecutor,
        open: OpenExecutor,
        cache: CacheHandle,
        wal: Arc<WalSizeEstimator>,
        checkpointer: CheckpointerWaker,
        fatal: FatalSignal,
        limits: Limits,
    ) -> Self {
        Self {
            executor: Some(executor),
            open,
            cache,
            pending: Vec::new(),
            pending_bytes: 0,
            scheduled: false,
            restarted: false,
            wal,
            checkpointer,
            fatal,
            limits,
        }
    }

    fn take_in(&mut self, command: Box<dyn QueuedCommand>, ctx: &mut Ctx<Self>) {
        self.pending_bytes += command.bytes();
        self.pending.push(command);
        if self.pending.len() >= self.limits.batch_commands || self.pending_bytes >= self.limits.batch_bytes {
            self.flush();
        } else if !std::mem::replace(&mut self.scheduled, true) {
            // Runs when the mailbox is empty: the commands that arrived during the last fsync form
            // the next batch.
            ctx.spawn(actix::fut::ready(()).map(|(), writer: &mut Self, _| writer.flush()));
        }
    }

    fn flush(&mut self) {
        self.scheduled = false;
        self.pending_bytes = 0;
        fail_points::reach(fail_points::IN_WRITER);
        while !self.pending.is_empty() {
            let commands = std::mem::take(&mut self.pending);
            let count = commands.len();
            let Some(executor) = &mut self.executor else {
                for mut command in commands {
                    command.fail(CommandError::Internal);
                    command.answer();
                }
                return;
            };
            // At `debug`: at the default level, a batch pays for no span.
            let _span = debug_span!("batch", commit_no = executor.commit_no() + 1).entered();
            let (mut batch, mut checkpoint_due) = (executor.run(commands), false);
            self.pending = std::mem::take(&mut batch.left);
            executor.show();
            publish_others(&self.cache, &self.wal, &mut batch);
            if let Some(committed) = batch.committed.take() {
                let unmoved = self.wal.committed(committed.commit_no, count);
                self.cache.publish(WriterEvent::Committed(committed));
                executor.send_hint();
                fail_points::reach(fail_points::BEFORE_ANSWER);
                checkpoint_due = unmoved >= self.limits.checkpoint_bytes;
            }
            executor.announce();
            let fatal = batch.fatal;
            batch.answer();
            if let Some(fatal) = fatal {
                self.end(fatal);
            } else {
                if checkpoint_due {
                    self.checkpoint_if_due();
                }
                self.restart_log_if_long();
            }
        }
    }

    /// Ends the process.
    fn end(&mut self, why: Fatal) {
        self.executor = None;
        if why == Fatal::DatabaseLost {
            // Without the mark, the next start would not set a new epoch.
            self.wal.database_lost();
            self.checkpointer.mark();
        }
        self.fatal.raise(match why {
            Fatal::CommitUnclear => COMMIT_UNCLEAR_EXIT_CODE,
            Fatal::DatabaseLost | Fatal::OtherEpoch => DATABASE_REPLACED_EXIT_CODE,
        });
    }

    /// Notifies the checkpointer, if the measured log confirms the estimate.
    fn checkpoint_if_due(&mut self) {
        let Some(executor) = &mut self.executor else { return };
        let Some(db) = executor.connection().as_sqlite() else { return };
        match database::wal_pages(db) {
            Ok(pages) if self.wal.counted(&pages) < self.limits.checkpoint_bytes => return,
            Ok(_) => {}
            Err(error) => debug!(%error, "the size of the WAL could not be read"),
        }
        if !self.checkpointer.checkpoint() {
            debug!("a checkpoint is already requested");
        }
    }

    /// Restarts the log if it is longer than `limits.wal_bytes` because readers kept it from
    /// shrinking. Waits briefly for readers, between two batches.
    fn restart_log_if_long(&mut self) {
        if !self.wal.restart_is_due(self.limits.wal_bytes) {
            return;
        }
        let db = self.executor.as_mut().and_then(|executor| executor.connection().as_sqlite());
        match db.map(database::restart_log) {
            Some(Ok(true)) => return self.wal.restarted(),
            Some(Ok(false)) => debug!("WAL checkpoint incomplete: a reader holds an old snapshot"),
            Some(Err(error)) => debug!(%error, "the WAL could not be restarted"),
            None => {}
        }
        self.wal.restart_failed(self.limits.wal_bytes);
    }
}

/// Publishes the commits of other nodes that a batch has read.
fn publish_others(cache: &CacheHandle, wal: &WalSizeEstimator, batch: &mut Batch) {
    if batch.reload {
        cache.publish(WriterEvent::Reload);
    }
    for committed in batch.others.drain(..) {
        wal.committed(committed.commit_no, 0);
        cache.publish(WriterEvent::Committed(committed));
    }
}

impl Actor for DbWriterActor {
    type Context = Ctx<Self>;

    fn started(&mut self, _: &mut Ctx<Self>) {
        if !std::mem::take(&mut self.restarted) {
            return;
        }
        match (self.open)() {
            Ok(executor) => self.executor = Some(executor),
            Err(error) => {
                error!(%error, "the database cannot be opened again");
                self.fatal.raise(FATAL_EXIT_CODE);
            }
        }
        self.cache.publish(WriterEvent::Reload);
    }
}

impl Supervised for DbWriterActor {
    fn restarting(&mut self, _: &mut Ctx<Self>) {
        // Dropping the connection ends its transaction. Dropping the commands answers their callers
        // with `internal`.
        self.executor = None;
        self.pending.clear();
        self.pending_bytes = 0;
        self.scheduled = false;
        self.restarted = true;
    }
}

impl<C: Command> Handler<PendingCommand<C>> for DbWriterActor {
    type Result = ();

    fn handle(&mut self, command: PendingCommand<C>, ctx: &mut Ctx<Self>) {
        self.take_in(Box::new(command), ctx);
    }
}

impl Handler<Ask<Drain>> for DbWriterActor {
    type Result = ();

    fn handle(&mut self, ask: Ask<Drain>, _: &mut Ctx<Self>) {
        self.flush();
        if let Some(executor) = &mut self.executor
            && let Err(error) = executor.write_cursors()
        {
            // The next start computes them from the messages.
            debug!(%error, "read cursors were not written");
        }
        ask.answer(Ok(()));
    }
}

impl Handler<Ask<ReadLog>> for DbWriterActor {
    type Result = ();

    fn handle(&mut self, ask: Ask<ReadLog>, _: &mut Ctx<Self>) {
        let Some(executor) = &mut self.executor else { return ask.answer(Err(CommandError::Internal)) };
        match executor.read_log() {
            Ok(mut batch) => {
                executor.show();
                publish_others(&self.cache, &self.wal, &mut batch);
                executor.announce();
                if let Some(fatal) = batch.fatal {
                    self.end(fatal);
                    return ask.answer(Err(CommandError::Internal));
                }
                ask.answer(Ok(()));
            }
            Err(error) => {
                debug!(%error, "the log of commits could not be read");
                ask.answer(Err(CommandError::DatabaseAway));
            }
        }
    }
}
