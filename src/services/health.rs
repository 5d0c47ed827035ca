//! The state of the server, for administrators: the facts of the operations listener that a page
//! may show. It contains no message and no name.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use prometheus_client::metrics::gauge::Gauge;
use serde::Serialize;
use utoipa::ToSchema;

use super::blocking::blocking;
use super::{ServiceError, Services};
use crate::actors::cache::{Administrator, CacheCounters, CacheSnapshot};
use crate::actors::presence::{DatagramCounters, DatagramSnapshot};
use crate::core::actor::{ActorSnapshot, ActorStats};
use crate::core::machine::{self, Space};
use crate::domain::access::Credential;
use crate::domain::timestamp::Timestamp;
use crate::storage::metrics::{DatabaseFiles, LAST_BACKUP};

/// The counters of an application, and the files that are measured. Clones share their numbers.
#[derive(Debug, Clone)]
pub struct HealthSources {
    pub started_at: Timestamp,
    /// 1 while the server serves requests.
    pub ready: Gauge,
    /// Authenticated sessions, one gauge per transport.
    pub sessions: Vec<Gauge>,
    pub actors: Vec<Arc<ActorStats>>,
    pub cache: CacheCounters,
    pub datagrams: DatagramCounters,
    /// The database file, in the data directory, or the database on PostgreSQL.
    pub files: DatabaseFiles,
}

/// The state of the server.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    pub version: &'static str,
    #[schema(value_type = String)]
    pub started_at: Timestamp,
    pub uptime_seconds: i64,
    /// Whether the server serves requests; false while it stops.
    pub ready: bool,
    /// Chat sessions of all users.
    pub sessions: i64,
    pub storage: StorageHealth,
    pub cache: CacheHealth,
    pub datagrams: DatagramSnapshot,
    /// The mailboxes, one entry per kind of actor.
    pub actors: Vec<ActorSnapshot>,
}

/// The disk of the data directory.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct StorageHealth {
    /// Absent if the disk could not be read.
    pub disk_total_bytes: Option<u64>,
    pub disk_free_bytes: Option<u64>,
    /// Size of the file, or of the database on PostgreSQL.
    pub database_bytes: u64,
    /// Size of the write-ahead log of the database.
    pub wal_bytes: u64,
    /// The last complete backup; absent: none.
    #[schema(value_type = Option<String>)]
    pub last_backup_at: Option<Timestamp>,
}

/// The cache of chats.
#[derive(Debug, Serialize, ToSchema)]
pub struct CacheHealth {
    #[serde(flatten)]
    pub counters: CacheSnapshot,
    /// The share of queries that were answered from memory, 0 to 1; absent before the first query.
    pub hit_rate: Option<f64>,
}

impl Services {
    /// Returns the state of the server, to administrators only.
    pub async fn health(&self, who: Credential) -> Result<Health, ServiceError> {
        self.cache.ask(who, Administrator).await?;
        let sources = &self.health;
        let files = sources.files.clone();
        let storage = blocking(move || StorageHealth::measure(&files)).await?;
        let age_ms = Timestamp::now().0.saturating_sub(sources.started_at.0);
        Ok(Health {
            version: env!("CARGO_PKG_VERSION"),
            started_at: sources.started_at,
            uptime_seconds: age_ms.max(0) / 1000,
            ready: sources.ready.get() == 1,
            sessions: sources.sessions.iter().map(Gauge::get).sum(),
            storage,
            cache: CacheHealth::of(sources.cache.snapshot()),
            datagrams: sources.datagrams.snapshot(),
            actors: sources.actors.iter().map(|stats| stats.snapshot()).collect(),
        })
    }
}

impl StorageHealth {
    fn measure(files: &DatabaseFiles) -> Self {
        let database = &files.database;
        let bytes = |path: &std::path::Path| std::fs::metadata(path).map_or(0, |file| file.len());
        let directory = database.parent().unwrap_or(database);
        let space = machine::space(directory).inspect_err(|error| {
            tracing::warn!(%error, "cannot read the free disk space");
        });
        let taken = std::fs::metadata(directory.join(LAST_BACKUP)).and_then(|file| file.modified());
        let since_epoch = taken.ok().and_then(|taken| taken.duration_since(UNIX_EPOCH).ok());
        let mut log = database.clone().into_os_string();
        log.push("-wal");
        let of_space = |part: fn(&Space) -> u64| space.as_ref().ok().map(part);
        Self {
            disk_total_bytes: of_space(|space| space.total),
            disk_free_bytes: of_space(|space| space.free),
            database_bytes: files.database_bytes(),
            wal_bytes: bytes(log.as_ref()),
            last_backup_at: since_epoch
                .map(|time| Timestamp(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))),
        }
    }
}

impl CacheHealth {
    fn of(counters: CacheSnapshot) -> Self {
        let (hits, all) = (counters.hits, counters.hits.saturating_add(counters.misses));
        let hit_rate = (all > 0).then(|| rate(hits, all));
        Self { counters, hit_rate }
    }
}

/// Returns `part / all`, rounded down to four decimal places.
fn rate(part: u64, all: u64) -> f64 {
    let scaled = u128::from(part).saturating_mul(10_000).checked_div(u128::from(all)).unwrap_or(0);
    f64::from(u32::try_from(scaled).unwrap_or(u32::MAX)) / 10_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hit_rate_is_a_share_and_absent_before_the_first_query() {
        let of = |hits, misses| {
            CacheHealth::of(CacheSnapshot { hits, misses, evictions: 0, reloads: 0, window_bytes: 0 })
                .hit_rate
        };
        assert_eq!((of(0, 0), of(0, 5), of(5, 0), of(1, 3)), (None, Some(0.0), Some(1.0), Some(0.25)));
        assert_eq!(of(2, 1), Some(0.6666));
        assert!(of(u64::MAX, u64::MAX).is_some_and(|rate| rate <= 1.0));
    }

    #[test]
    fn storage_of_a_missing_database_has_no_size() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = DatabaseFiles { database: dir.path().join("netbit.db"), on_server: None };
        let found = StorageHealth::measure(&files);
        assert_eq!((found.database_bytes, found.wal_bytes, found.last_backup_at), (0, 0, None));
        assert!(found.disk_free_bytes <= found.disk_total_bytes);
        std::fs::write(dir.path().join(LAST_BACKUP), "").unwrap();
        std::fs::write(dir.path().join("netbit.db-wal"), "four").unwrap();
        let found = StorageHealth::measure(&files);
        assert!(found.wal_bytes == 4 && found.last_backup_at.is_some_and(|at| at <= Timestamp::now()));
        let on_server = Gauge::default();
        on_server.set(7);
        files.on_server = Some(on_server);
        assert_eq!(StorageHealth::measure(&files).database_bytes, 7);
    }
}
