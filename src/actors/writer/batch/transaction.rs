//! The beginning of a transaction. On PostgreSQL: the commit lock, and the commits of other nodes.
//!
//! Invariants
//! * A batch executes only after the executor has applied every commit before it: the log is read
//!   behind the commit lock.
//! * The first row that is read is the newest commit that this executor knows, with the same id.
//!   If it is a later one, the known row was deleted as old: the executor was away for long, and
//!   continues at the newest commit. Otherwise the database has lost commits, and no answer may
//!   come from what is in memory.
//! * Nothing is executed under another epoch than that of this process. Another node has set it: it
//!   has ended all logins, which are still in the memory of this one.

use std::sync::Arc;
use std::sync::atomic::{AtomicI16, Ordering::Relaxed};
use std::time::{Duration, Instant};

use diesel::result::DatabaseErrorKind;
use tracing::{error, info, warn};

use super::{Batch, BatchExecutor, Fatal};
use crate::actors::commit::{Committed, NewestCommit, Place};
use crate::actors::writer::command::CommandError;
use crate::actors::writer::messages::QueuedCommand;
use crate::core::actor::Permit;
use crate::core::database::{self, Db, Postgres, QueryError as SqlError};
use crate::core::fail_points;
use crate::domain::event::Event;
use crate::domain::timestamp::Timestamp;
use crate::storage::commit_log::{self, Appended, FORMAT, LOG_ROWS_MAX, LoggedCommit, NewLogRow, Tail};

/// How long batches wait for a new connection after it was lost. Later ones are refused at once.
pub(super) const RECONNECT_MAX: Duration = Duration::from_secs(2);
/// How long a batch with an unclear COMMIT waits for a new connection: a failed answer is worse
/// than a late answer.
pub(super) const OUTCOME_MAX: Duration = Duration::from_secs(10);
/// Pause between two tries to connect.
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);
/// Number of commits that stay in the log for nodes that are behind.
const LOG_KEPT: i64 = 20_000;
/// Age of commits that stay in the log, in milliseconds.
const LOG_KEPT_MS: i64 = 15 * 60 * 1000;
/// Interval in commits at which old rows of the log are deleted.
const LOG_TRIM_COMMITS: i64 = 512;

/// The executor's position in the log of commits, on PostgreSQL.
#[derive(Default)]
pub(super) struct LogPosition {
    /// The number of this node.
    pub(super) node: i16,
    /// The time of the first failed try to connect, until the next one succeeds.
    pub(super) away_since: Option<Instant>,
    /// The id of the newest known commit. `None` before the log was read.
    batch: Option<Vec<u8>>,
    /// The id of the batch that is being committed.
    pub(super) attempt: [u8; 16],
    /// The row of that batch.
    pub(super) row: Appended,
    /// Commits of other nodes that are not published yet.
    pub(super) others: Vec<Committed>,
    pub(super) reload: bool,
    /// Whether something was read after the last confirmed COMMIT.
    is_unconfirmed: bool,
    /// Permits of commands whose batch is not committed yet.
    pub(super) permits: Vec<Permit>,
    /// The time of the server at the beginning of the transaction.
    now: Option<Timestamp>,
    /// The place that the node has published.
    newest: Option<Published>,
    /// The version of events that all running nodes read. `None`: this node is alone.
    format: Option<Arc<AtomicI16>>,
}

/// The place in the log that other parts of the server read.
struct Published {
    newest: NewestCommit,
    epoch: i64,
}

impl LogPosition {
    /// Prepares the row of a batch with a new id, for the COMMIT.
    pub(super) fn append(
        &mut self,
        db: &mut Postgres,
        commit_no: i64,
        events: &[Event],
    ) -> Result<(), SqlError> {
        let encoded = commit_log::encode(events);
        let events = encoded.map_err(|error| SqlError::SerializationError(Box::new(error)))?;
        self.attempt = rand::random();
        let created_at = self.now.map_or(0, |now| now.0);
        let batch = self.attempt.as_slice();
        let row = NewLogRow {
            commit_no,
            batch,
            node: self.node,
            effect: 0,
            format: self.format.as_ref().map_or(FORMAT, |format| format.load(Relaxed)),
            events: &events,
            created_at,
        };
        self.row = commit_log::append(db, &row)?;
        if commit_no % LOG_TRIM_COMMITS == 0 {
            commit_log::trim(db, commit_no - LOG_KEPT, created_at - LOG_KEPT_MS)?;
        }
        Ok(())
    }

    /// Sets the version of events that is written.
    pub(super) fn write_format(&mut self, format: Arc<AtomicI16>) {
        self.format = Some(format);
    }

    /// Sets the place of which [`BatchExecutor::announce`] keeps the commit up to date.
    pub(super) fn publish_to(&mut self, newest: NewestCommit, epoch: i64) {
        self.newest = Some(Published { newest, epoch });
    }

    /// Records that the attempt is committed, and everything before it.
    pub(super) fn committed(&mut self) {
        self.is_unconfirmed = false;
        self.batch = Some(self.attempt.to_vec());
    }
}

/// The reason why no transaction began.
#[derive(Debug, thiserror::Error)]
pub(super) enum BeginError {
    #[error(transparent)]
    Database(#[from] SqlError),
    #[error("the database lacks commit {0}, which was acknowledged or read before")]
    Lost(i64),
    #[error("another node has set a new epoch: the database lacks commits that it knew")]
    Epoch,
}

impl BatchExecutor {
    /// Makes the newest known commit public. Called after it was published to the cache, and before
    /// the batch is answered.
    pub fn announce(&self) {
        let Some(Published { newest, .. }) = &self.log.newest else { return };
        newest.publish(self.place());
        self.metrics.applied.set(self.commit_no);
    }

    /// Records that answers may come from the newest known commit. Called before it is published to
    /// the cache.
    pub fn show(&self) {
        let Some(Published { newest, .. }) = &self.log.newest else { return };
        newest.show(self.place());
    }

    fn place(&self) -> Place {
        let batch = self.log.batch.as_ref().and_then(|batch| batch.as_slice().try_into().ok());
        let epoch = self.log.newest.as_ref().map_or(0, |published| published.epoch);
        Place { epoch, commit_no: self.commit_no, batch }
    }

    /// Begins a transaction that writes. Returns the time of the database, if it has one.
    pub(super) fn begin_transaction(&mut self) -> Result<Option<Timestamp>, BeginError> {
        let begun = Instant::now();
        loop {
            let Db::Postgres(db) = &mut self.db else {
                return Ok(self.db.begin_write().map(|()| None)?);
            };
            let asked = Instant::now();
            match commit_log::begin(db, self.commit_no) {
                Ok(tail) => {
                    self.metrics.lock_wait.observe(asked.elapsed().as_secs_f64());
                    let now = tail.now;
                    self.log.now = now;
                    self.apply(tail)?;
                    return Ok(now);
                }
                Err(error) if db.lost(&error) && begun.elapsed() < RECONNECT_MAX => {
                    warn!(%error, "the connection to the database was lost");
                    if !self.reconnects(RECONNECT_MAX) {
                        return Err(error.into());
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Reads the commits of other nodes, without a transaction of its own. Returns a batch of no
    /// commands.
    pub fn read_log(&mut self) -> Result<Batch, SqlError> {
        let commit_no = self.commit_no;
        if self.is_away() {
            let kind = DatabaseErrorKind::ClosedConnection;
            return Err(SqlError::DatabaseError(kind, Box::new("the database is away".to_owned())));
        }
        let Db::Postgres(db) = &mut self.db else { return Ok(Batch::answering(Vec::new())) };
        let mut read = commit_log::tail(db, commit_no);
        if let Err(error) = &read
            && db.lost(error)
        {
            if self.reconnects(Duration::ZERO) {
                // The connection may have ended while it was idle.
                if let Db::Postgres(db) = &mut self.db {
                    read = commit_log::tail(db, commit_no);
                }
            } else if self.log.away_since.is_some_and(|since| since.elapsed() > RECONNECT_MAX) {
                self.refuse_writes(CommandError::DatabaseAway);
            }
        }
        let applied = self.apply(read?);
        let mut batch = Batch::answering(Vec::new());
        match applied {
            Ok(()) => {}
            Err(BeginError::Database(error)) => return Err(error),
            Err(error @ (BeginError::Lost(_) | BeginError::Epoch)) => {
                batch = self.begin_failed(Vec::new(), &error);
            }
        }
        batch.others = std::mem::take(&mut self.log.others);
        batch.reload = std::mem::take(&mut self.log.reload);
        Ok(batch)
    }

    /// Refuses a log that was read under another epoch.
    pub(super) fn check_epoch(&self, tail: &Tail) -> Result<(), BeginError> {
        let own = self.log.newest.as_ref().map(|published| published.epoch);
        match own.zip(tail.epoch) {
            Some((own, found)) if own != found => Err(BeginError::Epoch),
            _ => Ok(()),
        }
    }

    /// Applies the commits of other nodes.
    fn apply(&mut self, tail: Tail) -> Result<(), BeginError> {
        self.check_epoch(&tail)?;
        let is_long = tail.rows.len() >= LOG_ROWS_MAX;
        let mut rows = tail.rows.into_iter();
        let first = rows.next();
        if first.as_ref().is_some_and(|row| row.commit_no > self.commit_no) {
            return self.skip_to_newest();
        }
        let known = first.filter(|row| self.log.batch.as_ref().is_none_or(|batch| *batch == row.batch));
        if known.is_none() && fail_points::fails(fail_points::LOST_IGNORED) {
            return Ok(());
        }
        let Some(known) = known else { return Err(BeginError::Lost(self.commit_no)) };
        self.log.batch = Some(known.batch);
        if is_long {
            return self.skip_to_newest();
        }
        for row in rows {
            self.publish_other(row);
        }
        Ok(())
    }

    fn publish_other(&mut self, row: LoggedCommit) {
        let LoggedCommit { commit_no, batch, format, events, .. } = row;
        let events = if format <= FORMAT { commit_log::decode(&events).ok() } else { None };
        match events {
            Some(events) => {
                self.writer_cache.learn_commit(&events);
                self.log.others.push(Committed { commit_no, events, permits: Vec::new() });
            }
            None => {
                self.writer_cache.rolled_back();
                info!(commit_no, format, "a commit of another version: the read models are loaded again");
                self.log.reload = true;
            }
        }
        self.metrics.remote.inc();
        self.log.is_unconfirmed = true;
        self.commit_no = commit_no;
        self.log.batch = Some(batch);
        self.metrics.applied.set(commit_no);
    }

    /// Continues at the newest commit; the cache loads a snapshot.
    fn skip_to_newest(&mut self) -> Result<(), BeginError> {
        warn!(commit_no = self.commit_no, "this node is far behind: the read models are loaded again");
        self.commit_no = commit_log::last(&mut self.db)?;
        self.metrics.applied.set(self.commit_no);
        self.log.others.clear();
        self.log.reload = true;
        self.log.is_unconfirmed = true;
        self.log.batch = None;
        self.writer_cache.rolled_back();
        Ok(())
    }

    /// Returns whether a batch without writes commits too: it may answer with what another node
    /// has committed. A row of the log may be visible and not replicated; a later COMMIT that the
    /// server confirms shows that it is.
    pub(super) fn must_confirm(&self) -> bool {
        matches!(self.db, Db::Postgres(_)) && self.log.is_unconfirmed
    }

    /// Makes the first batch commit, even without writes. Called if commits were read that no
    /// COMMIT of this node has followed. At the start of a node that is alone, its registration
    /// has.
    #[must_use]
    pub fn unconfirmed(mut self) -> Self {
        self.log.is_unconfirmed = true;
        self
    }

    /// Returns whether the error means that the connection to PostgreSQL was lost.
    pub(super) fn lost_connection(&self, error: &SqlError) -> bool {
        matches!(&self.db, Db::Postgres(db) if db.lost(error))
    }

    /// Connects again, if that is possible within this time of the first failed try.
    pub(super) fn reconnects(&mut self, within: Duration) -> bool {
        let Db::Postgres(db) = &mut self.db else { return false };
        self.writer_cache.rolled_back();
        let connected = loop {
            let Err(error) = db.reconnect() else {
                self.log.away_since = None;
                break true;
            };
            let since = *self.log.away_since.get_or_insert_with(Instant::now);
            warn!(%error, "the database cannot be reached");
            if since.elapsed() >= within {
                break false;
            }
            self.outage.set(since.elapsed() >= RECONNECT_MAX);
            std::thread::sleep(RECONNECT_PAUSE);
        };
        self.outage.set(false);
        connected
    }

    pub(super) fn begin_failed(
        &mut self,
        commands: Vec<Box<dyn QueuedCommand>>,
        error: &BeginError,
    ) -> Batch {
        match error {
            BeginError::Database(error) => {
                // BEGIN may have succeeded: without a ROLLBACK, no later transaction could begin.
                self.roll_back();
                let is_sqlite = matches!(self.db, Db::Sqlite(_));
                if is_sqlite || self.lost_connection(error) || database::is_full(error) {
                    return self.database_failed(commands, error, "begin");
                }
                // The commit lock was not free in time. Nothing was executed.
                self.metrics.failed.inc();
                error!(%error, "no transaction could begin");
                Self::failed(commands, &CommandError::DatabaseAway)
            }
            BeginError::Lost(_) => {
                error!(%error, "the database is older than what this server has read; the process ends, and \
                                the next start sets a new epoch");
                let fatal = Some(Fatal::DatabaseLost);
                Batch { fatal, ..Self::failed(commands, &CommandError::Internal) }
            }
            BeginError::Epoch => {
                error!(%error, "the logins and tokens that this server knows have ended; the process ends");
                let fatal = Some(Fatal::OtherEpoch);
                Batch { fatal, ..Self::failed(commands, &CommandError::Internal) }
            }
        }
    }

    /// Returns how the writer cache differs from the database.
    #[cfg(test)]
    pub fn cache_differences(&mut self) -> Vec<String> {
        self.writer_cache.differences(&mut self.db)
    }

    /// Fails the batch, and refuses the next ones until the database answers again.
    pub(super) fn database_away(&mut self, commands: Vec<Box<dyn QueuedCommand>>, error: &SqlError) -> Batch {
        error!(%error, "the database cannot be reached: writes are refused until it answers");
        self.refuse_writes(CommandError::DatabaseAway);
        Self::failed(commands, &CommandError::DatabaseAway)
    }
}
