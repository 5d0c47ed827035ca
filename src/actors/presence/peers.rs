//! The presence of users at the other nodes of a cluster, and the messages that carry it.
//!
//! Each node announces its own users: for each the status of all devices there together. A message
//! that changes them has the next number. A receiver that misses a number asks for the whole; so it
//! does for a node that it did not know, and after a gap of the bus. A node without news sends a
//! beat, with the number of its last change.
//!
//! A plain struct that receives the time as a parameter. Invariants:
//!
//! * Nothing durable depends on these messages, and each of them may be lost.
//! * The users of a node that is silent for [`BEATS_UNTIL_GONE`] beats are disconnected.
//! * A whole replaces all that was known of its node.
//! * Users may be invisible at a node that this one does not receive: [`Peers::is_complete`].

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::places::Place;
use crate::core::bus::Origin;
use crate::core::limits::Limits;
use crate::domain::ids::{ChatId, UserId};
use crate::domain::presence::Status;

/// A node that sends nothing for so many beats counts as ended.
const BEATS_UNTIL_GONE: u32 = 3;
/// Every node that can be received has sent a message so many beats after a connection.
const BEATS_UNTIL_SETTLED: u32 = 2;
/// A node that has sent nothing for this long has ended, and has no sessions.
const SILENT_MAX: Duration = Duration::from_secs(60 * 60);
/// Maximum number of users in a message; each has at most 11 bytes.
const USERS_PER_MESSAGE: usize = 400;
/// Maximum number of users of one other node; further ones are not shown.
const USERS_PER_NODE_MAX: usize = 200_000;
/// Minimum time between two wholes of this node, and between two requests for that of another.
const WHOLE_PAUSE: Duration = Duration::from_secs(1);

/// A message between nodes. Its topic is presence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum NodeMessage {
    /// The node runs; the number of its last change.
    Beat(u64),
    /// A change, with its number.
    Changed(u64, Vec<(UserId, u8)>),
    /// A part of the whole, with its number.
    Whole(u64, Part, Vec<(UserId, u8)>),
    /// Requests the whole of a node; 0: of all.
    Ask(i16),
    Typing(ChatId, UserId),
    /// A user is at a place, or leaves it.
    Visit(UserId, Place, bool),
    /// The node stops: its users are disconnected.
    Stopped,
}

/// The position of a part in the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    is_first: bool,
    is_last: bool,
}

/// Returns the code of a status in messages. `None`: the user has no device at the node.
fn code(status: Option<Status>) -> u8 {
    match status {
        None => 0,
        Some(Status::Online) => 1,
        Some(Status::Away) => 2,
        Some(Status::Dnd) => 3,
        Some(Status::Invisible) => 4,
    }
}

/// Returns the status of a code; `None` for a code of a later version.
fn status_of(code: u8) -> Option<Option<Status>> {
    match code {
        0 => Some(None),
        1 => Some(Some(Status::Online)),
        2 => Some(Some(Status::Away)),
        3 => Some(Some(Status::Dnd)),
        4 => Some(Some(Status::Invisible)),
        _ => None,
    }
}

/// A change at this node, from a message of another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PeerChange {
    /// The devices of a user at a node together; `None`: there are none.
    Status(i16, UserId, Option<Status>),
    Typing(ChatId, UserId),
    Visit(UserId, Place, bool),
}

#[derive(Debug)]
struct Peer {
    instance: u64,
    seen_at: Instant,
    /// The number of the last change that was applied; `None`: the whole is needed.
    applied: Option<u64>,
    users: HashMap<UserId, Status>,
    /// The whole that is arriving: the number of its last part, and its users so far.
    whole: Option<(u64, HashSet<UserId>)>,
    /// When to ask for the whole again.
    ask_at: Option<Instant>,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Peers {
    own: i16,
    /// The number of the last change of this node.
    number: u64,
    peers: BTreeMap<i16, Peer>,
    /// Nodes that stopped sending without an announcement, and until when they may have sessions.
    silent: BTreeMap<i16, Instant>,
    /// Whether all reachable nodes have had the time to send a message.
    is_settled: bool,
    /// When that time ends; `None` before the bus is connected.
    settles_at: Option<Instant>,
    beat: Duration,
    next_beat: Instant,
    /// When this node sends its whole, if another asked for it.
    whole_at: Option<Instant>,
    last_whole: Option<Instant>,
    to_send: Vec<NodeMessage>,
}

impl Peers {
    pub(super) fn new(own: i16, limits: &Limits, now: Instant) -> Self {
        let beat = Duration::from_millis(limits.presence_beat_ms);
        Self {
            own,
            number: 0,
            peers: BTreeMap::new(),
            silent: BTreeMap::new(),
            is_settled: false,
            settles_at: None,
            beat,
            next_beat: now + beat,
            whole_at: None,
            last_whole: None,
            to_send: Vec::new(),
        }
    }

    /// Starts again after a panic, when nothing but the number can be relied on. The others notice
    /// the gap between the numbers.
    pub(super) fn restarted(&self, limits: &Limits, now: Instant) -> Self {
        let mut fresh = Self::new(self.own, limits, now);
        fresh.number = self.number.saturating_add(2);
        fresh.silent.clone_from(&self.silent);
        fresh.after_gap(now);
        fresh
    }

    /// Returns the next time at which [`Self::run`] has work to do.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let of_peers = self.peers.values().flat_map(|peer| [Some(self.gone_at(peer)), peer.ask_at]);
        let of_silent = self.silent.values().copied();
        of_peers
            .flatten()
            .chain(of_silent)
            .chain(self.settles_at)
            .chain(self.whole_at)
            .chain([self.next_beat])
            .min()
    }

    fn gone_at(&self, peer: &Peer) -> Instant {
        peer.seen_at + self.beat * BEATS_UNTIL_GONE
    }

    /// Returns whether the users of all nodes are known. They are not while the bus is away, nor
    /// while a node is silent that may still have sessions.
    pub(super) fn is_complete(&self) -> bool {
        self.is_settled && self.silent.is_empty() && self.peers.values().all(|peer| peer.applied.is_some())
    }

    /// Returns the messages to publish.
    pub(super) fn take_messages(&mut self) -> Vec<NodeMessage> {
        std::mem::take(&mut self.to_send)
    }

    /// Runs what is due. Returns whether the whole of this node is due: see [`Self::send_whole`].
    pub(super) fn run(&mut self, now: Instant, changes: &mut Vec<PeerChange>) -> bool {
        let gone: Vec<_> =
            self.peers.iter().filter(|(_, peer)| self.gone_at(peer) <= now).map(|(node, _)| *node).collect();
        for node in gone {
            tracing::info!(node, "a node of the cluster is silent: its users are disconnected");
            self.remove(node, changes);
            self.silent.insert(node, now + SILENT_MAX);
        }
        self.silent.retain(|_, until| *until > now);
        if self.settles_at.is_some_and(|at| at <= now) {
            (self.is_settled, self.settles_at) = (true, None);
        }
        for (node, peer) in &mut self.peers {
            if peer.ask_at.is_some_and(|at| at <= now) {
                peer.ask_at = Some(now + WHOLE_PAUSE);
                self.to_send.push(NodeMessage::Ask(*node));
            }
        }
        let is_whole_due = self.whole_at.is_some_and(|at| at <= now);
        if self.next_beat <= now {
            self.next_beat = now + self.beat;
            self.to_send.push(NodeMessage::Beat(self.number));
        }
        is_whole_due
    }

    /// Announces the statuses of users of this node that have changed.
    pub(super) fn send_changes(&mut self, users: &[(UserId, Option<Status>)], now: Instant) {
        for users in users.chunks(USERS_PER_MESSAGE) {
            self.number += 1;
            let users = users.iter().map(|(user, status)| (*user, code(*status))).collect();
            self.to_send.push(NodeMessage::Changed(self.number, users));
        }
        if !users.is_empty() {
            self.next_beat = now + self.beat;
        }
    }

    /// Announces all users of this node.
    pub(super) fn send_whole(&mut self, users: &[(UserId, Status)], now: Instant) {
        (self.whole_at, self.last_whole) = (None, Some(now));
        let empty: &[(UserId, Status)] = &[];
        let mut parts: Vec<_> = users.chunks(USERS_PER_MESSAGE).collect();
        if parts.is_empty() {
            parts.push(empty);
        }
        let last = parts.len() - 1;
        for (at, users) in parts.into_iter().enumerate() {
            self.number += 1;
            let users = users.iter().map(|(user, status)| (*user, code(Some(*status)))).collect();
            let part = Part { is_first: at == 0, is_last: at == last };
            self.to_send.push(NodeMessage::Whole(self.number, part, users));
        }
        self.next_beat = now + self.beat;
    }

    pub(super) fn send_typing(&mut self, chat: ChatId, user: UserId) {
        if !self.peers.is_empty() {
            self.to_send.push(NodeMessage::Typing(chat, user));
        }
    }

    pub(super) fn send_visit(&mut self, user: UserId, place: Place, stays: bool) {
        if !self.peers.is_empty() {
            self.to_send.push(NodeMessage::Visit(user, place, stays));
        }
    }

    /// Messages may be missing in both directions: asks all nodes for their whole, and sends a
    /// beat, from which they see what they missed.
    pub(super) fn after_gap(&mut self, now: Instant) {
        for peer in self.peers.values_mut() {
            (peer.applied, peer.whole, peer.ask_at) = (None, None, Some(now + WHOLE_PAUSE));
        }
        (self.is_settled, self.settles_at) = (false, Some(now + self.beat * BEATS_UNTIL_SETTLED));
        self.next_beat = now + self.beat;
        self.to_send.extend([NodeMessage::Beat(self.number), NodeMessage::Ask(0)]);
    }

    /// Receives a message of another node.
    pub(super) fn receive(
        &mut self,
        from: Origin,
        message: NodeMessage,
        now: Instant,
        changes: &mut Vec<PeerChange>,
    ) {
        self.silent.remove(&from.node);
        match message {
            NodeMessage::Stopped => return self.remove(from.node, changes),
            NodeMessage::Ask(node) if node == 0 || node == self.own => {
                let earliest = self.last_whole.map_or(now, |last| now.max(last + WHOLE_PAUSE));
                self.whole_at.get_or_insert(earliest);
            }
            _ => {}
        }
        if self.peers.get(&from.node).is_some_and(|peer| peer.instance != from.instance) {
            // The node has started again: its former users are disconnected.
            self.remove(from.node, changes);
        }
        let peer = self.peers.entry(from.node).or_insert_with(|| {
            tracing::info!(node = from.node, "a node of the cluster is present");
            Peer {
                instance: from.instance,
                seen_at: now,
                applied: None,
                users: HashMap::new(),
                whole: None,
                ask_at: Some(now),
            }
        });
        peer.seen_at = now;
        match message {
            NodeMessage::Beat(number) => {
                if peer.applied != Some(number) {
                    peer.miss(now);
                }
            }
            NodeMessage::Changed(number, users) => peer.change(from.node, number, &users, now, changes),
            NodeMessage::Whole(number, part, users) => {
                peer.replace(from.node, (number, part), &users, now, changes);
            }
            NodeMessage::Typing(chat, user) => changes.push(PeerChange::Typing(chat, user)),
            NodeMessage::Visit(user, place, stays) => changes.push(PeerChange::Visit(user, place, stays)),
            NodeMessage::Ask(_) | NodeMessage::Stopped => {}
        }
    }

    /// Disconnects all users of a node.
    fn remove(&mut self, node: i16, changes: &mut Vec<PeerChange>) {
        let users = self.peers.remove(&node).map(|peer| peer.users).unwrap_or_default();
        changes.extend(users.into_keys().map(|user| PeerChange::Status(node, user, None)));
    }
}

impl Peer {
    /// Records that a change is missing: the whole is needed.
    fn miss(&mut self, now: Instant) {
        (self.applied, self.whole) = (None, None);
        self.ask_at.get_or_insert(now);
    }

    fn set(&mut self, node: i16, user: UserId, status: Option<Status>, changes: &mut Vec<PeerChange>) {
        let known = self.users.get(&user).copied();
        let has_room = known.is_some() || self.users.len() < USERS_PER_NODE_MAX;
        match status {
            Some(status) if has_room => drop(self.users.insert(user, status)),
            Some(_) => return,
            None => drop(self.users.remove(&user)),
        }
        if known != status {
            changes.push(PeerChange::Status(node, user, status));
        }
    }

    fn change(
        &mut self,
        node: i16,
        number: u64,
        users: &[(UserId, u8)],
        now: Instant,
        changes: &mut Vec<PeerChange>,
    ) {
        if self.applied.and_then(|applied| applied.checked_add(1)) == Some(number) {
            self.applied = Some(number);
        } else {
            self.miss(now);
        }
        // Newer than what is known in any case: the messages of a node arrive in order.
        for (user, code) in users {
            if let Some(status) = status_of(*code) {
                self.set(node, *user, status, changes);
            }
        }
    }

    fn replace(
        &mut self,
        node: i16,
        (number, part): (u64, Part),
        users: &[(UserId, u8)],
        now: Instant,
        changes: &mut Vec<PeerChange>,
    ) {
        let begun = match self.whole.take() {
            _ if part.is_first => Some(HashSet::new()),
            Some((last, listed)) if last.checked_add(1) == Some(number) => Some(listed),
            _ => None,
        };
        let Some(mut listed) = begun else { return self.miss(now) };
        for (user, code) in users {
            if let Some(Some(status)) = status_of(*code) {
                self.set(node, *user, Some(status), changes);
                listed.insert(*user);
            }
        }
        if !part.is_last {
            self.whole = Some((number, listed));
            return;
        }
        let gone: Vec<_> = self.users.keys().filter(|user| !listed.contains(user)).copied().collect();
        gone.into_iter().for_each(|user| self.set(node, user, None, changes));
        (self.applied, self.ask_at) = (Some(number), None);
    }
}

#[cfg(test)]
#[path = "peers_test.rs"]
mod tests;
