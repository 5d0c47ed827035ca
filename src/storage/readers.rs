//! The read-only pool: reads history older than the cached windows, and the windows themselves
//! after a cache miss.
//!
//! The pool has `limits.readers` connections. The holder with the fewest running reads is next; a
//! read that waits longer than the patience is refused. Queries run on the runtime's blocking
//! threads.

use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::QueryResult;
use diesel::r2d2::{ManageConnection, Pool as Connections, PoolError};
use tokio::task::JoinError;

use super::failed_connections::FailedConnections;
use super::metrics::ReadMetrics;
use super::replicas::Replicas;
use crate::core::actor::Overloaded;
use crate::core::database::postgres::{PostgresError, Purpose, Server, is_lost};
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
    replicas: Option<Replicas>,
    metrics: ReadMetrics,
}

/// Opens the connections of a pool.
#[derive(Debug)]
pub(super) enum Opener {
    Primary(Source),
    Replica(Arc<Server>),
}

impl ManageConnection for Opener {
    type Connection = Db;
    type Error = DatabaseError;

    fn connect(&self) -> Result<Db, DatabaseError> {
        match self {
            Self::Primary(source) => source.open_reader(),
            Self::Replica(server) => Ok(Db::Postgres(Box::new(server.connect(Purpose::Replica)?))),
        }
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
        replicas: Option<Replicas>,
        (metrics, meter): (ReadMetrics, PoolMeter),
    ) -> Result<Self, ReadError> {
        let size = u32::try_from(limits.readers.max(1)).unwrap_or(u32::MAX);
        let connections = Connections::builder()
            .max_size(size)
            .min_idle(Some(0))
            .test_on_check_out(true)
            .connection_timeout(Duration::from_secs(2))
            .error_handler(Box::new(FailedConnections::new()))
            .build(Opener::Primary(source))?;
        let rules = Rules::new(limits.readers, limits.readers_waiting, limits.ask_patience());
        Ok(Self { connections, permits: Pool::start(rules, meter), replicas, metrics })
    }

    /// Runs the query once the holder has a permit.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn read<T: Send + 'static>(
        &self,
        holder: Holder,
        query: impl FnOnce(&mut Db) -> QueryResult<T> + Send + 'static,
    ) -> Result<T, ReadError> {
        let (connections, metrics) = (self.connections.clone(), self.metrics.clone());
        self.run(holder, move || read_primary(&connections, &metrics, query)).await
    }

    /// Runs a query of a chat's history at a replica that has the newest visible commit, else at
    /// the primary. The query runs again at the primary if it failed at the replica.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn read_history<T: Send + 'static>(
        &self,
        holder: Holder,
        query: impl Fn(&mut Db) -> QueryResult<T> + Send + 'static,
    ) -> Result<T, ReadError> {
        let (connections, metrics) = (self.connections.clone(), self.metrics.clone());
        let replicas = self.replicas.clone();
        let read = move || match replicas.and_then(|replicas| replicas.read(&query)) {
            Some(rows) => Ok(rows),
            None => read_primary(&connections, &metrics, query),
        };
        self.run(holder, read).await
    }

    /// Runs the read on a blocking thread once the holder has a permit.
    async fn run<T: Send + 'static>(
        &self,
        holder: Holder,
        read: impl FnOnce() -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let begun = Instant::now();
        let permit = self.permits.enter(holder).await.map_err(|_| {
            self.metrics.refused.inc();
            Overloaded { retry_after: self.permits.patience() }
        })?;
        self.metrics.wait_seconds.observe(begun.elapsed().as_secs_f64());
        let read = tokio::task::spawn_blocking(move || read().map(|rows| (rows, permit)));
        // The permit is held until the rows are received: a caller that is slow to receive them
        // delays its own next reads.
        let (rows, _permit) = read.await??;
        Ok(rows)
    }
}

/// Runs the query on a connection of the pool. Waits on this thread.
fn read_primary<T>(
    connections: &Connections<Opener>,
    metrics: &ReadMetrics,
    query: impl FnOnce(&mut Db) -> QueryResult<T>,
) -> Result<T, ReadError> {
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
    Ok(outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?)
}

impl std::fmt::Debug for Readers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Readers").finish_non_exhaustive()
    }
}
