//! The way to the presence actor.

use tokio::sync::OwnedSemaphorePermit;

use super::actor::PresenceActor;
use super::messages::{Lane, Look, PresenceItem, Said, Say};
use crate::actors::cache::QueryError;
use crate::core::actor::{Gate, Letter, Mailbox, Reply, Who};
use crate::domain::ids::{SessionId, UserId};
use crate::protocol::view::PresenceView;

/// Tells and asks the presence actor. Cheap to clone.
#[derive(Clone)]
pub struct PresenceHandle {
    mailbox: Mailbox<PresenceActor>,
    gate: Gate,
}

impl PresenceHandle {
    pub fn new(mailbox: Mailbox<PresenceActor>, gate: Gate) -> Self {
        Self { mailbox, gate }
    }

    /// From the cache only: the order of these calls is the order of the commits.
    pub fn deliver(&self, items: Vec<PresenceItem>) {
        if !items.is_empty() {
            self.mailbox.post(Lane(items));
        }
    }

    /// From a session that is registered; `place` bounds how much it can say at once. The session is answered when it
    /// asked to be, and when it types where it is not.
    pub fn say(&self, session: SessionId, request_id: Option<u64>, what: Said, place: OwnedSemaphorePermit) {
        self.mailbox.post(Say { session, request_id, what, _place: place });
    }

    /// How `users` are shown to `watcher`: those with whom no chat is shared (`false`) are offline.
    pub async fn look(
        &self,
        watcher: UserId,
        users: Vec<(UserId, bool)>,
    ) -> Result<Vec<PresenceView>, QueryError> {
        let permit = self.gate.enter(Who::User(watcher.0), Look::NAME).await?;
        let (reply, answer) = Reply::channel();
        self.mailbox.post(Look { watcher, users, reply, permit });
        answer.await.unwrap_or(Err(QueryError::Internal))
    }
}
