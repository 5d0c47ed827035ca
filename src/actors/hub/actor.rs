//! Routes lane items into the index.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use actix::{Actor, Handler, Supervised};

use super::index::Index;
use super::messages::LaneItems;
use crate::core::actor::Ctx;
use crate::core::fail_points;
use crate::protocol::answer::GoodbyeCode;

/// See the [module](super).
pub struct HubActor {
    index: Index,
    pending: Arc<AtomicUsize>,
}

impl HubActor {
    pub fn new(pending: Arc<AtomicUsize>) -> Self {
        Self { index: Index::default(), pending }
    }
}

impl Actor for HubActor {
    type Context = Ctx<Self>;
}

impl Supervised for HubActor {
    /// The index is lost, so every session is closed with `overloaded` and must reconnect.
    fn restarting(&mut self, _: &mut Ctx<Self>) {
        self.index.end_all(GoodbyeCode::Overloaded, true);
        self.index = Index::default();
    }
}

impl Handler<LaneItems> for HubActor {
    type Result = ();

    fn handle(&mut self, lane: LaneItems, _: &mut Ctx<Self>) {
        self.pending.fetch_sub(lane.bytes, Relaxed);
        fail_points::reach(fail_points::IN_HUB);
        for item in lane.items {
            self.index.take(item);
        }
    }
}
