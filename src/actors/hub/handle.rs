//! The way to a hub: one bounded lane.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::actor::HubActor;
use super::messages::{Lane, LaneItem};
use crate::core::actor::Mailbox;

/// Delivers to the hub of one session thread. Cheap to clone; only the cache delivers.
#[derive(Clone)]
pub struct HubHandle {
    mailbox: Mailbox<HubActor>,
    /// Bytes of events that the hub has not handled yet.
    pending: Arc<AtomicUsize>,
    pending_max: usize,
}

impl HubHandle {
    pub fn new(mailbox: Mailbox<HubActor>, pending: Arc<AtomicUsize>, pending_max: usize) -> Self {
        Self { mailbox, pending, pending_max }
    }

    /// Never waits. When the hub is too far behind, the events are dropped and its sessions are told to reconnect:
    /// this is the one edge between actors that may lose something.
    pub fn deliver(&self, mut items: Vec<LaneItem>) {
        let mut bytes: usize = items.iter().map(LaneItem::bytes).sum();
        if bytes > 0 && self.pending.load(Relaxed) + bytes > self.pending_max {
            let at = items.iter().position(LaneItem::is_event).unwrap_or(0);
            items.retain(|item| !item.is_event());
            items.insert(at.min(items.len()), LaneItem::Lost);
            bytes = 0;
        }
        self.pending.fetch_add(bytes, Relaxed);
        self.mailbox.post(Lane { items, bytes });
    }
}
