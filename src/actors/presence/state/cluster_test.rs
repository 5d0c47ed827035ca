//! Random sessions at three nodes over a bus that loses messages: users are shown as at a single
//! node with all sessions.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use rand::rngs::StdRng;
use rand::seq::IteratorRandom;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::actors::outbox::{DeliveryMeter, Outbox, OutboxDrain};
use crate::actors::presence::messages::{PresenceItem, PresenceUpdate};
use crate::core::bus::{BODY_BYTES_MAX, Origin};
use crate::domain::access::Credential;
use crate::domain::device::DeviceKey;
use crate::domain::ids::{LoginId, SessionId};
use crate::domain::presence::{Shown, Status};
use crate::protocol::answer::ReceivedPacket;

const STEP: Duration = Duration::from_millis(100);
const USERS: i64 = 6;
const CHATS: i64 = 3;
const NODES: i16 = 3;
/// Longer than three beats, the debounce and a few flushes.
const QUIET: Duration = Duration::from_secs(60);

/// A session, and how users are shown to it.
struct Session {
    user: UserId,
    drain: OutboxDrain,
    shown: BTreeMap<UserId, Shown>,
}

impl Session {
    fn open(state: &mut PresenceState, id: u64, user: UserId, chats: &[ChatId], now: Instant) -> Self {
        let (outbox, mut drain) = Outbox::new(100_000, 10_000, DeliveryMeter::default());
        let (welcome, mut welcomed) = (Bytes::from_static(b"welcome"), Vec::new());
        outbox.welcome(welcome.clone());
        assert!(drain.next(&mut welcomed).now_or_never().is_some());
        drain.written(1, welcome.len());
        let session = SessionId(id);
        let item = PresenceItem::Registered {
            session,
            who: Credential::login(user, LoginId(user.0), 1),
            device: DeviceKey::Session(session),
            status: None,
            outbox,
            chats: chats.to_vec(),
            ticket: None,
        };
        state.take(item, now);
        Self { user, drain, shown: BTreeMap::new() }
    }

    /// Reads the outbox. Returns the chats in which users type.
    fn read(&mut self) -> Vec<(ChatId, UserId)> {
        let (mut frames, mut typing) = (Vec::new(), Vec::new());
        while self.drain.next(&mut frames).now_or_never().is_some() {
            let bytes = frames.iter().map(Bytes::len).sum();
            self.drain.written(frames.len(), bytes);
            for frame in frames.drain(..) {
                let packet: ReceivedPacket = rmp_serde::from_slice(&frame[4..]).unwrap();
                self.shown.extend(packet.users.iter().map(|view| (view.user_id, view.status)));
                if packet.packet_type == "Typing" {
                    typing.push((packet.chat_id.unwrap(), packet.user_id.unwrap()));
                }
            }
        }
        typing
    }
}

/// A node, or the single node to which the others are compared.
struct Node {
    state: PresenceState,
    origin: Origin,
    sessions: BTreeMap<u64, Session>,
    is_cut: bool,
}

impl Node {
    fn new(node: i16, instance: u64, now: Instant) -> Self {
        let limits = Limits::default();
        let mut state = PresenceState::new(limits.clone());
        if node > 0 {
            state.join_cluster(Cluster::new(node, &limits, now));
            state.receive_event(NodeEvent::Gap, now).unwrap();
        }
        Self { state, origin: Origin { node, instance }, sessions: BTreeMap::new(), is_cut: false }
    }
}

/// Returns whether two users see each other.
fn shared_chats(members: &BTreeSet<(ChatId, UserId)>) -> impl Fn(UserId, UserId) -> bool {
    move |one, other| {
        one == other || members.iter().any(|(chat, user)| *user == one && members.contains(&(*chat, other)))
    }
}

struct World {
    now: Instant,
    nodes: Vec<Node>,
    single: Node,
    members: BTreeSet<(ChatId, UserId)>,
    instances: u64,
    sent: usize,
}

impl World {
    fn new() -> Self {
        let now = Instant::now();
        let nodes = (1..=NODES).map(|node| Node::new(node, 1, now)).collect();
        let single = Node::new(0, 1, now);
        Self { now, nodes, single, members: BTreeSet::new(), instances: 1, sent: 0 }
    }

    fn chats_of(&self, user: UserId) -> Vec<ChatId> {
        self.members.iter().filter(|(_, member)| *member == user).map(|(chat, _)| *chat).collect()
    }

    fn open(&mut self, at: usize, id: u64, user: UserId) {
        let (chats, now) = (self.chats_of(user), self.now);
        for node in [&mut self.nodes[at], &mut self.single] {
            let session = Session::open(&mut node.state, id, user, &chats, now);
            node.sessions.insert(id, session);
        }
    }

    fn close(&mut self, at: usize, id: u64) {
        for node in [&mut self.nodes[at], &mut self.single] {
            if node.sessions.remove(&id).is_some() {
                node.state.take(PresenceItem::Unregistered { session: SessionId(id) }, self.now);
            }
        }
    }

    fn update(&mut self, at: usize, id: u64, update: &PresenceUpdate) {
        for node in [&mut self.nodes[at], &mut self.single] {
            node.state.update(SessionId(id), None, update, self.now);
        }
    }

    /// A commit of a join or a leave reaches all nodes.
    fn change_membership(&mut self, chat: ChatId, user: UserId) {
        let joins = self.members.insert((chat, user));
        if !joins {
            self.members.remove(&(chat, user));
        }
        for node in self.nodes.iter_mut().chain([&mut self.single]) {
            let item =
                if joins { PresenceItem::Joined { chat, user } } else { PresenceItem::Left { chat, user } };
            node.state.take(item, self.now);
        }
        // A client drops the presence of users with whom it shares no chat any more.
        let share = shared_chats(&self.members);
        for node in self.nodes.iter_mut().chain([&mut self.single]) {
            for session in node.sessions.values_mut() {
                session.read();
                session.shown.retain(|user, _| share(session.user, *user));
            }
        }
    }

    /// Replaces the process of a node. Its sessions are lost.
    fn kill(&mut self, at: usize) {
        self.instances += 1;
        let ids: Vec<_> = self.nodes[at].sessions.keys().copied().collect();
        for id in ids {
            self.single.sessions.remove(&id);
            self.single.state.take(PresenceItem::Unregistered { session: SessionId(id) }, self.now);
        }
        let node = self.nodes[at].origin.node;
        self.nodes[at] = Node::new(node, self.instances, self.now);
    }

    /// Cuts a node off the bus, or connects it again.
    fn cut(&mut self, at: usize, is_cut: bool) {
        if std::mem::replace(&mut self.nodes[at].is_cut, is_cut) && !is_cut {
            self.nodes[at].state.receive_event(NodeEvent::Gap, self.now).unwrap();
        }
    }

    /// Exchanges the messages of all nodes, in the order of each sender.
    fn exchange(&mut self) {
        let mut wire = Vec::new();
        for node in &mut self.nodes {
            for message in node.state.take_messages() {
                let body = rmp_serde::to_vec(&message).unwrap();
                assert!(body.len() <= BODY_BYTES_MAX);
                self.sent += 1;
                if !node.is_cut {
                    wire.push((node.origin, body));
                }
            }
        }
        for (from, body) in wire {
            for node in self.nodes.iter_mut().filter(|node| !node.is_cut && node.origin.node != from.node) {
                node.state.receive_event(NodeEvent::Message(from, body.clone()), self.now).unwrap();
            }
        }
        for at in 0..self.nodes.len() {
            let wanted = self.nodes[at].state.take_wanted(2);
            let chats = wanted.into_iter().map(|user| (user, self.chats_of(user))).collect();
            self.nodes[at].state.take(PresenceItem::ChatsOf(chats), self.now);
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += STEP;
            for node in self.nodes.iter_mut().chain([&mut self.single]) {
                if node.state.next_deadline().is_some_and(|at| at <= self.now) {
                    node.state.run(self.now);
                }
            }
            self.exchange();
        }
    }

    /// Compares each node with the single node: its answers, and the last state of each session.
    fn compare(&mut self, context: &str) {
        for at in 0..self.nodes.len() {
            for (watcher, user) in (1..=USERS).flat_map(|one| (1..=USERS).map(move |other| (one, other))) {
                let (watcher, user) = (UserId(watcher), UserId(user));
                let asked = [(user, shared_chats(&self.members)(watcher, user))];
                let shown = |node: &Node| node.state.query(watcher, &asked)[0].status;
                let node = &self.nodes[at];
                assert_eq!(shown(node), shown(&self.single), "{context}: {user} at node {at}");
                let is_hidden = |node: &Node| node.state.people.is_hidden(user);
                assert_eq!(is_hidden(node), is_hidden(&self.single), "{context}: {user} at node {at}");
            }
        }
        let share = shared_chats(&self.members);
        for node in &mut self.nodes {
            for (id, session) in &mut node.sessions {
                session.read();
                let same = self.single.sessions.get_mut(id).unwrap();
                same.read();
                for user in (1..=USERS).map(UserId).filter(|user| share(session.user, *user)) {
                    let shown = |session: &Session| session.shown.get(&user).copied().unwrap_or_default();
                    assert_eq!(shown(session), shown(same), "{context}: {user} as session {id} received it");
                }
            }
        }
    }
}

#[test]
fn users_are_shown_as_at_a_single_node() {
    for seed in 0..12 {
        let mut chance = StdRng::seed_from_u64(seed);
        let mut world = World::new();
        for _ in 0..8 {
            let (chat, user) = (chance.random_range(1..=CHATS), chance.random_range(1..=USERS));
            world.change_membership(ChatId(chat), UserId(user));
        }
        for round in 0..6_u64 {
            for step in 0..20_u64 {
                let at = chance.random_range(0..world.nodes.len());
                let open = world.nodes[at].sessions.keys().choose(&mut chance).copied();
                match (chance.random_range(0..20), open) {
                    (0..6, _) => {
                        let user = UserId(chance.random_range(1..=USERS));
                        world.open(at, 1 + round * 100 + step, user);
                    }
                    (6..9, Some(id)) => world.close(at, id),
                    (9..14, Some(id)) => {
                        let all = [Status::Online, Status::Away, Status::Dnd, Status::Invisible];
                        let status = all[chance.random_range(0..all.len())];
                        world.update(at, id, &PresenceUpdate::Status { status, version: None });
                    }
                    (14..16, _) => {
                        let chat = ChatId(chance.random_range(1..=CHATS));
                        world.change_membership(chat, UserId(chance.random_range(1..=USERS)));
                    }
                    (16, _) => world.kill(at),
                    (17, _) => world.cut(at, true),
                    (18, _) => world.cut(at, false),
                    _ => {}
                }
                world.pass(STEP * chance.random_range(0..40));
            }
            (0..world.nodes.len()).for_each(|at| world.cut(at, false));
            world.pass(QUIET);
            world.compare(&format!("seed {seed}, round {round}"));
        }
    }
}

#[test]
fn idle_nodes_exchange_a_beat_each_and_nothing_else() {
    let mut world = World::new();
    world.change_membership(ChatId(1), UserId(1));
    world.open(0, 1, UserId(1));
    world.pass(QUIET);
    let beat = Duration::from_millis(Limits::default().presence_beat_ms);
    world.sent = 0;
    world.pass(beat * 10);
    let sent = world.sent;
    assert!((27..=33).contains(&sent), "{sent} messages of three nodes in ten beats");
}

#[test]
fn typing_reaches_members_at_other_nodes_once() {
    let mut world = World::new();
    for user in 1..=3 {
        world.change_membership(ChatId(1), UserId(user));
        world.open(usize::try_from(user - 1).unwrap(), u64::try_from(user).unwrap(), UserId(user));
    }
    world.pass(Duration::from_secs(2));
    world.update(0, 1, &PresenceUpdate::Typing(ChatId(1)));
    world.update(0, 1, &PresenceUpdate::Typing(ChatId(1)));
    world.pass(Duration::from_secs(2));
    // A user who is in the chat at the first node only: the others do not send it.
    world.nodes[0].state.take(PresenceItem::Joined { chat: ChatId(2), user: UserId(1) }, world.now);
    world.update(0, 1, &PresenceUpdate::Typing(ChatId(2)));
    world.pass(Duration::from_secs(2));
    let mut read =
        |at: usize| world.nodes[at].sessions.values_mut().flat_map(Session::read).collect::<Vec<_>>();
    assert_eq!(read(0), []);
    assert_eq!((read(1), read(2)), (vec![(ChatId(1), UserId(1))], vec![(ChatId(1), UserId(1))]));
}

#[test]
fn users_at_a_place_see_each_other_across_nodes() {
    use crate::actors::presence::Place;
    use crate::domain::ids::RepositoryId;
    let mut world = World::new();
    world.pass(Duration::from_secs(2));
    let place = Place::of(RepositoryId(1), "README.md");
    let now = world.now;
    assert_eq!(world.nodes[0].state.visit(UserId(1), place, true, now), []);
    world.exchange();
    assert_eq!(world.nodes[1].state.visit(UserId(2), place, true, now), [UserId(1)]);
    world.exchange();
    assert_eq!(world.nodes[0].state.visit(UserId(1), place, false, now), [UserId(2)]);
    world.exchange();
    assert_eq!(world.nodes[2].state.visit(UserId(3), place, true, now), [UserId(2)]);
}

#[test]
fn restart_after_a_panic_brings_the_users_of_others_back() {
    let mut world = World::new();
    for user in 1..=2 {
        world.change_membership(ChatId(1), UserId(user));
        world.open(usize::try_from(user - 1).unwrap(), u64::try_from(user).unwrap(), UserId(user));
    }
    world.pass(QUIET);
    let now = world.now;
    world.nodes[1].state.end_all(now);
    world.nodes[1].sessions.clear();
    world.single.sessions.remove(&2);
    world.single.state.take(PresenceItem::Unregistered { session: SessionId(2) }, now);
    world.pass(QUIET);
    world.compare("after the restart");
    world.open(1, 3, UserId(2));
    world.pass(QUIET);
    world.compare("after another session");
}
