//! Metrics of the bus.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::core::metrics::{Export, Labelled};

/// The reason why a message was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dropped {
    /// The queue to the bus was full, or the bus away.
    QueueFull,
    /// The queue to the subscriber was full.
    SubscriberBusy,
    /// Too large, or too small for an envelope.
    Size,
    /// Of another version of the envelope, or of an unknown topic.
    Version,
    /// Not sealed with the key of this cluster.
    Forged,
    /// Received before, or of an earlier process of its node.
    Repeated,
    /// The body was not understood.
    Malformed,
}

impl Dropped {
    const NAMES: [&str; 7] =
        ["queue_full", "subscriber_busy", "size", "version", "forged", "repeated", "malformed"];
}

/// Counters of the bus. Clones share their numbers.
#[derive(Debug, Clone)]
pub struct BusMetrics {
    up: Gauge,
    sent: Counter,
    received: Counter,
    dropped: [Counter; Dropped::NAMES.len()],
    by_reason: Labelled<Counter, 1>,
}

impl Default for BusMetrics {
    fn default() -> Self {
        let by_reason = Labelled::<Counter, 1>::default();
        let dropped = Dropped::NAMES.map(|reason| by_reason.get_or_create_owned(&[("reason", reason)]));
        let (up, sent, received) = Default::default();
        Self { up, sent, received, dropped, by_reason }
    }
}

/// The counters at one time, for tests.
#[cfg(test)]
pub(super) struct BusSnapshot {
    pub(super) is_up: bool,
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) dropped: u64,
}

impl BusMetrics {
    pub(super) fn set_up(&self, up: bool) {
        self.up.set(i64::from(up));
    }

    pub(super) fn sent(&self, count: u64) {
        self.sent.inc_by(count);
    }

    pub(super) fn received(&self) {
        self.received.inc();
    }

    pub(super) fn dropped(&self, reason: Dropped) {
        if let Some(counter) = self.dropped.get(reason as usize) {
            counter.inc();
        }
    }

    #[cfg(test)]
    pub(super) fn snapshot(&self) -> BusSnapshot {
        BusSnapshot {
            is_up: self.up.get() == 1,
            sent: self.sent.get(),
            received: self.received.get(),
            dropped: self.dropped.iter().map(Counter::get).sum(),
        }
    }
}

impl Export for BusMetrics {
    fn export(&self, registry: &mut Registry) {
        let help = "1 while this node is connected to the bus of its cluster, 0 without a bus";
        registry.register("netbit_bus_up", help, self.up.clone());
        registry.register("netbit_bus_messages_sent", "Messages sent to other nodes", self.sent.clone());
        let help = "Messages received from other nodes";
        registry.register("netbit_bus_messages_received", help, self.received.clone());
        let help = "Messages of the bus dropped, by reason";
        registry.register("netbit_bus_messages_dropped", help, self.by_reason.clone());
    }
}
