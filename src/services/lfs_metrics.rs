//! Metrics of Git LFS.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::core::metrics::{Export, Labelled};
use crate::core::saturate;

/// The end of a request that sends an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ObjectOutcome {
    /// The repository has the object.
    Complete,
    /// The client stopped, or sent too slowly.
    Broken,
    /// The request was refused, or the server failed.
    Refused,
}

impl ObjectOutcome {
    const NAMES: [&str; 3] = ["complete", "broken", "refused"];
}

/// Written by the services. Clones share their numbers.
#[derive(Debug, Clone)]
pub struct LfsMetrics {
    uploads: [Counter; ObjectOutcome::NAMES.len()],
    uploads_by_outcome: Labelled<Counter, 1>,
    bytes_in: Counter,
    pub(super) bytes_out: Counter,
    bytes: Labelled<Counter, 1>,
    /// Objects that batches named.
    pub(super) batched: Counter,
    pub(super) removed: Counter,
    /// Staged bytes that a crash left, and that were removed.
    pub(super) abandoned: Counter,
    pub(super) staged: Gauge,
    pub(super) locks_created: Counter,
    pub(super) locks_removed: Counter,
    locks: Labelled<Counter, 1>,
}

impl Default for LfsMetrics {
    fn default() -> Self {
        let new = Labelled::<Counter, 1>::default;
        let (uploads_by_outcome, bytes, locks) = (new(), new(), new());
        let outcome = |outcome| uploads_by_outcome.get_or_create_owned(&[("outcome", outcome)]);
        let direction = |direction| bytes.get_or_create_owned(&[("direction", direction)]);
        let change = |change| locks.get_or_create_owned(&[("change", change)]);
        Self {
            uploads: ObjectOutcome::NAMES.map(outcome),
            bytes_in: direction("in"),
            bytes_out: direction("out"),
            locks_created: change("created"),
            locks_removed: change("removed"),
            uploads_by_outcome: uploads_by_outcome.clone(),
            bytes: bytes.clone(),
            locks: locks.clone(),
            batched: Counter::default(),
            removed: Counter::default(),
            abandoned: Counter::default(),
            staged: Gauge::default(),
        }
    }
}

impl LfsMetrics {
    pub(super) fn uploaded(&self, outcome: ObjectOutcome) {
        let [complete, broken, refused] = &self.uploads;
        let counter = match outcome {
            ObjectOutcome::Complete => complete,
            ObjectOutcome::Broken => broken,
            ObjectOutcome::Refused => refused,
        };
        counter.inc();
    }

    pub(super) fn received(&self, bytes: usize) {
        self.bytes_in.inc_by(saturate::to_u64(bytes));
    }
}

impl Export for LfsMetrics {
    fn export(&self, registry: &mut Registry) {
        let help = "Requests that sent an object of Git LFS, and objects that batches refused, by their end";
        registry.register("netbit_lfs_uploads", help, self.uploads_by_outcome.clone());
        let help = "Bytes of objects of Git LFS received and sent";
        registry.register("netbit_lfs_bytes", help, self.bytes.clone());
        let help = "Objects of Git LFS that clients asked about";
        registry.register("netbit_lfs_batched", help, self.batched.clone());
        let help = "Objects of Git LFS removed with their repository";
        registry.register("netbit_lfs_objects_removed", help, self.removed.clone());
        let help = "Interrupted uploads of Git LFS whose bytes were removed later";
        registry.register("netbit_lfs_abandoned", help, self.abandoned.clone());
        let help = "Uploads of Git LFS with bytes on disk that are not complete, at the last search";
        registry.register("netbit_lfs_staged", help, self.staged.clone());
        let help = "Locks of Git LFS, by change";
        registry.register("netbit_lfs_locks", help, self.locks.clone());
    }
}
