//! Metrics of commits.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::core::metrics::{Export, counts, seconds};

/// Written by the writer and the checkpointer. Clones share their values.
#[derive(Debug, Clone)]
pub struct CommitMetrics {
    /// Duration of a batch, from BEGIN to the end of COMMIT.
    pub(super) seconds: Histogram,
    /// Duration of COMMIT alone: write to the log and fsync.
    pub(super) sync_seconds: Histogram,
    pub(super) batch_size: Histogram,
    /// Batches that were rolled back completely.
    pub(super) failed: Counter,
    /// Batches that were replayed without a failed command.
    pub(super) replayed: Counter,
    pub(super) read_only: Gauge,
    /// COMMITs whose answer did not arrive, by the outcome that the log of commits shows.
    unclear: Family<[(&'static str, &'static str); 1], Counter>,
    pub(super) checkpoint_seconds: Histogram,
    /// From the request of the commit lock until the log is read, on PostgreSQL.
    pub(super) lock_wait: Histogram,
    /// Commits of other nodes that were read.
    pub(super) remote: Counter,
    /// The number of the newest published commit, on PostgreSQL.
    pub(super) applied: Gauge,
    /// Running nodes of the database, with this one; 0: SQLite.
    pub nodes: Gauge,
}

impl Default for CommitMetrics {
    fn default() -> Self {
        Self {
            seconds: seconds(),
            sync_seconds: seconds(),
            batch_size: counts(),
            failed: Counter::default(),
            replayed: Counter::default(),
            read_only: Gauge::default(),
            unclear: outcomes(),
            checkpoint_seconds: seconds(),
            lock_wait: seconds(),
            remote: Counter::default(),
            applied: Gauge::default(),
            nodes: Gauge::default(),
        }
    }
}

/// Returns the counters of all outcomes, at 0.
fn outcomes() -> Family<[(&'static str, &'static str); 1], Counter> {
    let family = Family::<[(&'static str, &'static str); 1], Counter>::default();
    for outcome in ["committed", "rolled_back", "unknown"] {
        drop(family.get_or_create(&[("outcome", outcome)]));
    }
    family
}

impl CommitMetrics {
    /// Returns the counter of unclear COMMITs with this outcome.
    pub(super) fn unclear(&self, outcome: &'static str) -> Counter {
        self.unclear.get_or_create(&[("outcome", outcome)]).clone()
    }
}

impl Export for CommitMetrics {
    fn export(&self, registry: &mut Registry) {
        let help = "Duration of a batch of commands, from BEGIN to the end of COMMIT";
        registry.register("netbit_commit_seconds", help, self.seconds.clone());
        let help = "Duration of COMMIT: write to the WAL, and fsync";
        registry.register("netbit_commit_sync_seconds", help, self.sync_seconds.clone());
        let help = "Commands in one commit";
        registry.register("netbit_commit_batch_size", help, self.batch_size.clone());
        let help = "Batches that were rolled back, because the database returned an error";
        registry.register("netbit_commits_failed", help, self.failed.clone());
        let help = "Batches that were replayed, because a command failed after a write";
        registry.register("netbit_commits_replayed", help, self.replayed.clone());
        let help = "COMMITs without an answer, by the outcome that the log of commits shows";
        registry.register("netbit_commits_unclear", help, self.unclear.clone());
        let help = "1 while writes are refused: the disk is full, or PostgreSQL cannot be reached";
        registry.register("netbit_read_only", help, self.read_only.clone());
        let help = "On PostgreSQL: from the request of the commit lock until the log of commits is read";
        registry.register("netbit_commit_lock_wait_seconds", help, self.lock_wait.clone());
        let help = "Commits of other nodes that this node has read from the log of commits";
        registry.register("netbit_commits_remote", help, self.remote.clone());
        let help = "Number of the newest commit that this node has published, on PostgreSQL";
        registry.register("netbit_applied_commit", help, self.applied.clone());
        let help = "Duration of a checkpoint, which moves the WAL into the database";
        registry.register("netbit_checkpoint_seconds", help, self.checkpoint_seconds.clone());
        let help = "Running nodes of the database, with this one; 0: SQLite";
        registry.register("netbit_nodes", help, self.nodes.clone());
    }
}
