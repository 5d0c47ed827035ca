//! Metrics of thumbnails and avatars. The pool `pictures` counts the children that run.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::core::metrics::{Export, Labelled};

/// How a request for a picture ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PictureOutcome {
    /// The cache had it, or knew that there is none.
    Cached,
    Made,
    Damaged,
    TooLarge,
    /// The child used up its memory or CPU time, or crashed.
    Exhausted,
    /// The child did not end in time, could not run or read, or was killed.
    Failed,
}

impl PictureOutcome {
    const NAMES: [&str; 6] = ["cached", "made", "damaged", "too_large", "exhausted", "failed"];
}

/// Written by the services. Clones share their numbers.
#[derive(Debug, Clone)]
pub struct PictureMetrics {
    pictures: [Counter; PictureOutcome::NAMES.len()],
    by_outcome: Labelled<Counter, 1>,
    pub(super) cache_bytes: Gauge,
}

impl Default for PictureMetrics {
    fn default() -> Self {
        let by_outcome = Labelled::<Counter, 1>::default();
        let outcome = |outcome| by_outcome.get_or_create_owned(&[("outcome", outcome)]);
        let pictures = PictureOutcome::NAMES.map(outcome);
        Self { pictures, by_outcome: by_outcome.clone(), cache_bytes: Gauge::default() }
    }
}

impl PictureMetrics {
    pub(super) fn ended(&self, outcome: PictureOutcome) {
        let [cached, made, damaged, too_large, exhausted, failed] = &self.pictures;
        let counter = match outcome {
            PictureOutcome::Cached => cached,
            PictureOutcome::Made => made,
            PictureOutcome::Damaged => damaged,
            PictureOutcome::TooLarge => too_large,
            PictureOutcome::Exhausted => exhausted,
            PictureOutcome::Failed => failed,
        };
        counter.inc();
    }
}

impl Export for PictureMetrics {
    fn export(&self, registry: &mut Registry) {
        let help = "Thumbnails and avatars, by the end of their making";
        registry.register("netbit_pictures", help, self.by_outcome.clone());
        let help = "Bytes of thumbnails on disk";
        registry.register("netbit_thumbnail_cache_bytes", help, self.cache_bytes.clone());
    }
}
