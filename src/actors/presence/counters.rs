//! What became of datagrams.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::Serialize;

use crate::protocol::datagram::Dropped;

/// Written by the presence actor, read by whoever watches.
#[derive(Debug, Default)]
pub struct DatagramCounters {
    received: AtomicU64,
    sent: AtomicU64,
    /// The kernel had no room for what we sent.
    unsent: AtomicU64,
    dropped: [AtomicU64; Dropped::NAMES.len()],
}

#[derive(Debug, Clone, Serialize)]
pub struct DatagramSnapshot {
    pub received: u64,
    pub sent: u64,
    pub unsent: u64,
    /// By reason.
    pub dropped: std::collections::BTreeMap<&'static str, u64>,
}

impl DatagramCounters {
    pub(super) fn received(&self) {
        self.received.fetch_add(1, Relaxed);
    }

    pub(super) fn dropped(&self, reason: Dropped) {
        if let Some(counter) = self.dropped.get(reason as usize) {
            counter.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn sent(&self, taken: bool) {
        let counter = if taken { &self.sent } else { &self.unsent };
        counter.fetch_add(1, Relaxed);
    }

    pub fn snapshot(&self) -> DatagramSnapshot {
        let dropped = self.dropped.iter().map(|counter| counter.load(Relaxed));
        DatagramSnapshot {
            received: self.received.load(Relaxed),
            sent: self.sent.load(Relaxed),
            unsent: self.unsent.load(Relaxed),
            dropped: Dropped::NAMES.into_iter().zip(dropped).collect(),
        }
    }
}
