//! Sessions and tickets around [`TrackedUsers`], and the updates that each of them must receive.
//!
//! A plain struct: it receives the time as a parameter and returns the datagrams to send.
//!
//! Invariants:
//!
//! * Updates are sent only by a flush, and a flush is only due when there are updates.
//! * An update that a session's outbox rejects is sent again later.
//! * An update in a datagram is sent again until it is acknowledged, or until the client stops
//!   sending.

mod cluster;
mod flush;
mod sessions;
mod udp;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub(super) use cluster::Cluster;
use sessions::SubscriberEntry;

use super::messages::PresenceUpdate;
use super::people::TrackedUsers;
use super::places::{Place, Places};
use super::tickets::Tickets;
use crate::core::limits::Limits;
use crate::domain::ids::{ChatId, SessionId, UserId};
use crate::protocol::answer::{AckPacket, ServerPacket};
use crate::protocol::code::Code;
use crate::protocol::view::PresenceView;

/// A datagram to send.
pub(super) type Outgoing = (SocketAddr, Vec<u8>);

pub(super) struct PresenceState {
    people: TrackedUsers,
    tickets: Tickets,
    sessions: HashMap<SessionId, SubscriberEntry>,
    of_user: HashMap<UserId, Vec<SessionId>>,
    /// Sessions that must receive all changes they lack, each with the earliest time for it.
    lagging: BTreeMap<SessionId, Instant>,
    /// Connections that have changes to receive.
    pending: BTreeSet<u64>,
    typing: BTreeSet<(ChatId, UserId)>,
    typed: HashMap<(UserId, ChatId), Instant>,
    flush_at: Option<Instant>,
    places: Places,
    /// The other nodes, if this node is one of a cluster.
    cluster: Option<Cluster>,
    limits: Limits,
}

impl PresenceState {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            people: TrackedUsers::new(&limits),
            tickets: Tickets::default(),
            sessions: HashMap::new(),
            of_user: HashMap::new(),
            lagging: BTreeMap::new(),
            pending: BTreeSet::new(),
            typing: BTreeSet::new(),
            typed: HashMap::new(),
            flush_at: None,
            places: Places::default(),
            cluster: None,
            limits,
        }
    }

    fn tick(&self) -> Duration {
        Duration::from_millis(self.limits.presence_tick_ms)
    }

    /// Handles a status or typing update of a session. The session receives an answer when it
    /// requested one, and when it is refused.
    pub(super) fn update(
        &mut self,
        session: SessionId,
        request_id: Option<u64>,
        update: &PresenceUpdate,
        now: Instant,
    ) {
        let Some(entry) = self.sessions.get(&session) else { return };
        let (user, device, outbox) = (entry.user, entry.device.clone(), entry.outbox.clone());
        let done = AckPacket { request_id, success: true, ..AckPacket::default() };
        let answer = match *update {
            PresenceUpdate::Status { status, version } => {
                let counts = self.people.set_status(user, &device, status, version, now);
                let (status, version) = (Some(counts.status), Some(counts.version));
                Some(AckPacket { status, version, duplicate: (!counts.is_new).then_some(true), ..done })
            }
            PresenceUpdate::Typing(chat) => self.type_in(chat, user, now).then_some(done),
        };
        match answer {
            Some(ack) if request_id.is_some() => outbox.reply_packet(&ServerPacket::Ack(ack)),
            Some(_) => {}
            None => {
                let why = "chat not found, or you are not a member of it".to_owned();
                let ack = AckPacket::refusal(request_id, Code::NotFound, why, None);
                outbox.reply_packet(&ServerPacket::Ack(ack));
            }
        }
        self.schedule(now);
    }

    /// Returns whether `user` is in the chat. Notifies the other members unless typing was sent
    /// recently or the chat has too many members.
    fn type_in(&mut self, chat: ChatId, user: UserId, now: Instant) -> bool {
        let Some(is_new) = self.note_typing(chat, user, now) else { return false };
        if is_new && let Some(cluster) = &mut self.cluster {
            cluster.typing.push((chat, user));
        }
        true
    }

    /// Returns whether the other members will be notified; `None`: `user` is not in the chat.
    fn note_typing(&mut self, chat: ChatId, user: UserId, now: Instant) -> Option<bool> {
        let members = self.people.online_members(chat, user)?;
        let interval = Duration::from_millis(self.limits.typing_interval_ms);
        let recently = self.typed.get(&(user, chat)).is_some_and(|at| now.duration_since(*at) < interval);
        let is_new =
            members.len() <= self.limits.typing_participants && self.people.is_shown(user) && !recently;
        if is_new {
            self.typed.insert((user, chat), now);
            self.typing.insert((chat, user));
        }
        Some(is_new)
    }

    /// Returns the next time at which [`Self::run`] has work to do; `None` while it has none.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let deadlines = [
            self.flush_at,
            self.people.next_deadline(),
            self.tickets.next_expiry(),
            self.tickets.next_resend(),
            self.cluster.as_ref().and_then(|cluster| cluster.peers.next_deadline()),
        ];
        deadlines.into_iter().flatten().min()
    }

    fn schedule(&mut self, now: Instant) {
        if self.people.is_urgent() {
            self.announce(now);
        }
        if self.flush_at.is_some() {
            return;
        }
        let soon = self.people.has_changes()
            || self.people.has_announcements()
            || !self.pending.is_empty()
            || !self.typing.is_empty();
        let lagging = self.lagging.values().min().copied();
        let at = if soon { Some(now + self.tick()) } else { lagging.map(|at| at.max(now + self.tick())) };
        self.flush_at = at;
    }

    /// Runs all tasks that are due. Returns the datagrams to send.
    pub(super) fn run(&mut self, now: Instant) -> Vec<Outgoing> {
        let expired = self.people.expire(now);
        expired.into_iter().for_each(|user| self.remove_if_gone(user));
        let gone = self.tickets.remove_expired(now);
        self.remove_users_of(gone);
        self.pending.extend(self.tickets.due(now));
        self.run_cluster(now);
        let mut out = Vec::new();
        if self.flush_at.is_some_and(|at| at <= now) {
            self.flush_at = None;
            self.flush(now, &mut out);
        } else {
            // Connections that are due for a resend do not wait for the next flush.
            for id in self.tickets.due(now) {
                self.pending.remove(&id);
                self.send_to_connection(id, now, &mut out);
            }
        }
        self.schedule(now);
        out
    }

    /// Records that a user is at a place, or leaves it. Returns the other users there who are not
    /// invisible.
    pub(super) fn visit(&mut self, user: UserId, place: Place, stays: bool, now: Instant) -> Vec<UserId> {
        let is_shown = self.visited(user, place, stays, now);
        if let Some(cluster) = &mut self.cluster {
            cluster.peers.send_visit(user, place, is_shown);
        }
        self.places.others(place, user, now, |user| self.people.is_invisible(user))
    }

    /// Returns whether the user is shown at the place.
    fn visited(&mut self, user: UserId, place: Place, stays: bool, now: Instant) -> bool {
        let is_shown = stays && !self.people.is_invisible(user);
        if is_shown {
            self.places.enter(user, place, now);
        } else {
            self.places.leave(user, place);
        }
        is_shown
    }

    pub(super) fn query(&self, watcher: UserId, users: &[(UserId, bool)]) -> Vec<PresenceView> {
        let seen = |(user, share): &(UserId, bool)| self.people.as_seen_by(watcher, *user, *share);
        users.iter().map(seen).collect()
    }
}

#[cfg(test)]
#[path = "state_test.rs"]
mod tests;
