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

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::batches;
use super::messages::{PresenceItem, PresenceUpdate};
use super::paths::Claim;
use super::people::TrackedUsers;
use super::tickets::{AuthenticatedDatagram, Ticket, TicketConnection, Tickets};
use crate::actors::outbox::Outbox;
use crate::core::limits::Limits;
use crate::domain::access::Credential;
use crate::domain::device::DeviceKey;
use crate::domain::ids::{ChatId, SessionId, UserId};
use crate::protocol::answer::{AckPacket, GoodbyeCode, ServerPacket};
use crate::protocol::code::Code;
use crate::protocol::datagram::{DropReason, Kind, Pong, TypingNotice, sealed_bytes};
use crate::protocol::framing;
use crate::protocol::view::{MarkView, PresenceView};

/// Number of resends of an unacknowledged update before the server waits for a `Ping`.
const RESENDS_MAX: u32 = 5;
/// Number of ticks before a session whose outbox was half full is retried.
const RETRY_TICKS: u32 = 10;

struct SubscriberEntry {
    user: UserId,
    device: DeviceKey,
    outbox: Arc<Outbox>,
    /// The version up to which the session has received changes.
    sent_version: u64,
}

/// Encoded updates. Users with identical chat sets share the same bytes.
type Frames = Rc<[Bytes]>;

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
            limits,
        }
    }

    fn tick(&self) -> Duration {
        Duration::from_millis(self.limits.presence_tick_ms)
    }

    pub(super) fn take(&mut self, item: PresenceItem, now: Instant) {
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
                self.sessions.insert(session, SubscriberEntry { user, device, outbox, sent_version: 0 });
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
                self.forget_users_of(gone);
            }
            PresenceItem::Lost => {
                let gone = self.tickets.remove_where(|_| true);
                self.forget_users_of(gone);
            }
        }
        self.schedule(now);
    }

    fn add_ticket(&mut self, who: Credential, device: DeviceKey, ticket: Ticket, now: Instant) {
        let gone = self.tickets.add(who, device, ticket, &self.limits, now);
        self.forget_users_of(gone);
    }

    fn forget_users_of(&mut self, connections: Vec<TicketConnection>) {
        connections.into_iter().for_each(|connection| self.forget(connection.user));
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
        self.forget(entry.user);
    }

    /// Removes a user who has neither sessions nor tickets and who is no longer shown.
    fn forget(&mut self, user: UserId) {
        if !self.of_user.contains_key(&user) && self.tickets.of_user(user).next().is_none() {
            self.people.forget(user);
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
        let Some(members) = self.people.online_members(chat, user) else { return false };
        let interval = Duration::from_millis(self.limits.typing_interval_ms);
        let recently = self.typed.get(&(user, chat)).is_some_and(|at| now.duration_since(*at) < interval);
        if members.len() <= self.limits.typing_participants && self.people.is_shown(user) && !recently {
            self.typed.insert((user, chat), now);
            self.typing.insert((chat, user));
        }
        true
    }

    /// Handles a datagram. Returns the answer, if any.
    pub(super) fn receive(
        &mut self,
        from: SocketAddr,
        datagram: &[u8],
        now: Instant,
    ) -> Result<Option<Outgoing>, DropReason> {
        let version = self.people.version();
        let AuthenticatedDatagram { header, body, newest } =
            self.tickets.receive(from, datagram, version, &self.limits, now)?;
        let id = header.connection_id;
        let Some(connection) = self.tickets.get_mut(id) else { return Err(DropReason::Connection) };
        let (user, device) = (connection.user, connection.device.clone());
        if connection.paths.must_prove(from) {
            self.pending.insert(id);
        }
        self.people.heard(user, &device, now);
        // Without a version the datagram's counter decides: a status that arrives out of order is
        // ignored.
        if let Some(status) = body.status.filter(|_| body.version.is_some() || newest) {
            self.people.set_status(user, &device, status, body.version, now);
        }
        let answer = match header.kind {
            Kind::Ping => self.pong(id, body.known.unwrap_or(0), from, datagram.len(), now),
            Kind::Typing => {
                let chat = body.chat_id.ok_or(DropReason::Malformed)?;
                if !self.type_in(chat, user, now) {
                    return Err(DropReason::NotMember);
                }
                None
            }
            _ if body.status.is_none() => return Err(DropReason::Malformed),
            _ => None,
        };
        self.schedule(now);
        Ok(answer)
    }

    /// Records the version that the client has and returns the answer, which is never larger than
    /// the request.
    fn pong(&mut self, id: u64, known: u64, from: SocketAddr, size: usize, now: Instant) -> Option<Outgoing> {
        let version = self.people.version();
        let connection = self.tickets.get_mut(id)?;
        match connection.paths.claim(known, from, (connection.known, version), now) {
            Claim::Version(known) if known >= connection.known_from => {
                connection.known = connection.known.max(known);
            }
            Claim::Proved(known) => {
                connection.known = known;
                // Updates that did not fit before the proof are sent at once.
                self.flush_at = Some(now);
            }
            Claim::Version(_) | Claim::Unknown => {}
        }
        let status = self.people.status_version(connection.user, &connection.device);
        let pong = Pong { version: status, known: connection.paths.number(version) };
        let fits = sealed_bytes(&pong).is_some_and(|bytes| bytes <= size);
        let pong = if fits { connection.seal_to(from, Kind::Pong, &pong) } else { None };
        if connection.known < version {
            // The client lacks changes or is new: it receives them at the next flush.
            self.pending.insert(id);
        }
        if self.tickets.get_mut(id).is_some_and(|connection| connection.known >= connection.sent) {
            self.tickets.set_resend(id, None);
        }
        pong
    }

    /// Returns the next time at which [`Self::run`] has work to do; `None` while it has none.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let deadlines = [
            self.flush_at,
            self.people.next_deadline(),
            self.tickets.next_expiry(),
            self.tickets.next_resend(),
        ];
        deadlines.into_iter().flatten().min()
    }

    fn schedule(&mut self, now: Instant) {
        if self.flush_at.is_some() {
            return;
        }
        let soon = self.people.has_changes() || !self.pending.is_empty() || !self.typing.is_empty();
        let lagging = self.lagging.values().min().copied();
        let at = if soon { Some(now + self.tick()) } else { lagging.map(|at| at.max(now + self.tick())) };
        self.flush_at = at;
    }

    /// Runs all tasks that are due. Returns the datagrams to send.
    pub(super) fn run(&mut self, now: Instant) -> Vec<Outgoing> {
        let expired = self.people.expire(now);
        expired.into_iter().for_each(|user| self.forget(user));
        let gone = self.tickets.remove_expired(now);
        self.forget_users_of(gone);
        self.pending.extend(self.tickets.due(now));
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

    fn flush(&mut self, now: Instant, out: &mut Vec<Outgoing>) {
        let changed = self.people.take_changed();
        self.send_changes(&changed, now);
        self.send_lagging(now);
        self.send_typing(now, out);
        for id in std::mem::take(&mut self.pending) {
            self.send_to_connection(id, now, out);
        }
        changed.into_iter().for_each(|user| self.forget(user));
    }

    /// Sends the changes to all users who see one of `changed`. Users with identical chat sets
    /// share one encoding, which matters when many connect at once.
    fn send_changes(&mut self, changed: &BTreeSet<UserId>, now: Instant) {
        let touched: BTreeSet<_> = changed.iter().flat_map(|user| self.people.chats(*user)).collect();
        let mut watchers = changed.clone();
        watchers.extend(touched.iter().flat_map(|chat| self.people.people_of(*chat)));
        let mut known: HashMap<Vec<ChatId>, Frames> = HashMap::new();
        for watcher in watchers {
            self.pending.extend(self.tickets.of_user(watcher));
            // Lagging sessions receive all their changes together later.
            let sessions = self.of_user.get(&watcher).into_iter().flatten().copied();
            let sessions: Vec<_> = sessions.filter(|id| !self.lagging.contains_key(id)).collect();
            if sessions.is_empty() {
                continue;
            }
            let mut chats = self.people.chats(watcher);
            chats.retain(|chat| touched.contains(chat));
            let frames = if chats.is_empty() {
                self.frames(self.people.views(&[watcher].into()))
            } else {
                let shared = known.entry(chats);
                let make =
                    |chats: &Vec<_>| self.frames(self.people.views(&self.people.of_chats(changed, chats)));
                shared.or_insert_with_key(make).clone()
            };
            sessions.into_iter().for_each(|session| self.send_to_session(session, &frames, now));
        }
    }

    /// Sends lagging sessions that are due all the changes that they lack.
    fn send_lagging(&mut self, now: Instant) {
        let due = self.lagging.iter().filter(|(_, at)| **at <= now).map(|(session, _)| *session);
        let mut known: HashMap<(u64, Vec<ChatId>), Frames> = HashMap::new();
        for session in due.collect::<Vec<_>>() {
            self.lagging.remove(&session);
            let Some(SubscriberEntry { user, sent_version, .. }) = self.sessions.get(&session) else {
                continue;
            };
            let (user, sent_version) = (*user, *sent_version);
            let make = || self.frames(self.people.seen_by(user, sent_version));
            let chats = self.people.chats(user);
            let frames = if chats.is_empty() {
                make()
            } else {
                known.entry((sent_version, chats)).or_insert_with(make).clone()
            };
            self.send_to_session(session, &frames, now);
        }
    }

    fn frames(&self, views: Vec<PresenceView>) -> Frames {
        let packets = views.chunks(self.limits.presence_batch.max(1));
        packets
            .filter_map(|users| framing::encode(&ServerPacket::Presence { users: users.to_vec() }).ok())
            .collect()
    }

    /// Pushes the frames to a session. If the outbox rejects a frame, the session is scheduled to
    /// receive all changes later.
    fn send_to_session(&mut self, session: SessionId, frames: &[Bytes], now: Instant) {
        let retry = now + self.tick() * RETRY_TICKS;
        let version = self.people.version();
        let Some(entry) = self.sessions.get_mut(&session) else { return };
        if !frames.iter().all(|frame| entry.outbox.push_best_effort(frame)) {
            self.lagging.insert(session, retry);
        } else {
            entry.sent_version = version;
        }
    }

    fn send_typing(&mut self, now: Instant, out: &mut Vec<Outgoing>) {
        let interval = Duration::from_millis(self.limits.typing_interval_ms);
        let window = Duration::from_millis(self.limits.udp_push_window_ms);
        for (chat_id, user_id) in std::mem::take(&mut self.typing) {
            let Some(members) = self.people.online_members(chat_id, user_id) else { continue };
            let Ok(frame) = framing::encode(&ServerPacket::Typing { chat_id, user_id }) else { continue };
            for other in members.iter().filter(|other| **other != user_id) {
                for session in self.of_user.get(other).into_iter().flatten() {
                    if let Some(entry) = self.sessions.get(session)
                        && !entry.outbox.push_best_effort(&frame)
                    {
                        tracing::trace!(session = session.0, "a typing notice was dropped");
                    }
                }
                let ids: Vec<_> = self.tickets.of_user(*other).collect();
                for id in ids {
                    let Some(connection) = self.tickets.get_mut(id) else { continue };
                    let Some(address) = connection.paths.reachable(window, now) else { continue };
                    out.extend(connection.seal_to(address, Kind::Typing, &TypingNotice { chat_id, user_id }));
                }
            }
        }
        self.typed.retain(|_, at| now.duration_since(*at) < interval);
    }

    /// Sends a connection the changes that it lacks. An address that must prove itself receives the
    /// challenge, with as many changes as its budget holds.
    fn send_to_connection(&mut self, id: u64, now: Instant, out: &mut Vec<Outgoing>) {
        let window = Duration::from_millis(self.limits.udp_push_window_ms);
        let mut tries = self.tickets.tries(id);
        self.tickets.set_resend(id, None);
        let Some(connection) = self.tickets.get_mut(id) else { return };
        let (version, known) = (self.people.version(), connection.known);
        let views = self.people.seen_by(connection.user, known);
        let challenge = batches::challenge(connection, &views, version, window, now);
        let mut acknowledged = challenge.is_none();
        out.extend(challenge);
        if let (Some(newest), Some(address)) = (views.last(), connection.paths.proved(window, now)) {
            if newest.version > connection.sent {
                // A new version resets the retry count.
                tries = 0;
            }
            let datagrams_max = self.limits.udp_batch_datagrams;
            let datagrams = batches::batches(connection, &views, version, datagrams_max);
            out.extend(datagrams.into_iter().map(|datagram| (address, datagram)));
            acknowledged = false;
        }
        if tries < RESENDS_MAX && !acknowledged {
            let wait = Duration::from_millis(self.limits.udp_resend_ms) * 2_u32.pow(tries);
            self.tickets.set_resend(id, Some((now + wait, tries + 1)));
        }
    }

    pub(super) fn query(&self, watcher: UserId, users: &[(UserId, bool)]) -> Vec<PresenceView> {
        let seen = |(user, share): &(UserId, bool)| self.people.as_seen_by(watcher, *user, *share);
        users.iter().map(seen).collect()
    }

    /// Sends the marks of members to the sessions of a chat, except the marks of invisible users.
    fn send_receipts(&self, chat_id: ChatId, mut marks: Vec<MarkView>) {
        marks.retain(|mark| !self.people.is_hidden(mark.user_id));
        if marks.is_empty() {
            return;
        }
        let Ok(frame) =
            framing::encode(&ServerPacket::Marks { chat_id, marks, unread_count: None, hidden: None })
        else {
            return;
        };
        for user in self.people.people_of(chat_id) {
            for session in self.of_user.get(&user).into_iter().flatten() {
                if let Some(entry) = self.sessions.get(session)
                    && !entry.outbox.push_best_effort(&frame)
                {
                    tracing::trace!(session = session.0, "receipts were dropped");
                }
            }
        }
    }

    /// Ends all sessions and removes all tickets after a restart: no state may survive in part.
    pub(super) fn end_all(&mut self) {
        for entry in self.sessions.values() {
            entry.outbox.goodbye(GoodbyeCode::Overloaded, true);
        }
        *self = Self::new(self.limits.clone());
    }
}

#[cfg(test)]
#[path = "state_test.rs"]
mod tests;
