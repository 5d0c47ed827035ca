//! Sessions and tickets that come and go.

use std::sync::Arc;
use std::time::Instant;

use super::PresenceState;
use crate::actors::outbox::Outbox;
use crate::actors::presence::messages::PresenceItem;
use crate::actors::presence::tickets::{Ticket, TicketConnection};
use crate::domain::access::Credential;
use crate::domain::device::DeviceKey;
use crate::domain::ids::{ChatId, SessionId, UserId};
use crate::protocol::answer::GoodbyeCode;

pub(super) struct SubscriberEntry {
    pub(super) user: UserId,
    pub(super) device: DeviceKey,
    pub(super) outbox: Arc<Outbox>,
    /// The version up to which the session has received changes.
    pub(super) sent_version: u64,
    /// The version up to which it has received who went offline: after a join, a later one.
    pub(super) offline_version: u64,
}

impl PresenceState {
    pub(in crate::actors::presence) fn take(&mut self, item: PresenceItem, now: Instant) {
        match item {
            PresenceItem::Registered { session, who, device, status, outbox, chats, ticket } => {
                let user = who.user;
                self.people.track_user(user, chats);
                self.people.connect(user, device.clone(), now);
                if let Some(status) = status {
                    self.people.set_status(user, &device, status, None, now);
                }
                if let Some(ticket) = ticket {
                    self.add_ticket(who, device.clone(), ticket, now);
                }
                self.sessions.insert(
                    session,
                    SubscriberEntry { user, device, outbox, sent_version: 0, offline_version: 0 },
                );
                self.of_user.entry(user).or_default().push(session);
                // `Welcome` is most likely sent by then; before it the outbox accepts no soft push.
                self.lagging.insert(session, now + self.tick());
            }
            PresenceItem::Unregistered { session } => self.unregister(session, now),
            PresenceItem::TicketIssued { who, device, ticket, chats } => {
                self.people.track_user(who.user, chats);
                self.add_ticket(who, device, ticket, now);
            }
            PresenceItem::Joined { chat, user } => self.joined(chat, user, now),
            PresenceItem::Left { chat, user } => self.people.leave(chat, user),
            PresenceItem::Removed { chat } => self.people.remove_chat(chat),
            PresenceItem::Receipts { chat, marks } => self.send_receipts(chat, marks),
            PresenceItem::Revoked { login } => {
                let gone = self.tickets.remove_login(login);
                self.remove_users_of(gone);
            }
            PresenceItem::Lost => {
                let gone = self.tickets.remove_where(|_| true);
                self.remove_users_of(gone);
                self.request_chats_again();
            }
            PresenceItem::ChatsOf(users) => self.add_chats(users),
        }
        self.schedule(now);
    }

    fn add_ticket(&mut self, who: Credential, device: DeviceKey, ticket: Ticket, now: Instant) {
        let gone = self.tickets.add(who, device, ticket, &self.limits, now);
        self.remove_users_of(gone);
    }

    pub(super) fn remove_users_of(&mut self, connections: Vec<TicketConnection>) {
        connections.into_iter().for_each(|connection| self.remove_if_gone(connection.user));
    }

    fn unregister(&mut self, session: SessionId, now: Instant) {
        let Some(entry) = self.sessions.remove(&session) else { return };
        self.lagging.remove(&session);
        if let Some(own) = self.of_user.get_mut(&entry.user) {
            own.retain(|other| *other != session);
            if own.is_empty() {
                self.of_user.remove(&entry.user);
            }
        }
        self.people.disconnect(entry.user, &entry.device, now);
        self.remove_if_gone(entry.user);
    }

    /// Removes a user who has neither sessions nor tickets and who is no longer shown.
    pub(super) fn remove_if_gone(&mut self, user: UserId) {
        if !self.of_user.contains_key(&user) && self.tickets.of_user(user).next().is_none() {
            self.people.remove_if_gone(user);
        }
    }

    /// Adds a member. All members of the chat are new to the joining user, whatever their versions.
    fn joined(&mut self, chat: ChatId, user: UserId, now: Instant) {
        self.people.join(chat, user);
        for session in self.of_user.get(&user).into_iter().flatten() {
            if let Some(entry) = self.sessions.get_mut(session) {
                entry.sent_version = 0;
                self.lagging.insert(*session, now);
            }
        }
        let ids: Vec<_> = self.tickets.of_user(user).collect();
        for id in ids {
            if let Some(connection) = self.tickets.get_mut(id) {
                (connection.known, connection.sent) = (0, 0);
                connection.known_from = self.people.version();
                connection.paths.start_over();
                self.pending.insert(id);
            }
        }
    }

    /// Ends all sessions and removes all tickets after a restart: no state may survive in part.
    pub(in crate::actors::presence) fn end_all(&mut self, now: Instant) {
        for entry in self.sessions.values() {
            entry.outbox.goodbye(GoodbyeCode::Overloaded, true);
        }
        let cluster = self.cluster.as_ref().map(|cluster| cluster.restarted(&self.limits, now));
        *self = Self::new(self.limits.clone());
        if let Some(cluster) = cluster {
            self.join_cluster(cluster);
        }
    }
}
