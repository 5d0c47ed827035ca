//! The read-only pool: reads history older than the cached windows, and the windows themselves
//! after a cache miss.
//!
//! The pool has `limits.readers` connections. The holder with the fewest running reads is next; a
//! read that waits longer than the patience is refused. Queries run on the runtime's blocking
//! threads.

use std::time::{Duration, Instant};

use diesel::QueryResult;
use diesel::r2d2::{ManageConnection, Pool as Connections, PoolError};
use tokio::task::JoinError;

use super::metrics::ReadMetrics;
use crate::core::actor::Overloaded;
use crate::core::database::postgres::{PostgresError, is_lost};
use crate::core::database::{DatabaseError, Db, Source};
use crate::core::limits::Limits;
use crate::core::shares::{Holder, Pool, PoolMeter, Rules};

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
    #[error("cannot read from the database: {0}")]
    Database(#[from] diesel::result::Error),
    #[error("no database connection: {0}")]
    Connection(#[from] PoolError),
    #[error("the task that read the database failed: {0}")]
    Task(#[from] JoinError),
}

impl ReadError {
    /// Returns whether PostgreSQL could not be reached.
    pub fn is_away(&self) -> bool {
        match self {
            Self::Database(error) => is_lost(error),
            Self::Connection(_) => true,
            Self::Overloaded(_) | Self::Task(_) => false,
        }
    }
}

/// A pool of read-only connections. Cheap to clone.
#[derive(Clone)]
pub struct Readers {
    connections: Connections<Opener>,
    permits: Pool,
    metrics: ReadMetrics,
}

/// Opens the connections of the pool.
#[derive(Debug)]
struct Opener(Source);

impl ManageConnection for Opener {
    type Connection = Db;
    type Error = DatabaseError;

    fn connect(&self) -> Result<Db, DatabaseError> {
        self.0.open_reader()
    }

    /// Without a round trip: a connection that ended while it was idle is replaced.
    fn is_valid(&self, db: &mut Db) -> Result<(), DatabaseError> {
        if db.is_broken() { Err(PostgresError::Ended.into()) } else { Ok(()) }
    }

    fn has_broken(&self, db: &mut Db) -> bool {
        db.is_broken()
    }
}

impl Readers {
    /// Opens the pool. `limits.readers` may be 0: then every read is refused, and only cached data
    /// can be read.
    pub fn open(
        source: Source,
        limits: &Limits,
        (metrics, meter): (ReadMetrics, PoolMeter),
    ) -> Result<Self, ReadError> {
        let size = u32::try_from(limits.readers.max(1)).unwrap_or(u32::MAX);
        let connections = Connections::builder()
            .max_size(size)
            .min_idle(Some(0))
            .test_on_check_out(true)
            .connection_timeout(Duration::from_secs(2))
            .build(Opener(source))?;
        let rules = Rules::new(limits.readers, limits.readers_waiting, limits.ask_patience());
        Ok(Self { connections, permits: Pool::start(rules, meter), metrics })
    }

    /// Runs the query once the holder has a permit.
    pub async fn read<T: Send + 'static>(
        &self,
        holder: Holder,
        query: impl FnOnce(&mut Db) -> QueryResult<T> + Send + 'static,
    ) -> Result<T, ReadError> {
        let begun = Instant::now();
        let permit = self.permits.enter(holder).await.map_err(|_| {
            self.metrics.refused.inc();
            Overloaded { retry_after: self.permits.patience() }
        })?;
        self.metrics.wait_seconds.observe(begun.elapsed().as_secs_f64());
        let (connections, metrics) = (self.connections.clone(), self.metrics.clone());
        let read = tokio::task::spawn_blocking(move || {
            let mut connection = connections.get()?;
            let begun = Instant::now();
            metrics.running.inc();
            // A panic must not leave the query counted.
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| query(&mut connection)));
            metrics.running.dec();
            metrics.seconds.observe(begun.elapsed().as_secs_f64());
            if let Ok(Err(error)) = &outcome
                && is_lost(error)
            {
                connection.mark_broken();
            }
            Ok::<_, ReadError>((outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?, permit))
        });
        // The permit is held until the rows are received: a caller that is slow to receive them
        // delays its own next reads.
        let (rows, _permit) = read.await??;
        Ok(rows)
    }
}

impl std::fmt::Debug for Readers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Readers").finish_non_exhaustive()
    }
}
