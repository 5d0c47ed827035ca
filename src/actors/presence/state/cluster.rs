//! The other nodes of a cluster: what they announce to this node, and what it announces to them.

use std::collections::BTreeSet;
use std::time::Instant;

use super::PresenceState;
use crate::actors::presence::messages::NodeEvent;
use crate::actors::presence::peers::{NodeMessage, PeerChange, Peers};
use crate::core::limits::Limits;
use crate::domain::ids::{ChatId, UserId};

/// The body of a message that is not one of [`NodeMessage`].
#[derive(Debug, PartialEq, Eq)]
pub(in crate::actors::presence) struct Malformed;

/// The state of this node as one of a cluster.
#[derive(Debug)]
pub(in crate::actors::presence) struct Cluster {
    pub(super) peers: Peers,
    /// Users at other nodes whose chats must be requested from the cache.
    wanted: BTreeSet<UserId>,
    /// Typing at this node that was not announced yet.
    pub(super) typing: Vec<(ChatId, UserId)>,
}

impl Cluster {
    pub(in crate::actors::presence) fn new(node: i16, limits: &Limits, now: Instant) -> Self {
        Self { peers: Peers::new(node, limits, now), wanted: BTreeSet::new(), typing: Vec::new() }
    }

    pub(super) fn restarted(&self, limits: &Limits, now: Instant) -> Self {
        Self { peers: self.peers.restarted(limits, now), wanted: BTreeSet::new(), typing: Vec::new() }
    }
}

impl PresenceState {
    pub(in crate::actors::presence) fn join_cluster(&mut self, cluster: Cluster) {
        self.cluster = Some(cluster);
        self.people.announce();
    }

    /// Returns the last message of this node, which announces nothing from now on.
    pub(in crate::actors::presence) fn leave_cluster(&mut self) -> Option<NodeMessage> {
        self.cluster.take().map(|_| NodeMessage::Stopped)
    }

    /// Handles a message of another node, or a gap between messages.
    pub(in crate::actors::presence) fn receive_event(
        &mut self,
        event: NodeEvent,
        now: Instant,
    ) -> Result<(), Malformed> {
        let Some(cluster) = &mut self.cluster else { return Ok(()) };
        let mut changes = Vec::new();
        match event {
            NodeEvent::Gap => cluster.peers.after_gap(now),
            NodeEvent::Message(from, body) => {
                let message = rmp_serde::from_slice(&body).map_err(|_| Malformed)?;
                cluster.peers.receive(from, message, now, &mut changes);
            }
        }
        self.apply(changes, now);
        self.schedule(now);
        Ok(())
    }

    fn apply(&mut self, changes: Vec<PeerChange>, now: Instant) {
        for change in changes {
            match change {
                PeerChange::Status(node, user, status) => {
                    let lacks_chats = self.people.set_remote(user, node, status, now);
                    if let Some(cluster) = self.cluster.as_mut().filter(|_| lacks_chats) {
                        cluster.wanted.insert(user);
                    }
                    self.remove_if_gone(user);
                }
                // The rules of this node decide: a user who is not in the chat here is ignored.
                PeerChange::Typing(chat, user) => drop(self.note_typing(chat, user, now)),
                PeerChange::Visit(user, place, stays) => drop(self.visited(user, place, stays, now)),
            }
        }
    }

    /// Announces what has changed at this node. Returns the users.
    pub(super) fn announce(&mut self, now: Instant) -> Vec<UserId> {
        let users = self.people.take_announcements();
        if let Some(cluster) = &mut self.cluster {
            cluster.peers.send_changes(&users, now);
            for (chat, user) in std::mem::take(&mut cluster.typing) {
                cluster.peers.send_typing(chat, user);
            }
        }
        users.into_iter().map(|(user, _)| user).collect()
    }

    /// Runs what is due for the other nodes.
    pub(super) fn run_cluster(&mut self, now: Instant) {
        let Some(cluster) = &mut self.cluster else { return };
        let mut changes = Vec::new();
        let is_whole_due = cluster.peers.run(now, &mut changes);
        self.apply(changes, now);
        if is_whole_due {
            // The whole follows the changes that have not been announced yet.
            let announced = self.announce(now);
            if let Some(cluster) = &mut self.cluster {
                cluster.peers.send_whole(&self.people.users_here(), now);
            }
            announced.into_iter().for_each(|user| self.remove_if_gone(user));
        }
    }

    /// Sets the chats of users at other nodes. Users who have left meanwhile are not added again.
    pub(super) fn add_chats(&mut self, users: Vec<(UserId, Vec<ChatId>)>) {
        for (user, chats) in users {
            if self.people.is_tracked(user) {
                self.people.track_user(user, chats);
            }
        }
    }

    /// Joins and leaves were lost: the chats of users at other nodes may be out of date.
    pub(super) fn request_chats_again(&mut self) {
        if let Some(cluster) = &mut self.cluster {
            cluster.wanted.extend(self.people.users_elsewhere());
        }
    }

    /// Returns the messages for the other nodes.
    pub(in crate::actors::presence) fn take_messages(&mut self) -> Vec<NodeMessage> {
        self.cluster.as_mut().map(|cluster| cluster.peers.take_messages()).unwrap_or_default()
    }

    /// Returns at most `max` users whose chats must be requested from the cache.
    pub(in crate::actors::presence) fn take_wanted(&mut self, max: usize) -> Vec<UserId> {
        let Some(cluster) = &mut self.cluster else { return Vec::new() };
        std::iter::from_fn(|| cluster.wanted.pop_first()).take(max).collect()
    }
}

#[cfg(test)]
#[path = "cluster_test.rs"]
mod tests;
