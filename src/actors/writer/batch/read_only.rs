//! Refuses writes while the disk is full, or while PostgreSQL cannot be reached.
//!
//! Invariant: while writes are refused, the writer waits for nothing. A new connection to
//! PostgreSQL is opened on a thread of its own.

use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use diesel::result::Error as SqlError;
use tracing::info;

use super::BatchExecutor;
use crate::actors::writer::command::CommandError;
use crate::core::database::postgres::PostgresError;
use crate::core::database::{Db, Postgres};
use crate::storage::queries::meta;

/// Rows that the probe of a full disk writes: success then means space for a batch.
const PROBE_ROWS: i64 = 64;

/// The state of an executor that refuses writes.
pub(super) struct Refusal {
    /// The time of the failure, or of the last probe.
    since: Instant,
    cause: CommandError,
    /// A connection that is being opened.
    opening: Option<Receiver<Result<Postgres, PostgresError>>>,
}

impl BatchExecutor {
    /// Refuses the next batches with this error, until a probe succeeds.
    pub(super) fn refuse_writes(&mut self, cause: CommandError) {
        self.read_only = Some(Refusal { since: Instant::now(), cause, opening: None });
        self.metrics.read_only.set(1);
    }

    /// Returns whether PostgreSQL cannot be reached.
    pub(super) fn is_away(&mut self) -> bool {
        let is_away = |refusal: &Refusal| matches!(refusal.cause, CommandError::DatabaseAway);
        self.read_only.as_ref().is_some_and(is_away) && self.is_read_only()
    }

    /// Returns whether writes are refused. Probes the database once per
    /// `limits.read_only_probe_ms`.
    pub fn is_read_only(&mut self) -> bool {
        let Some(refusal) = &self.read_only else { return false };
        let is_opening = refusal.opening.is_some();
        if !is_opening && refusal.since.elapsed() < Duration::from_millis(self.limits.read_only_probe_ms) {
            return true;
        }
        match self.probe() {
            Ok(false) => true,
            Ok(true) => {
                info!("the database can be written again: writes are accepted");
                self.read_only = None;
                self.metrics.read_only.set(0);
                false
            }
            Err(error) => {
                tracing::debug!(%error, "the database still cannot be written");
                if let Some(refusal) = &mut self.read_only {
                    refusal.since = Instant::now();
                }
                true
            }
        }
    }

    /// Returns the reason why writes are refused.
    pub(super) fn refusal(&self) -> CommandError {
        self.read_only.as_ref().map_or(CommandError::ReadOnly, |refusal| refusal.cause.clone())
    }

    /// Returns whether the database can be written. Writes rows and deletes them again, in one
    /// commit. On PostgreSQL: begins to connect, or takes the connection that was opened.
    fn probe(&mut self) -> Result<bool, SqlError> {
        let failed = |error| SqlError::QueryBuilderError(Box::new(error));
        if let (Db::Postgres(db), Some(refusal)) = (&mut self.db, &mut self.read_only) {
            let Some(opening) = &refusal.opening else {
                refusal.opening = Some(db.open_another());
                return Ok(false);
            };
            let opened = match opening.try_recv() {
                Ok(opened) => opened,
                Err(TryRecvError::Empty) => return Ok(false),
                Err(TryRecvError::Disconnected) => Err(PostgresError::Ended),
            };
            refusal.opening = None;
            **db = opened.map_err(failed)?;
            self.log.away_since = None;
            self.writer_cache.rolled_back();
            return Ok(true);
        }
        let written = self.db.begin_write().and_then(|()| {
            for row in 0..PROBE_ROWS {
                meta::set(&mut self.db, &format!("probe-{row}-{}", "x".repeat(1000)), row)?;
            }
            for row in 0..PROBE_ROWS {
                meta::delete(&mut self.db, &format!("probe-{row}-{}", "x".repeat(1000)))?;
            }
            self.db.batch_execute("COMMIT")
        });
        if written.is_err() {
            self.roll_back();
        }
        written.map(|()| true)
    }
}
