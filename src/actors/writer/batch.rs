//! Batches: many commands, one transaction, one fsync. See the example in [`super`].
//!
//! A plain struct over a connection, without an actor: its tests need no runtime. Invariants:
//! * A refusal before the first write costs nothing. A refusal or panic after it rolls the batch
//!   back and replays it without that command; only its caller gets the error.
//! * A failed INSERT does not identify the message: the batch is replayed with an INSERT for each.
//! * Any other error of SQLite fails the whole batch: SQLite may have ended the transaction
//!   already, and a later statement would commit on its own.
//! * On PostgreSQL a lost connection before COMMIT runs the batch again; after it, the log of
//!   commits shows whether the batch was committed ([`outcome`]).
//! * A full disk makes the executor read-only; it probes the disk at intervals. A COMMIT with an
//!   unclear outcome answers `internal`, publishes nothing, and is fatal: after a failed fsync the
//!   content of the disk is unknown.

mod commit;
mod outcome;
mod read_only;
mod result;
mod transaction;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::AtomicI16;
use std::time::{Duration, Instant};

use diesel::result::Error as SqlError;
use tokio::sync::Notify;
use tracing::{error, warn};

use super::additions::AdditionRates;
use super::command::{BatchContext, CommandError, ExecuteError, Tx};
use super::mentions::MentionRates;
use super::messages::QueuedCommand;
use super::metrics::CommitMetrics;
use super::outage::Outage;
use super::writer_cache::{Invalidation, WriterCache};
use crate::actors::commit::NewestCommit;
use crate::core::bus::Bus;
use crate::core::database::{self, Db};
use crate::core::limits::Limits;
use crate::core::saturate;
use crate::domain::event::Event;
use crate::domain::timestamp::Timestamp;
use crate::storage::commit_log;
use outcome::CommitOutcome;
use read_only::Refusal;
pub use result::Batch;
pub(super) use result::Fatal;
use transaction::{LogPosition, RECONNECT_MAX};

/// Interval in commits at which the rates drop users whose buckets are full.
const TIDY_COMMITS: i64 = 4096;

/// Maximum number of times that a batch runs while the connection to the database is lost.
const RUNS_MAX: usize = 5;

/// Executes batches on the writable connection.
pub struct BatchExecutor {
    db: Db,
    limits: Limits,
    additions: AdditionRates,
    mentions: MentionRates,
    fan_outs: Arc<Notify>,
    /// Sends hints of commits to other nodes, in parallel with the notifications of PostgreSQL.
    hints: Option<Bus>,
    outage: Outage,
    metrics: CommitMetrics,
    commit_no: i64,
    writer_cache: WriterCache,
    /// `None`: writes are accepted.
    read_only: Option<Refusal>,
    log: LogPosition,
    begun: Instant,
    slow_threshold: Duration,
}

fn warn_if_slow(command: &dyn QueuedCommand, took: Duration, threshold: Duration) {
    if took >= threshold {
        let (command, request_id) = (command.name(), command.request_id());
        let request_id = request_id.as_deref();
        let duration_ms = saturate::millis(took);
        warn!(command, request_id, duration_ms, "the command {command} took {duration_ms} ms");
    }
}

enum Executed {
    /// All reached commands are settled; `left` commands were not reached in time.
    Done {
        wrote: bool,
        left: usize,
    },
    /// The command at this index failed after a write: replay without it.
    Spoiled(usize),
    Failed(SqlError),
}

impl BatchExecutor {
    pub fn new(db: impl Into<Db>, limits: Limits, metrics: CommitMetrics) -> Result<Self, SqlError> {
        let mut db = db.into();
        let commit_no = commit_log::last(&mut db)?;
        let slow_threshold = Duration::from_millis(limits.slow_command_ms);
        let (additions, mentions) = (AdditionRates::new(&limits), MentionRates::new(&limits));
        Ok(Self {
            db,
            limits,
            additions,
            mentions,
            fan_outs: Arc::default(),
            hints: None,
            outage: Outage::default(),
            metrics,
            commit_no,
            writer_cache: WriterCache::default(),
            read_only: None,
            log: LogPosition::default(),
            begun: Instant::now(),
            slow_threshold,
        })
    }

    /// Sets the [`Notify`] that is notified of pending notifications.
    #[must_use]
    pub fn waking(self, fan_outs: Arc<Notify>) -> Self {
        Self { fan_outs, ..self }
    }

    /// Sets the [`Outage`] that callers read.
    #[must_use]
    pub fn reporting(self, outage: Outage) -> Self {
        outage.set(false);
        Self { outage, ..self }
    }

    /// Sets the number of this node, for the log of commits.
    #[must_use]
    pub fn on_node(mut self, node: i16) -> Self {
        self.log.node = node;
        self
    }

    /// Sets the version of events that all running nodes read.
    #[must_use]
    pub fn writing(mut self, format: Arc<AtomicI16>) -> Self {
        self.log.write_format(format);
        self
    }

    /// Sets where the newest commit is announced.
    #[must_use]
    pub fn announcing(mut self, newest: NewestCommit, epoch: i64) -> Self {
        self.log.publish_to(newest, epoch);
        self
    }

    /// Sets the commit that the read models have applied. The next transaction reads later ones
    /// from the log.
    #[must_use]
    pub fn at_commit(self, commit_no: i64) -> Self {
        Self { commit_no, ..self }
    }

    #[cfg(test)]
    pub(super) fn set_slow_threshold(&mut self, threshold: Duration) {
        self.slow_threshold = threshold;
    }

    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        self.writer_cache.entries()
    }

    pub fn commit_no(&self) -> i64 {
        self.commit_no
    }

    pub fn connection(&mut self) -> &mut Db {
        &mut self.db
    }

    /// Runs `commands` in one transaction. Never panics because of a command, and answers none yet.
    pub fn run(&mut self, commands: Vec<Box<dyn QueuedCommand>>) -> Batch {
        let mut batch = self.run_commands(commands);
        batch.others = std::mem::take(&mut self.log.others);
        batch.reload = std::mem::take(&mut self.log.reload);
        // A batch that failed after its last COMMIT has left its permits here.
        self.log.permits.clear();
        batch
    }

    fn run_commands(&mut self, mut commands: Vec<Box<dyn QueuedCommand>>) -> Batch {
        if self.is_read_only() {
            return Self::failed(commands, &self.refusal());
        }
        let mut now = Timestamp::now();
        self.begun = Instant::now();
        if self.commit_no % TIDY_COMMITS == 0 {
            self.additions.tidy();
            self.mentions.tidy();
        }
        // Commands that are settled outside the transaction: answered, but not executed again.
        let mut settled = Vec::new();
        let (mut collects, mut runs) = (true, 1);
        loop {
            let mut events = Vec::new();
            match self.begin_transaction() {
                // The clock of the database: times do not go back when another node commits.
                Ok(database_now) => now = database_now.unwrap_or(now),
                Err(error) => {
                    let mut batch = self.begin_failed(commands, &error);
                    batch.answers.append(&mut settled);
                    return batch;
                }
            }
            let executed = match self.begin() {
                Ok(wrote) => self.execute(&mut commands, &mut events, now, collects, wrote),
                Err(error) => Executed::Failed(error),
            };
            let executed = match executed {
                Executed::Done { wrote, left } => match self.end(wrote) {
                    Ok(wrote) => Executed::Done { wrote, left },
                    Err(error) => Executed::Failed(error),
                },
                other => other,
            };
            match executed {
                Executed::Spoiled(index) => {
                    self.metrics.replayed.inc();
                    self.roll_back();
                    settled.push(commands.remove(index));
                }
                Executed::Failed(error) if collects && database::is_constraint_violation(&error) => {
                    warn!(%error, "messages violated a constraint; replaying the batch with one INSERT for each");
                    self.metrics.replayed.inc();
                    self.roll_back();
                    collects = false;
                }
                // Nothing is committed: the batch runs again on a new connection.
                Executed::Failed(error)
                    if self.lost_connection(&error) && runs < RUNS_MAX && self.reconnects(RECONNECT_MAX) =>
                {
                    warn!(%error, "the connection to the database was lost; the batch runs again");
                    self.metrics.replayed.inc();
                    runs += 1;
                }
                Executed::Failed(error) => {
                    self.roll_back();
                    let mut batch = self.database_failed(commands, &error, "execute");
                    batch.answers.append(&mut settled);
                    return batch;
                }
                Executed::Done { wrote, left } => {
                    let mut left = commands.split_off(commands.len() - left);
                    let outcome = if wrote || self.must_confirm() {
                        self.commit(commands, events)
                    } else {
                        CommitOutcome::Known(self.nothing_to_commit(commands))
                    };
                    match outcome {
                        CommitOutcome::Known(mut batch) => {
                            batch.answers.append(&mut settled);
                            batch.left = left;
                            return batch;
                        }
                        CommitOutcome::RunAgain(again) if runs >= RUNS_MAX => {
                            let mut batch = Self::failed(again, &CommandError::DatabaseAway);
                            batch.answers.append(&mut settled);
                            batch.left = left;
                            return batch;
                        }
                        CommitOutcome::RunAgain(again) => {
                            runs += 1;
                            commands = again;
                            commands.append(&mut left);
                        }
                    }
                }
            }
        }
    }

    /// Prepares the writer cache for an open transaction; returns whether anything was written.
    fn begin(&mut self) -> Result<bool, SqlError> {
        self.writer_cache.begin(&mut self.db)?;
        if self.writer_cache.entries() <= self.limits.writer_cache_entries {
            return Ok(false);
        }
        let wrote = self.writer_cache.flush_all(&mut self.db)?;
        self.writer_cache.invalidate();
        Ok(wrote)
    }

    /// Writes pending messages and heads, and the cursors if they are due.
    fn end(&mut self, wrote: bool) -> Result<bool, SqlError> {
        if wrote && self.writer_cache.cursors_are_due() {
            return self.writer_cache.flush_all(&mut self.db).map(|_| true);
        }
        self.writer_cache.flush(&mut self.db).map(|()| wrote)
    }

    fn execute(
        &mut self,
        commands: &mut [Box<dyn QueuedCommand>],
        events: &mut Vec<Event>,
        now: Timestamp,
        collects: bool,
        mut wrote: bool,
    ) -> Executed {
        let (begun, budget) = (Instant::now(), Duration::from_millis(self.limits.batch_ms));
        let count = commands.len();
        // Reads the clock once for each command: the end of one is the start of the next.
        let mut started = begun;
        for (index, command) in commands.iter_mut().enumerate() {
            if index > 0 && started.duration_since(begun) > budget {
                return Executed::Done { wrote, left: count - index };
            }
            if command.invalidation() != Invalidation::Appends {
                match self.writer_cache.flush_all(&mut self.db) {
                    Ok(flushed) => wrote |= flushed,
                    Err(error) => return Executed::Failed(error),
                }
            }
            let mark = events.len();
            let collects = collects && command.invalidation() == Invalidation::Appends;
            let shared = BatchContext {
                limits: &self.limits,
                additions: &self.additions,
                mentions: &self.mentions,
                fan_outs: &self.fan_outs,
            };
            let mut tx = Tx::new(&mut self.db, events, &mut self.writer_cache, now, shared)
                .asked_by(command.request_id())
                .collecting(collects);
            let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| command.execute(&mut tx)));
            let dirty = tx.wrote();
            if dirty && command.invalidation() == Invalidation::All {
                self.writer_cache.invalidate();
            }
            let ended = Instant::now();
            let took = ended.duration_since(std::mem::replace(&mut started, ended));
            warn_if_slow(&**command, took, self.slow_threshold);
            match outcome {
                Ok(Ok(())) => {
                    wrote |= dirty;
                    continue;
                }
                Ok(Err(ExecuteError::Refused(refusal))) => command.refuse(refusal),
                // The error may belong to an earlier command: `reader_after_flush` inserts pending
                // messages.
                Ok(Err(ExecuteError::Database(error)))
                    if collects && database::is_constraint_violation(&error) =>
                {
                    return Executed::Failed(error);
                }
                Ok(Err(ExecuteError::Database(error))) if database::is_constraint_violation(&error) => {
                    error!(command = command.name(), request_id = command.request_id().as_deref(), %error, "a command violated a constraint");
                    command.fail(CommandError::Internal);
                    // A wrong entry of the writer cache shows up here; the rollback empties the
                    // cache.
                    events.truncate(mark);
                    return Executed::Spoiled(index);
                }
                Ok(Err(ExecuteError::Database(error))) => return Executed::Failed(error),
                Err(_panic) => {
                    error!(
                        command = command.name(),
                        request_id = command.request_id().as_deref(),
                        "a command panicked"
                    );
                    command.fail(CommandError::Internal);
                }
            }
            events.truncate(mark);
            if dirty {
                return Executed::Spoiled(index);
            }
        }
        Executed::Done { wrote, left: 0 }
    }

    /// Entries that reads added to the writer cache stay valid.
    fn nothing_to_commit(&mut self, commands: Vec<Box<dyn QueuedCommand>>) -> Batch {
        self.end_transaction();
        Batch::answering(commands)
    }

    /// Writes the pending cursors in a separate commit, before a stop. The read models have them.
    pub fn write_cursors(&mut self) -> Result<(), SqlError> {
        // On PostgreSQL a commit has a row in the log. The next start computes the cursors again.
        if let Db::Postgres(_) = self.db {
            return Ok(());
        }
        self.db.begin_write()?;
        let writer_cache = &mut self.writer_cache;
        let written = writer_cache.begin(&mut self.db).and_then(|_| writer_cache.flush_all(&mut self.db));
        match written.and_then(|_| self.db.batch_execute("COMMIT")) {
            Ok(()) => {
                self.writer_cache.committed();
                Ok(())
            }
            Err(error) => {
                self.roll_back();
                Err(error)
            }
        }
    }

    /// Fails the whole batch. A full disk makes the executor read-only.
    fn database_failed(
        &mut self,
        commands: Vec<Box<dyn QueuedCommand>>,
        error: &SqlError,
        step: &str,
    ) -> Batch {
        self.metrics.failed.inc();
        if self.lost_connection(error) {
            return self.database_away(commands, error);
        }
        if database::is_full(error) {
            warn!(step, "the disk is full: writes are refused until space is free");
            self.refuse_writes(CommandError::ReadOnly);
            return Self::failed(commands, &CommandError::ReadOnly);
        }
        error!(step, %error, "the database failed; the batch is rolled back");
        Self::failed(commands, &CommandError::Internal)
    }

    fn failed(mut commands: Vec<Box<dyn QueuedCommand>>, error: &CommandError) -> Batch {
        for command in &mut commands {
            command.fail(error.clone());
        }
        Batch::answering(commands)
    }

    /// Ends the transaction, if SQLite has not ended it already.
    fn roll_back(&mut self) {
        self.writer_cache.rolled_back();
        self.end_transaction();
    }

    fn end_transaction(&mut self) {
        if let Err(error) = self.db.batch_execute("ROLLBACK") {
            tracing::debug!(%error, "ROLLBACK failed; SQLite may have ended the transaction already");
        }
    }
}
