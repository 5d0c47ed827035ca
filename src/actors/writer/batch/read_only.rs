//! Refuses writes while the disk is full, or while PostgreSQL cannot be reached.

use std::time::{Duration, Instant};

use diesel::result::Error as SqlError;
use tracing::info;

use super::BatchExecutor;
use crate::actors::writer::command::CommandError;
use crate::core::database::Db;
use crate::storage::queries::meta;

/// Rows that the probe of a full disk writes: success then means space for a batch.
const PROBE_ROWS: i64 = 64;

/// The state of an executor that refuses writes.
pub(super) struct Refusal {
    /// The time of the failure, or of the last probe.
    since: Instant,
    cause: CommandError,
}

impl BatchExecutor {
    /// Refuses the next batches with this error, until a probe succeeds.
    pub(super) fn refuse_writes(&mut self, cause: CommandError) {
        self.read_only = Some(Refusal { since: Instant::now(), cause });
        self.metrics.read_only.set(1);
    }

    /// Returns whether writes are refused. Probes the disk once per `limits.read_only_probe_ms`.
    pub fn is_read_only(&mut self) -> bool {
        let Some(refusal) = &self.read_only else { return false };
        if refusal.since.elapsed() < Duration::from_millis(self.limits.read_only_probe_ms) {
            return true;
        }
        match self.probe() {
            Ok(()) => {
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

    /// Writes rows and deletes them again, in one commit. On PostgreSQL: connects again.
    fn probe(&mut self) -> Result<(), SqlError> {
        if let Db::Postgres(db) = &mut self.db {
            let failed = |error| SqlError::QueryBuilderError(Box::new(error));
            return db.reconnect().map_err(failed);
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
        written
    }
}
