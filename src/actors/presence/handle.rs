//! The handle of the presence actor.

use crate::actors::error::QueryError;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::actor::PresenceActor;
use super::messages::{
    LeaveCluster, NodeEvent, NodeEvents, PresenceItem, PresenceItems, PresenceQuery, PresenceUpdate,
    SubmitUpdate, VisitPlace,
};
use super::places::Place;
use crate::core::actor::{Gate, Mailbox};
use crate::domain::ids::{SessionId, UserId};
use crate::protocol::view::PresenceView;

/// Sends updates and queries to the presence actor. Cheap to clone.
#[derive(Clone)]
pub struct PresenceHandle {
    mailbox: Mailbox<PresenceActor>,
    gate: Gate,
}

impl PresenceHandle {
    pub fn new(mailbox: Mailbox<PresenceActor>, gate: Gate) -> Self {
        Self { mailbox, gate }
    }

    /// Delivers items from the cache, its only caller: the order of the calls is the order of the
    /// commits.
    pub fn deliver(&self, items: Vec<PresenceItem>) {
        if !items.is_empty() {
            self.mailbox.post(PresenceItems(items));
        }
    }

    /// Sends an update from a registered session; `window_permit` bounds the number of its
    /// concurrent updates. The session receives an answer when it requested one, and when it types
    /// in a chat it is not a member of.
    pub fn update(
        &self,
        session: SessionId,
        request_id: Option<u64>,
        update: PresenceUpdate,
        window_permit: OwnedSemaphorePermit,
    ) {
        self.mailbox.post(SubmitUpdate { session, request_id, update, _window_permit: window_permit });
    }

    /// Returns the presence of `users` as `watcher` sees it. Users without a shared chat (`false`)
    /// are offline.
    pub async fn query(
        &self,
        watcher: UserId,
        users: Vec<(UserId, bool)>,
    ) -> Result<Vec<PresenceView>, QueryError> {
        self.mailbox.ask(&self.gate, watcher, PresenceQuery { watcher, users }).await
    }

    /// Delivers events of the bus. Returns once they are handled.
    pub async fn receive(&self, events: Vec<NodeEvent>) {
        let (handled, done) = oneshot::channel();
        self.mailbox.post(NodeEvents { events, handled });
        // After a panic the sender is dropped.
        drop(done.await);
    }

    /// Announces to the other nodes that this node stops. Returns once the message is in the queue
    /// of the bus.
    pub async fn leave_cluster(&self) {
        let (left, done) = oneshot::channel();
        self.mailbox.post(LeaveCluster(left));
        drop(done.await);
    }

    /// Shows `user` at a place for a minute, or no longer (`stays: false`). Returns the other users
    /// there.
    pub async fn visit(&self, user: UserId, place: Place, stays: bool) -> Result<Vec<UserId>, QueryError> {
        self.mailbox.ask(&self.gate, user, VisitPlace { user, place, stays }).await
    }
}
