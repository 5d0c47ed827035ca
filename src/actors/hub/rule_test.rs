//! Tests the client's rule against a network that is slow, breaks, and has two connections at once.
//! The client accepts every event once and in order, and ends with all of them.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use proptest::prelude::*;

use super::index::{Index, replay_frame};
use super::messages::{LaneItem, SessionSubscription};
use crate::actors::outbox::{DeliveryMeter, Outbox, OutboxDrain};
use crate::core::actor::Reply;
use crate::domain::access::Credential;
use crate::domain::event::{Change, ChatEvent};
use crate::domain::ids::{ChatId, LoginId, Seq, SessionId, UserId};
use crate::domain::timestamp::Timestamp;
use crate::protocol::answer::{ReceivedPacket, ServerPacket};
use crate::protocol::framing;
use crate::protocol::view::EventView;

const CHAT: ChatId = ChatId(1);
const ME: UserId = UserId(1);
/// Events per page, and frames that an outbox holds: small, so that replays and overflows are
/// frequent.
const PAGE: Seq = 3;
const OUTBOX_FRAMES: usize = 12;

/// A step of the simulation.
#[derive(Debug, Clone, Copy)]
enum Act {
    /// Another user sends this many messages.
    Say(usize),
    /// The network delivers this many frames of a connection.
    Read(usize, usize),
    /// A connection breaks and loses all frames in transit; the client opens another connection.
    Break(usize),
    /// The server continues a replay.
    Replay(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (1..12_usize).prop_map(Act::Say),
        3 => (0..2_usize, 1..10_usize).prop_map(|(connection, frames)| Act::Read(connection, frames)),
        1 => (0..2_usize).prop_map(Act::Break),
        3 => (0..2_usize).prop_map(Act::Replay),
    ]
}

struct Connection {
    session: SessionId,
    outbox: Arc<Outbox>,
    drain: OutboxDrain,
    /// Frames in transit.
    wire: Vec<Bytes>,
    /// The client waits for `Synced`.
    resuming: bool,
    generation: u64,
    /// The server's side of a replay: the seq that it has reached.
    replay: Option<Seq>,
}

struct World {
    index: Index,
    head: Seq,
    sessions: u64,
    connections: Vec<Connection>,
    /// The seq up to which the client has all events. It grows by 1 or not at all: no event is
    /// duplicated or out of order.
    last: Seq,
}

fn event(seq: Seq) -> ChatEvent {
    let change = Change::Archive { archived: true };
    ChatEvent { chat_id: CHAT, seq, actor_id: UserId(2), created_at: Timestamp(0), change }
}

impl World {
    fn new() -> Self {
        let (index, connections) = (Index::default(), Vec::new());
        let mut world = Self { index, head: 0, sessions: 0, connections, last: 0 };
        for _ in 0..2 {
            let connection = world.connect();
            world.connections.push(connection);
        }
        world
    }

    fn connect(&mut self) -> Connection {
        self.sessions += 1;
        let session = SessionId(self.sessions);
        let (outbox, drain) = Outbox::new(1 << 20, OUTBOX_FRAMES, DeliveryMeter::default());
        let who = Credential::login(ME, LoginId(1), 1);
        let subscription = SessionSubscription { session, who, outbox: outbox.clone(), echo: true };
        let chats = vec![(CHAT, self.head)];
        let (welcome, reply) = (Bytes::new(), Reply::call(|_| ()));
        self.index.take(LaneItem::Registered { subscription, chats, welcome, reply });
        let mut connection = Connection {
            session,
            outbox,
            drain,
            wire: Vec::new(),
            resuming: false,
            generation: 0,
            replay: None,
        };
        self.resume(&mut connection);
        connection
    }

    /// The client sends `Resume`, and the cache prepares the answer.
    fn resume(&mut self, connection: &mut Connection) {
        connection.resuming = true;
        connection.generation += 1;
        let (session, generation, reply) = (connection.session, connection.generation, Reply::call(|_| ()));
        let synced = framing::encode(&ServerPacket::Synced { chat_id: CHAT, seq: self.last }).unwrap();
        let current = self.last == self.head;
        connection.replay = (!current).then_some(self.last);
        let (answers, live) = if current { (vec![synced], vec![CHAT]) } else { (vec![], vec![]) };
        let behind = if current { vec![] } else { vec![(CHAT, self.last)] };
        self.index.take(LaneItem::CatchUp { session, generation, answers, live, behind, reply });
    }

    /// Replays one page if the outbox has room; the last page goes through the lane.
    fn replay(&mut self, connection: &mut Connection) {
        let Some(after) = connection.replay else { return };
        if connection.outbox.room().now_or_never().is_none() {
            return;
        }
        let to = (after + PAGE).min(self.head);
        let events: Vec<_> = (after + 1..=to).map(|seq| Arc::new(event(seq))).collect();
        if to < self.head {
            events.iter().for_each(|event| connection.outbox.reply(replay_frame(event, ME, true)));
            connection.replay = Some(to);
            return;
        }
        connection.replay = None;
        let last = framing::encode(&ServerPacket::Synced { chat_id: CHAT, seq: to }).unwrap();
        let (session, generation, reply) = (connection.session, connection.generation, Reply::call(|_| ()));
        self.index.take(LaneItem::Replayed { session, generation, chat: CHAT, events, last, reply });
    }

    fn read(&mut self, connection: &mut Connection, count: usize) {
        if connection.wire.len() < count {
            let mut frames = Vec::new();
            connection.drain.next(&mut frames).now_or_never();
            connection.drain.written(frames.len(), frames.iter().map(Bytes::len).sum());
            connection.wire.append(&mut frames);
        }
        let taken = count.min(connection.wire.len());
        for frame in connection.wire.drain(..taken).collect::<Vec<_>>() {
            if !frame.is_empty() {
                self.receive(connection, &rmp_serde::from_slice(&framing::packet_of(&frame)).unwrap());
            }
        }
    }

    /// The client's rule.
    fn receive(&mut self, connection: &mut Connection, packet: &ReceivedPacket) {
        let seq = packet.seq.unwrap_or(0);
        match packet.packet_type.as_str() {
            "Event" if seq == self.last + 1 => self.last = seq,
            "Event" if seq > self.last + 1 && !connection.resuming => self.resume(connection),
            "Event" => {}
            "Synced" => {
                // An earlier `Resume` may have been answered although a later one is under way.
                assert!(
                    self.last >= seq || connection.generation > 1,
                    "Synced {seq}, and the client has {}",
                    self.last
                );
                connection.resuming = connection.replay.is_some();
            }
            "Limited" => self.resume(connection),
            other => panic!("{other}"),
        }
    }

    fn perform(&mut self, act: Act) {
        match act {
            Act::Say(count) => {
                for _ in 0..count {
                    self.head += 1;
                    let event = event(self.head);
                    let frame = EventView::pushed(&event).frame();
                    self.index.take(LaneItem::Event { event: event.into(), frame, joiner: None });
                }
            }
            Act::Read(which, count) => self.with(which, |world, connection| world.read(connection, count)),
            Act::Replay(which) => self.with(which, Self::replay),
            Act::Break(which) => self.with(which, |world, connection| {
                world.index.take(LaneItem::Unregistered { session: connection.session });
                *connection = world.connect();
            }),
        }
    }

    fn with(&mut self, which: usize, act: impl FnOnce(&mut Self, &mut Connection)) {
        let mut connection = self.connections.remove(which);
        act(self, &mut connection);
        self.connections.insert(which, connection);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn client_that_follows_the_rule_gets_each_event_once_in_order(
        acts in prop::collection::vec(act(), 1..300),
    ) {
        let mut world = World::new();
        for act in acts {
            world.perform(act);
        }
        // No more messages are sent; the frames in transit arrive.
        for _ in 0..world.head + 20 {
            for which in 0..2 {
                world.perform(Act::Replay(which));
                world.perform(Act::Read(which, 100));
            }
        }
        prop_assert_eq!(world.last, world.head);
        prop_assert!(world.connections.iter().all(|connection| !connection.resuming));
        // From here on the client is live without another request.
        world.perform(Act::Say(1));
        for which in 0..2 {
            world.perform(Act::Read(which, 100));
        }
        prop_assert_eq!(world.last, world.head);
    }
}
