//! Metrics of git child processes and the bytes that they transfer.

use std::sync::Arc;
use std::time::Instant;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::memory::MemoryMetrics;
use super::process::ChildEnd;
use crate::core::metrics::{Export, GaugeGuard, Labelled, labelled_seconds};
use crate::core::saturate;
use crate::core::shares::Share;

/// The kind of work that a child does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// The ref advertisement at the beginning of every clone, fetch and push.
    Advertise,
    /// A clone or fetch.
    Fetch,
    Push,
    Archive,
}

impl Work {
    const ALL: [Self; 4] = [Self::Advertise, Self::Fetch, Self::Push, Self::Archive];

    fn name(self) -> &'static str {
        match self {
            Self::Advertise => "advertise",
            Self::Fetch => "fetch",
            Self::Push => "push",
            Self::Archive => "archive",
        }
    }
}

/// Metrics of all transfers of an application.
#[derive(Debug, Clone)]
pub struct TransferMetrics {
    children: Labelled<Gauge, 1>,
    seconds: Labelled<Histogram, 1>,
    outcomes: Labelled<Counter, 2>,
    bytes: Labelled<Counter, 2>,
    refused: Labelled<Counter, 1>,
    /// Memory of all children.
    pub memory: MemoryMetrics,
}

/// A running child, from its start to its end.
#[derive(Debug)]
pub(super) struct Running {
    meter: Arc<TransferMeter>,
    begun: Instant,
    /// Counts the child in the gauge of running children.
    _counted: GaugeGuard,
    /// The transfer permit of the child.
    _share: Share,
}

/// A transfer permit, with the metrics that the transfer will be counted in.
#[derive(Debug)]
pub struct TransferPermit {
    share: Share,
    meter: Arc<TransferMeter>,
}

#[derive(Debug)]
pub(super) struct TransferMeter {
    children: Gauge,
    seconds: Histogram,
    ok: Counter,
    failed: Counter,
    cut: Counter,
    bytes_in: Counter,
    bytes_out: Counter,
}

impl Default for TransferMetrics {
    fn default() -> Self {
        let this = Self {
            children: Labelled::default(),
            seconds: labelled_seconds(),
            outcomes: Labelled::default(),
            bytes: Labelled::default(),
            refused: Labelled::default(),
            memory: MemoryMetrics::default(),
        };
        for work in Work::ALL {
            this.meter(work);
            this.refused.get_or_create_owned(&[("work", work.name())]);
        }
        this
    }
}

impl TransferMetrics {
    fn meter(&self, work: Work) -> TransferMeter {
        let own = [("work", work.name())];
        let outcome =
            |outcome| self.outcomes.get_or_create_owned(&[("work", work.name()), ("outcome", outcome)]);
        let bytes = |to| self.bytes.get_or_create_owned(&[("work", work.name()), ("direction", to)]);
        TransferMeter {
            children: self.children.get_or_create_owned(&own),
            seconds: self.seconds.get_or_create_owned(&own),
            ok: outcome("ok"),
            failed: outcome("failed"),
            cut: outcome("cut"),
            bytes_in: bytes("in"),
            bytes_out: bytes("out"),
        }
    }

    /// Wraps an acquired transfer permit.
    pub fn permit(&self, work: Work, share: Share) -> TransferPermit {
        TransferPermit { share, meter: Arc::new(self.meter(work)) }
    }

    /// Counts a request that got no transfer permit.
    pub fn refused(&self, work: Work) {
        self.refused.get_or_create_owned(&[("work", work.name())]).inc();
    }
}

impl TransferPermit {
    /// Returns the permit of the transfer.
    pub fn share(&self) -> &Share {
        &self.share
    }

    /// Marks the child as running; returns its guard and the meter that counts its bytes.
    pub(super) fn run(self) -> (Running, Arc<TransferMeter>) {
        let Self { share, meter } = self;
        let _counted = GaugeGuard::new(&meter.children);
        (Running { meter: meter.clone(), begun: Instant::now(), _counted, _share: share }, meter)
    }
}

impl Running {
    pub(super) fn ended(&self, end: &ChildEnd) {
        let outcome = match end {
            end if end.is_success() => &self.meter.ok,
            ChildEnd::Exit(_) => &self.meter.failed,
            _ => &self.meter.cut,
        };
        outcome.inc();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.meter.seconds.observe(self.begun.elapsed().as_secs_f64());
    }
}

impl TransferMeter {
    pub(super) fn received(&self, bytes: usize) {
        self.bytes_in.inc_by(saturate::to_u64(bytes));
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.bytes_out.inc_by(saturate::to_u64(bytes));
    }
}

/// Cache metrics of answers that need a history walk. Clones share their counters.
#[derive(Debug, Clone, Default)]
pub struct HistoryMetrics {
    pub hits: Counter,
    pub misses: Counter,
}

impl Export for HistoryMetrics {
    fn export(&self, registry: &mut Registry) {
        let help = "Last commits of folders and pages of commits answered from the cache";
        registry.register("netbit_git_history_hits", help, self.hits.clone());
        let help = "Last commits of folders and pages of commits that required a history walk";
        registry.register("netbit_git_history_misses", help, self.misses.clone());
    }
}

impl Export for TransferMetrics {
    fn export(&self, registry: &mut Registry) {
        registry.register("netbit_git_children", "Running git processes", self.children.clone());
        let help = "Duration of transfers in seconds, from the start of the git process to its end";
        registry.register("netbit_git_seconds", help, self.seconds.clone());
        let help = "Finished transfers; outcome cut: ended by the client, a deadline or the server";
        registry.register("netbit_git_transfers", help, self.outcomes.clone());
        let help = "Bytes moved to (in) and from (out) git processes";
        registry.register("netbit_git_bytes", help, self.bytes.clone());
        let help = "Transfers refused because no permit was free within limits.git_patience_ms";
        registry.register("netbit_git_refusals", help, self.refused.clone());
        let help = "Anonymous memory of all git processes, in bytes, as last measured";
        registry.register("netbit_git_memory_bytes", help, self.memory.held_bytes.clone());
        let help = "git processes ended because together they exceeded limits.git_memory_bytes";
        registry.register("netbit_git_evictions", help, self.memory.evicted.clone());
    }
}
