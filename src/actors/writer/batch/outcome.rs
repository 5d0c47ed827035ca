//! A COMMIT on PostgreSQL whose answer did not arrive.
//!
//! Invariant: the outcome is read from the log of commits before anything else is executed or
//! answered. The commit lock is taken for that: the transaction in question has then ended.

use tracing::{info, warn};

use super::transaction::{BeginError, OUTCOME_MAX};
use super::{Batch, BatchExecutor};
use crate::actors::writer::command::CommandError;
use crate::actors::writer::messages::QueuedCommand;
use crate::core::database::{Db, Postgres, QueryError as SqlError};
use crate::core::fail_points;
use crate::domain::event::Event;
use crate::storage::commit_log::{self, Appended};

/// Maximum number of connections that are tried to read the outcome.
const RESOLVE_TRIES: usize = 3;

/// The outcome of a COMMIT.
pub(super) enum CommitOutcome {
    Known(Batch),
    /// Nothing was committed, and the commands can run again.
    RunAgain(Vec<Box<dyn QueuedCommand>>),
}

/// Commits, with the row of the log. A warning of the server makes the outcome unclear: the commit
/// may not be replicated.
pub(super) fn commit(db: &mut Postgres, row: &Appended, node: i16) -> Result<(), SqlError> {
    db.expect_no_warning();
    commit_log::commit(db, row, node)?;
    if db.warned() || fail_points::fails(fail_points::COMMIT_UNCLEAR) {
        let kind = diesel::result::DatabaseErrorKind::ClosedConnection;
        return Err(SqlError::DatabaseError(kind, Box::new("the COMMIT was not confirmed".to_owned())));
    }
    Ok(())
}

impl BatchExecutor {
    /// Reads the outcome of the COMMIT from the log.
    pub(super) fn resolve(
        &mut self,
        commands: Vec<Box<dyn QueuedCommand>>,
        events: Vec<Event>,
        error: &SqlError,
    ) -> CommitOutcome {
        warn!(%error, "the outcome of a COMMIT is unclear; reading the log of commits");
        if fail_points::fails(fail_points::UNCLEAR_BELIEVED) && self.reconnects(OUTCOME_MAX) {
            return CommitOutcome::Known(self.confirmed(commands, events));
        }
        let attempt = self.log.attempt;
        for _ in 0..RESOLVE_TRIES {
            if !self.reconnects(OUTCOME_MAX) {
                break;
            }
            match self.is_in_log(attempt) {
                Ok(true) => match self.confirm(attempt) {
                    Ok(()) => return CommitOutcome::Known(self.confirmed(commands, events)),
                    Err(error @ BeginError::Epoch) => {
                        drop(self.db.batch_execute("ROLLBACK"));
                        return CommitOutcome::Known(self.begin_failed(commands, &error));
                    }
                    Err(error) => warn!(%error, "a commit behind the batch was not confirmed"),
                },
                Ok(false) => {
                    info!(commit_no = self.commit_no + 1, "the batch was not committed; it runs again");
                    self.metrics.unclear("rolled_back").inc();
                    return CommitOutcome::RunAgain(commands);
                }
                Err(error) => warn!(%error, "the log of commits could not be read"),
            }
        }
        self.metrics.unclear("unknown").inc();
        // If the batch was committed, the next transaction finds it in the log, and publishes it as
        // a commit of another node.
        self.refuse_writes(CommandError::DatabaseAway);
        CommitOutcome::Known(Self::failed(commands, &CommandError::Internal))
    }

    /// Commits an empty row behind the batch. A row in the log may be visible and not replicated; a
    /// later commit that the server confirms shows that it is. The next transaction reads the empty
    /// row as that of another node.
    fn confirm(&mut self, attempt: [u8; 16]) -> Result<(), BeginError> {
        let node = self.log.node;
        let Db::Postgres(db) = &mut self.db else { return Ok(()) };
        let tail = commit_log::begin(db, self.commit_no + 1)?;
        self.check_epoch(&tail)?;
        let Db::Postgres(db) = &mut self.db else { return Ok(()) };
        let newest = tail.rows.last().map_or(self.commit_no + 1, |row| row.commit_no);
        self.log.append(db, newest + 1, &[])?;
        self.log.attempt = attempt;
        Ok(commit(db, &self.log.row, node)?)
    }

    /// Answers a batch that is in the log.
    fn confirmed(&mut self, commands: Vec<Box<dyn QueuedCommand>>, events: Vec<Event>) -> Batch {
        info!(commit_no = self.commit_no + 1, "the batch was committed");
        self.metrics.unclear("committed").inc();
        // The cursors of senders are computed again from the messages.
        self.writer_cache.rolled_back();
        self.committed(commands, events)
    }

    /// Returns whether the attempt is the commit after the newest known one.
    fn is_in_log(&mut self, attempt: [u8; 16]) -> Result<bool, SqlError> {
        let Db::Postgres(db) = &mut self.db else { return Ok(false) };
        let tail = commit_log::begin(db, self.commit_no)?;
        let next = tail.rows.iter().find(|row| row.commit_no == self.commit_no + 1);
        let found = next.is_some_and(|row| row.batch == attempt);
        self.db.batch_execute("ROLLBACK")?;
        Ok(found)
    }
}
