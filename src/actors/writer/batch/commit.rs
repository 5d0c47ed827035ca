//! The COMMIT of a batch.

use std::time::Instant;

use diesel::result::DatabaseErrorKind;
use tracing::{error, warn};

use super::outcome::CommitOutcome;
use super::transaction::RECONNECT_MAX;
use super::{Batch, BatchExecutor, Fatal};
use crate::actors::commit::Committed;
use crate::actors::writer::command::CommandError;
use crate::actors::writer::messages::QueuedCommand;
use crate::core::bus::{Bus, Topic};
use crate::core::database::{self, Db, QueryError as SqlError};
use crate::core::fail_points;
use crate::domain::event::Event;
use crate::storage::queries::meta;

/// Maximum number of tries of a COMMIT that meets a lock; each waits for SQLite's busy timeout.
const COMMIT_TRIES: usize = 3;

impl BatchExecutor {
    /// Sets the bus that receives a hint after each commit.
    #[must_use]
    pub fn hinting(self, hints: Option<Bus>) -> Self {
        Self { hints, ..self }
    }

    /// Sends a hint of a commit to the other nodes.
    pub(in crate::actors::writer) fn send_hint(&self) {
        if let Some(bus) = &self.hints {
            bus.publish(Topic::Commit, Vec::new());
        }
    }

    pub(super) fn commit(
        &mut self,
        mut commands: Vec<Box<dyn QueuedCommand>>,
        events: Vec<Event>,
    ) -> CommitOutcome {
        let commit_no = self.commit_no + 1;
        let logged = match &mut self.db {
            Db::Sqlite(_) => meta::set(&mut self.db, meta::COMMIT_NO, commit_no),
            Db::Postgres(db) => self.log.append(db, commit_no, &events),
        };
        if let Err(error) = logged {
            self.roll_back();
            if self.can_run_again(&error) {
                warn!(%error, "the commit could not be logged; the batch runs again");
                self.metrics.replayed.inc();
                return CommitOutcome::RunAgain(commands);
            }
            return CommitOutcome::Known(self.database_failed(commands, &error, "log the commit"));
        }
        // Everything that can fail is done before COMMIT.
        self.log.permits.extend(commands.iter_mut().filter_map(|command| command.take_permit()));
        fail_points::reach(fail_points::BEFORE_COMMIT);
        match self.try_commit() {
            Ok(()) => {
                fail_points::reach(fail_points::AFTER_COMMIT);
                CommitOutcome::Known(self.committed(commands, events))
            }
            // Another node committed without the commit lock: the row was refused.
            Err(error) if self.was_outrun(&error) => {
                self.roll_back();
                self.metrics.replayed.inc();
                CommitOutcome::RunAgain(commands)
            }
            // Any other error of PostgreSQL may follow the commit itself: the log is read.
            Err(error)
                if matches!(self.db, Db::Postgres(_))
                    && !database::is_constraint_violation(&error)
                    && !database::is_full(&error) =>
            {
                self.resolve(commands, events, &error)
            }
            // A deferred constraint leaves the transaction open: that outcome is clear.
            Err(error)
                if database::is_full(&error)
                    || database::is_busy(&error)
                    || database::is_constraint_violation(&error) =>
            {
                self.roll_back();
                CommitOutcome::Known(self.database_failed(commands, &error, "commit"))
            }
            Err(error) => {
                error!(%error, "COMMIT failed with an unclear outcome; the process ends");
                let fatal = Some(Fatal::CommitUnclear);
                CommitOutcome::Known(Batch { fatal, ..Self::failed(commands, &CommandError::Internal) })
            }
        }
    }

    /// Returns whether a batch whose row was refused can run again: the connection was lost, or
    /// another node committed without the commit lock.
    fn can_run_again(&mut self, error: &SqlError) -> bool {
        self.was_outrun(error) || (self.lost_connection(error) && self.reconnects(RECONNECT_MAX))
    }

    /// Returns whether the number of the commit was taken.
    fn was_outrun(&self, error: &SqlError) -> bool {
        let kind = DatabaseErrorKind::UniqueViolation;
        matches!(self.db, Db::Postgres(_))
            && matches!(error, SqlError::DatabaseError(found, _) if *found == kind)
    }

    /// Records that the transaction is committed.
    pub(super) fn committed(&mut self, commands: Vec<Box<dyn QueuedCommand>>, events: Vec<Event>) -> Batch {
        self.commit_no += 1;
        self.log.committed();
        self.writer_cache.committed();
        self.metrics.seconds.observe(self.begun.elapsed().as_secs_f64());
        self.metrics.batch_size.observe(f64::from(u32::try_from(commands.len()).unwrap_or(u32::MAX)));
        let permits = std::mem::take(&mut self.log.permits);
        let committed = Some(Committed { commit_no: self.commit_no, events, permits });
        Batch { committed, ..Batch::answering(commands) }
    }

    fn try_commit(&mut self) -> Result<(), SqlError> {
        let begun = Instant::now();
        let committed = self.try_commit_for_long();
        self.metrics.sync_seconds.observe(begun.elapsed().as_secs_f64());
        committed
    }

    fn try_commit_for_long(&mut self) -> Result<(), SqlError> {
        let mut tries = 0;
        fail_points::instead_of_commit()?;
        if let Db::Postgres(db) = &mut self.db {
            return super::outcome::commit(db, &self.log.row, self.log.node);
        }
        loop {
            tries += 1;
            match self.db.batch_execute("COMMIT") {
                Err(error) if database::is_busy(&error) && tries < COMMIT_TRIES => {
                    warn!(tries, "COMMIT failed because the database is locked; trying again");
                }
                outcome => return outcome,
            }
        }
    }
}
