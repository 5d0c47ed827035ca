//! Read replicas: standby servers of PostgreSQL that answer reads of history in place of the
//! primary.
//!
//! Invariants
//! * A replica answers only in a transaction that sees the newest commit that any answer of this
//!   node may come from. An answer from a replica is never older than the state in memory.
//! * Otherwise the primary answers: behind a slow replica, without a replica, and after any error.
//! * Replicas take at most half of the permits of the pool: a replica that hangs leaves room.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use diesel::QueryResult;
use diesel::r2d2::{NopErrorHandler, Pool as Connections, PoolError};
use tokio::sync::Semaphore;

use super::commit_log;
use super::metrics::{ReadMetrics, ReplicaOutcome};
use super::readers::Opener;
use crate::core::database::Db;
use crate::core::database::postgres::{Server, is_lost};
use crate::core::limits::Limits;
use crate::core::saturate;
use crate::core::telemetry::chain;

/// Maximum time that a read waits for a connection to a replica.
const CONNECTION_WAIT: Duration = Duration::from_millis(500);
/// The primary answers for this long after a replica was behind.
const BEHIND_PAUSE: Duration = Duration::from_millis(200);
/// The primary answers for this long after a read from a replica failed.
const FAILED_PAUSE: Duration = Duration::from_secs(5);

/// The commit that an answer must include.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Included {
    pub epoch: i64,
    pub commit_no: i64,
    /// The id of the batch.
    pub batch: [u8; 16],
}

/// Returns the newest visible commit; `None` if its batch is not known.
type NewestVisible = dyn Fn() -> Option<Included> + Send + Sync;

/// Connections to the replicas. Clones share them.
#[derive(Clone)]
pub struct Replicas {
    connections: Connections<Opener>,
    newest: Arc<NewestVisible>,
    /// Reads that run, or wait for a connection.
    running: Arc<Semaphore>,
    created: Instant,
    /// Milliseconds from `created` until which the primary answers.
    paused_until_ms: Arc<AtomicU64>,
    metrics: ReadMetrics,
}

impl Replicas {
    /// Opens connections when reads need them. `newest` returns the newest visible commit.
    ///
    /// # Errors
    /// If the pool cannot be made.
    pub fn new(
        server: Arc<Server>,
        limits: &Limits,
        newest: impl Fn() -> Option<Included> + Send + Sync + 'static,
        metrics: ReadMetrics,
    ) -> Result<Self, PoolError> {
        let reads_max = (limits.readers / 2).max(1);
        let connections = Connections::builder()
            .max_size(u32::try_from(reads_max).unwrap_or(u32::MAX))
            .min_idle(Some(0))
            .test_on_check_out(true)
            .connection_timeout(CONNECTION_WAIT)
            // `read` logs the cause, and then pauses. The pool would log each attempt.
            .error_handler(Box::new(NopErrorHandler))
            .build(Opener::Replica(server))?;
        let (newest, running) = (Arc::new(newest), Arc::new(Semaphore::new(reads_max)));
        let (created, paused_until_ms) = (Instant::now(), Arc::default());
        Ok(Self { connections, newest, running, created, paused_until_ms, metrics })
    }

    /// Runs the query at a replica. `None`: the primary must answer. Waits on this thread.
    pub(super) fn read<T>(&self, query: &impl Fn(&mut Db) -> QueryResult<T>) -> Option<T> {
        if saturate::millis(self.created.elapsed()) < self.paused_until_ms.load(Relaxed) {
            return None;
        }
        let _running = self.running.try_acquire().ok()?;
        let Some(included) = (self.newest)() else {
            self.metrics.replica(ReplicaOutcome::Behind);
            return None;
        };
        let outcome = match self.connections.get() {
            Ok(mut connection) => {
                let outcome = read_at(&mut connection, included, query);
                if outcome.as_ref().is_err_and(is_lost) {
                    connection.mark_broken();
                }
                outcome.map_err(|error| chain(&error).to_string())
            }
            Err(error) => Err(chain(&error).to_string()),
        };
        match outcome {
            Ok(Some(rows)) => {
                self.metrics.replica(ReplicaOutcome::Answered);
                Some(rows)
            }
            Ok(None) => {
                self.pause(BEHIND_PAUSE);
                self.metrics.replica(ReplicaOutcome::Behind);
                None
            }
            Err(error) => {
                tracing::warn!(error, "a read replica failed; the primary answers for some seconds");
                self.pause(FAILED_PAUSE);
                self.metrics.replica(ReplicaOutcome::Failed);
                None
            }
        }
    }

    fn pause(&self, time: Duration) {
        self.paused_until_ms.store(saturate::millis(self.created.elapsed() + time), Relaxed);
    }
}

/// Runs the query if the replica has the commit; both see the same commits.
fn read_at<T>(
    db: &mut Db,
    included: Included,
    query: &impl Fn(&mut Db) -> QueryResult<T>,
) -> QueryResult<Option<T>> {
    db.begin_read()?;
    let rows = match commit_log::includes(db, included.epoch, included.commit_no, &included.batch) {
        Ok(true) => query(db).map(Some),
        Ok(false) => Ok(None),
        Err(error) => Err(error),
    };
    let ended = db.batch_execute("COMMIT");
    let rows = rows?;
    ended?;
    Ok(rows)
}
