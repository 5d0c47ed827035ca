//! Metrics of files in chats.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use super::lfs_metrics::LfsMetrics;
use super::thumbnail_metrics::PictureMetrics;
use crate::core::metrics::{Export, Labelled};
use crate::core::saturate;

/// The end of a request that sends bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UploadOutcome {
    /// All bytes of the file have arrived.
    Complete,
    /// The request ended as announced, and more bytes are missing.
    Partial,
    /// The client stopped, or sent too slowly.
    Broken,
    /// The request was refused, or the server failed.
    Refused,
}

impl UploadOutcome {
    const NAMES: [&str; 4] = ["complete", "partial", "broken", "refused"];
}

/// Written by the services. Clones share their numbers.
#[derive(Debug, Clone)]
pub struct FileMetrics {
    uploads: [Counter; UploadOutcome::NAMES.len()],
    uploads_by_outcome: Labelled<Counter, 1>,
    bytes_in: Counter,
    pub(super) bytes_out: Counter,
    bytes: Labelled<Counter, 1>,
    pub(super) removed: Counter,
    pub(super) blobs_removed: Counter,
    pub pictures: PictureMetrics,
    pub(super) lfs: LfsMetrics,
}

impl Default for FileMetrics {
    fn default() -> Self {
        let (uploads_by_outcome, bytes) =
            (Labelled::<Counter, 1>::default(), Labelled::<Counter, 1>::default());
        let outcome = |outcome| uploads_by_outcome.get_or_create_owned(&[("outcome", outcome)]);
        let direction = |direction| bytes.get_or_create_owned(&[("direction", direction)]);
        Self {
            uploads: UploadOutcome::NAMES.map(outcome),
            bytes_in: direction("in"),
            bytes_out: direction("out"),
            uploads_by_outcome: uploads_by_outcome.clone(),
            bytes: bytes.clone(),
            removed: Counter::default(),
            blobs_removed: Counter::default(),
            pictures: PictureMetrics::default(),
            lfs: LfsMetrics::default(),
        }
    }
}

impl FileMetrics {
    pub(super) fn uploaded(&self, outcome: UploadOutcome) {
        let [complete, partial, broken, refused] = &self.uploads;
        let counter = match outcome {
            UploadOutcome::Complete => complete,
            UploadOutcome::Partial => partial,
            UploadOutcome::Broken => broken,
            UploadOutcome::Refused => refused,
        };
        counter.inc();
    }

    pub(super) fn received(&self, bytes: usize) {
        self.bytes_in.inc_by(saturate::to_u64(bytes));
    }
}

impl Export for FileMetrics {
    fn export(&self, registry: &mut Registry) {
        let help = "Requests that sent bytes of a file, or announced one in vain, by their end";
        registry.register("netbit_file_uploads", help, self.uploads_by_outcome.clone());
        registry.register("netbit_file_bytes", "Bytes of files received and sent", self.bytes.clone());
        let help = "Files removed: their message was deleted, or none had them in time";
        registry.register("netbit_files_removed", help, self.removed.clone());
        let help = "Blobs removed from the store of files";
        registry.register("netbit_file_blobs_removed", help, self.blobs_removed.clone());
        self.pictures.export(registry);
        self.lfs.export(registry);
    }
}
