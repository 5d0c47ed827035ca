//! The beginning of a transaction. On PostgreSQL: the commit lock, and the commits of other nodes.
//!
//! Invariants
//! * A batch executes only after the executor has applied every commit before it: the log is read
//!   behind the commit lock.
//! * The first row that is read is the newest commit that this executor knows, with the same id.
//!   Otherwise the database has lost commits, and no answer may come from what is in memory.

use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use super::{Batch, BatchExecutor};
use crate::actors::commit::Committed;
use crate::actors::writer::command::CommandError;
use crate::actors::writer::messages::QueuedCommand;
use crate::core::actor::Permit;
use crate::core::database::{Db, Postgres, QueryError as SqlError};
use crate::core::fail_points;
use crate::domain::event::Event;
use crate::domain::timestamp::Timestamp;
use crate::storage::commit_log::{self, FORMAT, LOG_ROWS_MAX, LoggedCommit, NewLogRow, Tail};

/// Maximum time for which a batch waits for a new connection.
const RECONNECT_MAX: Duration = Duration::from_secs(10);
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
    /// The id of the newest known commit. `None` before the log was read.
    batch: Option<Vec<u8>>,
    /// The id of the batch that is being committed.
    pub(super) attempt: [u8; 16],
    /// Commits of other nodes that are not published yet.
    pub(super) others: Vec<Committed>,
    pub(super) reload: bool,
    /// Permits of commands whose batch is not committed yet.
    pub(super) permits: Vec<Permit>,
    /// The time of the server at the beginning of the transaction.
    now: Option<Timestamp>,
}

impl LogPosition {
    /// Inserts the row of a batch with a new id.
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
            format: FORMAT,
            events: &events,
            created_at,
        };
        commit_log::append(db, &row)?;
        if commit_no % LOG_TRIM_COMMITS == 0 {
            commit_log::trim(db, commit_no - LOG_KEPT, created_at - LOG_KEPT_MS)?;
        }
        Ok(())
    }

    /// Records that the attempt is committed.
    pub(super) fn committed(&mut self) {
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
}

impl BatchExecutor {
    /// Begins a transaction that writes. Returns the time of the database, if it has one.
    pub(super) fn begin_transaction(&mut self) -> Result<Option<Timestamp>, BeginError> {
        let begun = Instant::now();
        loop {
            let Db::Postgres(db) = &mut self.db else {
                return Ok(self.db.begin_write().map(|()| None)?);
            };
            match commit_log::begin(db, self.commit_no) {
                Ok(tail) => {
                    let now = tail.now;
                    self.log.now = now;
                    self.apply(tail)?;
                    return Ok(now);
                }
                Err(error) if db.lost(&error) && begun.elapsed() < RECONNECT_MAX => {
                    warn!(%error, "the connection to the database was lost");
                    self.reconnects();
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Reads the commits of other nodes, without a transaction of its own. Returns a batch of no
    /// commands.
    pub fn read_log(&mut self) -> Result<Batch, SqlError> {
        let commit_no = self.commit_no;
        let Db::Postgres(db) = &mut self.db else { return Ok(Batch::answering(Vec::new())) };
        let read = commit_log::tail(db, commit_no);
        if let Err(error) = &read
            && db.lost(error)
            && let Err(error) = db.reconnect()
        {
            warn!(%error, "the database cannot be reached");
        }
        let applied = self.apply(read?);
        let mut batch = Batch::answering(Vec::new());
        match applied {
            Ok(()) => {}
            Err(BeginError::Database(error)) => return Err(error),
            Err(error @ BeginError::Lost(_)) => batch = self.begin_failed(Vec::new(), &error),
        }
        batch.others = std::mem::take(&mut self.log.others);
        batch.reload = std::mem::take(&mut self.log.reload);
        Ok(batch)
    }

    /// Applies the commits of other nodes.
    fn apply(&mut self, tail: Tail) -> Result<(), BeginError> {
        let is_long = tail.rows.len() >= LOG_ROWS_MAX;
        let mut rows = tail.rows.into_iter();
        let known = rows.next().filter(|row| row.commit_no == self.commit_no);
        let known = known.filter(|row| self.log.batch.as_ref().is_none_or(|batch| *batch == row.batch));
        if known.is_none() && fail_points::fails(fail_points::LOST_IGNORED) {
            return Ok(());
        }
        let Some(known) = known else { return Err(BeginError::Lost(self.commit_no)) };
        self.log.batch = Some(known.batch);
        if is_long {
            return self.skip_to_newest();
        }
        for row in rows {
            // The writer cache may lack the changes of another node.
            self.writer_cache.rolled_back();
            self.publish_other(row);
        }
        Ok(())
    }

    fn publish_other(&mut self, row: LoggedCommit) {
        let LoggedCommit { commit_no, batch, format, events, .. } = row;
        let events = if format <= FORMAT { commit_log::decode(&events).ok() } else { None };
        match events {
            Some(events) => self.log.others.push(Committed { commit_no, events, permits: Vec::new() }),
            None => {
                info!(commit_no, format, "a commit of another version: the read models are loaded again");
                self.log.reload = true;
            }
        }
        self.commit_no = commit_no;
        self.log.batch = Some(batch);
    }

    /// Continues at the newest commit; the cache loads a snapshot.
    fn skip_to_newest(&mut self) -> Result<(), BeginError> {
        warn!(commit_no = self.commit_no, "this node is far behind: the read models are loaded again");
        self.commit_no = commit_log::last(&mut self.db)?;
        self.log.others.clear();
        self.log.reload = true;
        self.log.batch = None;
        self.writer_cache.rolled_back();
        Ok(())
    }

    /// Returns whether a batch without writes commits too: it may answer with what another node
    /// committed a moment ago, and that must not be lost.
    pub(super) fn must_confirm(&self) -> bool {
        !self.log.others.is_empty()
    }

    /// Returns whether the error means that the connection to PostgreSQL was lost.
    pub(super) fn lost_connection(&self, error: &SqlError) -> bool {
        matches!(&self.db, Db::Postgres(db) if db.lost(error))
    }

    /// Connects again, if that is possible within [`RECONNECT_MAX`].
    pub(super) fn reconnects(&mut self) -> bool {
        let begun = Instant::now();
        let Db::Postgres(db) = &mut self.db else { return false };
        self.writer_cache.rolled_back();
        loop {
            match db.reconnect() {
                Ok(()) => return true,
                Err(error) if begun.elapsed() < RECONNECT_MAX => {
                    warn!(%error, "the database cannot be reached; trying again");
                    std::thread::sleep(RECONNECT_PAUSE);
                }
                Err(error) => {
                    error!(%error, "the database cannot be reached: writes are refused");
                    return false;
                }
            }
        }
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
                self.database_failed(commands, error, "begin")
            }
            BeginError::Lost(_) => {
                error!(%error, "the database is older than what this server has read; the process ends, and \
                                the next start sets a new epoch");
                Batch { lost: true, ..Self::failed(commands, &CommandError::Internal, true) }
            }
        }
    }

    /// Fails the batch, and refuses the next ones until the database answers again.
    pub(super) fn database_away(&mut self, commands: Vec<Box<dyn QueuedCommand>>, error: &SqlError) -> Batch {
        error!(%error, "the database cannot be reached: writes are refused until it answers");
        self.refuse_writes(CommandError::DatabaseAway);
        Self::failed(commands, &CommandError::DatabaseAway, false)
    }
}
