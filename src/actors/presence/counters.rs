//! Counters of datagrams.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use serde::Serialize;
use utoipa::ToSchema;

use crate::core::metrics::{Export, Labelled};
use crate::protocol::datagram::DropReason;

/// Counters that the presence actor writes and metrics read. Clones share their numbers.
#[derive(Debug, Clone)]
pub struct DatagramCounters {
    received: Counter,
    sent: Counter,
    /// Datagrams for which the kernel had no buffer space.
    unsent: Counter,
    dropped: [Counter; DropReason::NAMES.len()],
    by_reason: Labelled<Counter, 1>,
}

impl Default for DatagramCounters {
    fn default() -> Self {
        let by_reason = Labelled::<Counter, 1>::default();
        let dropped = DropReason::NAMES.map(|reason| by_reason.get_or_create_owned(&[("reason", reason)]));
        let (received, sent, unsent) = Default::default();
        Self { received, sent, unsent, dropped, by_reason }
    }
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DatagramSnapshot {
    pub received: u64,
    pub sent: u64,
    pub unsent: u64,
    /// By reason.
    pub dropped: std::collections::BTreeMap<&'static str, u64>,
}

impl DatagramCounters {
    pub(super) fn received(&self) {
        self.received.inc();
    }

    pub(super) fn dropped(&self, reason: DropReason) {
        if let Some(counter) = self.dropped.get(reason as usize) {
            counter.inc();
        }
    }

    pub(super) fn sent(&self, taken: bool) {
        let counter = if taken { &self.sent } else { &self.unsent };
        counter.inc();
    }

    pub fn snapshot(&self) -> DatagramSnapshot {
        let dropped = self.dropped.iter().map(Counter::get);
        DatagramSnapshot {
            received: self.received.get(),
            sent: self.sent.get(),
            unsent: self.unsent.get(),
            dropped: DropReason::NAMES.into_iter().zip(dropped).collect(),
        }
    }
}

impl Export for DatagramCounters {
    fn export(&self, registry: &mut Registry) {
        let (received, sent) = (self.received.clone(), self.sent.clone());
        registry.register("netbit_udp_datagrams_received", "Datagrams received", received);
        registry.register("netbit_udp_datagrams_sent", "Datagrams sent", sent);
        let help = "Datagrams not sent: the kernel had no buffer space";
        registry.register("netbit_udp_datagrams_unsent", help, self.unsent.clone());
        let help = "Datagrams received and dropped, by reason";
        registry.register("netbit_udp_datagrams_dropped", help, self.by_reason.clone());
    }
}
