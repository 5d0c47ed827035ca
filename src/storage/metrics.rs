//! Metrics of database reads, and of the size of the database files.

use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::core::metrics::{Export, Labelled, Rows, seconds};

/// Written by the readers. Clones share their numbers.
#[derive(Debug, Clone)]
pub struct ReadMetrics {
    pub(super) wait_seconds: Histogram,
    pub(super) seconds: Histogram,
    pub(super) refused: Counter,
    pub(super) running: Gauge,
    replica: [Counter; ReplicaOutcome::NAMES.len()],
    replica_by_outcome: Labelled<Counter, 1>,
}

/// The outcome of a read at a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReplicaOutcome {
    Answered,
    /// The replica did not have the newest published commit.
    Behind,
    Failed,
}

impl ReplicaOutcome {
    const NAMES: [&str; 3] = ["answered", "behind", "failed"];
}

impl ReadMetrics {
    pub(super) fn replica(&self, outcome: ReplicaOutcome) {
        let [answered, behind, failed] = &self.replica;
        let counter = match outcome {
            ReplicaOutcome::Answered => answered,
            ReplicaOutcome::Behind => behind,
            ReplicaOutcome::Failed => failed,
        };
        counter.inc();
    }
}

impl Default for ReadMetrics {
    fn default() -> Self {
        let by_outcome = Labelled::<Counter, 1>::default();
        let counter = |outcome| by_outcome.get_or_create_owned(&[("outcome", outcome)]);
        Self {
            replica: ReplicaOutcome::NAMES.map(counter),
            replica_by_outcome: by_outcome.clone(),
            wait_seconds: seconds(),
            seconds: seconds(),
            refused: Counter::default(),
            running: Gauge::default(),
        }
    }
}

impl Export for ReadMetrics {
    fn export(&self, registry: &mut Registry) {
        let help = "Time spent waiting for a connection of the read pool";
        registry.register("netbit_read_wait_seconds", help, self.wait_seconds.clone());
        let help = "Duration of queries in the read pool";
        registry.register("netbit_read_seconds", help, self.seconds.clone());
        let help = "Reads refused because no connection became free in time";
        registry.register("netbit_reads_refused", help, self.refused.clone());
        let help = "Running queries of the read pool";
        registry.register("netbit_reads_running", help, self.running.clone());
        let help = "Reads of history at replicas of PostgreSQL";
        registry.register("netbit_replica_reads", help, self.replica_by_outcome.clone());
    }
}

/// An empty file in the data directory. Its modification time is the time of the last complete
/// backup.
pub const LAST_BACKUP: &str = "last-backup";

/// Sizes of the database files and free disk space, measured at each scrape.
#[derive(Debug, Clone)]
pub struct DatabaseFiles {
    pub database: PathBuf,
    /// The size of the database on PostgreSQL, as it was last read; `None` on SQLite.
    pub on_server: Option<Gauge>,
}

impl DatabaseFiles {
    /// Returns the size of the database.
    pub fn database_bytes(&self) -> u64 {
        match &self.on_server {
            Some(bytes) => u64::try_from(bytes.get()).unwrap_or(0),
            None => std::fs::metadata(&self.database).map_or(0, |file| file.len()),
        }
    }
}

impl Export for DatabaseFiles {
    fn export(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(self.clone()));
    }
}

impl Collector for DatabaseFiles {
    #[expect(clippy::as_conversions, reason = "metrics are floating-point numbers")]
    fn encode(&self, encoder: DescriptorEncoder) -> std::fmt::Result {
        let bytes = |path: &std::path::Path| std::fs::metadata(path).map_or(0, |file| file.len()) as f64;
        let mut log = self.database.clone().into_os_string();
        log.push("-wal");
        let mut rows = Rows(encoder);
        let help = "Size of the database: of its file, or on PostgreSQL";
        rows.gauge("netbit_database_bytes", help, self.database_bytes() as f64)?;
        rows.gauge("netbit_wal_bytes", "Size of the write-ahead log", bytes(log.as_ref()))?;
        let directory = self.database.parent().unwrap_or(&self.database);
        let free = rustix::fs::statvfs(directory).map_or(0, |disk| disk.f_bavail * disk.f_frsize) as f64;
        rows.gauge("netbit_disk_free_bytes", "Free space on the disk of the data directory", free)?;
        let taken = std::fs::metadata(directory.join(LAST_BACKUP)).and_then(|file| file.modified());
        let since_epoch = taken.ok().and_then(|taken| taken.duration_since(UNIX_EPOCH).ok());
        let help = "Time of the last complete backup of the data directory, in seconds since 1970; 0: never";
        rows.gauge(
            "netbit_last_backup_timestamp_seconds",
            help,
            since_epoch.map_or(0.0, |time| time.as_secs_f64()),
        )
    }
}
