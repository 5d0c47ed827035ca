//! A client that writes, reads and follows its chats, and changes the node at any time.
//!
//! It resends every message, under the same client id, until a node answers it. It continues at
//! another node with the cursors that it has, and applies the rule of docs/PROTOCOL.md, section 6.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use netbit::client::{FrameReader, FrameWriter, TcpClient, TcpError, saying};
use netbit::domain::ids::ChatId;
use netbit::domain::message::ClientId;
use netbit::protocol::answer::ReceivedPacket;
use netbit::protocol::packet::MessagePacket;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use super::network::NODES;
use super::world::{Address, World};

/// The number of unanswered requests of a session.
const IN_FLIGHT: usize = 8;
/// A client that gets no answer for longer goes to another node.
const ANSWER_MAX: Duration = Duration::from_millis(1_500);
/// A client that gets no connection for longer goes to another node.
const CONNECT_MAX: Duration = Duration::from_millis(1_000);
/// The pause after a failure.
const PAUSE: Duration = Duration::from_millis(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    Tcp,
    Rest,
}

/// A message that is sent until it is answered.
#[derive(Debug, Clone)]
struct Saying {
    name: ClientId,
    chat: i64,
    content: String,
    /// The message was sent before, and the outcome is unknown.
    again: bool,
}

#[derive(Debug, Clone)]
enum Ask {
    Say(Saying),
    /// Reads the newest page. The node has shown this session everything up to `floor`.
    Read {
        chat: i64,
        floor: i64,
    },
    Resume,
}

/// The session or the connection is over.
pub(super) struct Ended;

/// The events of a chat that a client has: ids of messages, 0 for others. The first has seq 1.
pub(super) type Replica = Vec<i64>;

pub(super) struct Client {
    who: usize,
    over: Over,
    token: String,
    chance: StdRng,
    node: usize,
    /// Sent messages without an answer.
    open: VecDeque<Saying>,
    replicas: BTreeMap<i64, Replica>,
    epoch: Option<i64>,
    count: u64,
    has_drained: bool,
    world: Rc<World>,
}

/// The state of a session.
#[derive(Default)]
struct Session {
    waiting: HashMap<u64, Ask>,
    next_request: u64,
    retries: VecDeque<Saying>,
    /// Chats whose replay has ended: each further event is the next.
    live: BTreeSet<i64>,
    /// The newest seq of each chat that the node has shown.
    shown: HashMap<i64, i64>,
    answers_left: u32,
}

impl Client {
    pub(super) fn new(who: usize, over: Over, token: String, world: Rc<World>) -> Self {
        let seed = world.seed.wrapping_add(u64::try_from(who).unwrap().wrapping_mul(7_919));
        let replicas = world.chats.iter().map(|chat| (*chat, Replica::new())).collect();
        Self {
            who,
            over,
            token,
            chance: StdRng::seed_from_u64(seed),
            node: who % NODES,
            open: VecDeque::new(),
            replicas,
            epoch: None,
            count: 0,
            has_drained: false,
            world,
        }
    }

    /// Runs until the trial is ending, every message is answered and every event has arrived.
    /// Returns what the client has of each chat; nothing if it has no sessions.
    pub(super) async fn run(mut self) -> Option<BTreeMap<i64, Replica>> {
        while !self.is_done() {
            match self.world.address(self.node) {
                Some(address) if self.over == Over::Tcp => drop(self.session(&address).await),
                Some(address) => drop(self.rest(&address).await),
                None => {}
            }
            self.node = self.chance.random_range(0..NODES);
            tokio::time::sleep(PAUSE).await;
        }
        (self.over == Over::Tcp).then_some(self.replicas)
    }

    fn is_done(&mut self) -> bool {
        if !self.world.ending.get() || !self.open.is_empty() {
            return false;
        }
        if !self.has_drained {
            self.has_drained = true;
            self.world.drained.set(self.world.drained.get() + 1);
        }
        self.world.heads.borrow().as_ref().is_some_and(|heads| {
            self.over == Over::Rest || heads.iter().all(|(chat, head)| self.last(*chat) >= *head)
        })
    }

    fn last(&self, chat: i64) -> i64 {
        self.replicas.get(&chat).map_or(0, |replica| i64::try_from(replica.len()).unwrap())
    }

    /// Returns the next unanswered message first, then a new request; `None` at the end.
    fn next_ask(&mut self, session: &mut Session) -> Option<Ask> {
        if let Some(saying) = session.retries.pop_front() {
            return Some(Ask::Say(Saying { again: true, ..saying }));
        }
        if self.world.quiet.get() {
            return None;
        }
        let chat = self.world.chats[self.chance.random_range(0..self.world.chats.len())];
        if self.chance.random_range(0..8) == 0 {
            return Some(Ask::Read { chat, floor: session.shown.get(&chat).copied().unwrap_or(0) });
        }
        self.count += 1;
        // Some messages go to a chat without write access and must not be stored.
        let chat = if self.chance.random_range(0..100) == 0 { self.world.foreign } else { chat };
        let content = format!("{} says {}", self.who, self.count);
        self.world.record.borrow_mut().said(&content);
        let saying = Saying { name: ClientId::fresh(), chat, content, again: false };
        self.open.push_back(saying.clone());
        Some(Ask::Say(saying))
    }

    fn closed(&mut self, saying: &Saying) {
        self.open.retain(|open| open.name != saying.name);
    }

    fn acknowledged(&mut self, session: &mut Session, saying: &Saying, seq: i64, id: i64) {
        self.closed(saying);
        self.world.record.borrow_mut().acknowledged(&saying.content, saying.chat, seq, id);
        self.world.acknowledged(self.node);
        show(session, saying.chat, seq);
    }

    /// Keeps messages with an uncertain outcome for a retry and records the others as refused. A
    /// refused retry does not prove that an earlier attempt failed.
    fn refused(&mut self, saying: &Saying, code: &str) {
        match code {
            "read_only" | "overloaded" if saying.again => {}
            "not_found" => {
                assert_eq!(saying.chat, self.world.foreign, "node {} does not know a chat", self.node);
                self.closed(saying);
                self.world.record.borrow_mut().refused(&saying.content);
            }
            "read_only" | "overloaded" => {
                self.closed(saying);
                self.world.record.borrow_mut().refused(&saying.content);
            }
            "internal" => {}
            other => panic!("node {}: {saying:?} was refused with the unexpected code {other}", self.node),
        }
    }

    fn read(&mut self, session: &mut Session, chat: i64, floor: i64, as_of: i64, messages: &[(i64, i64)]) {
        assert!(
            as_of >= floor,
            "client {} reads chat {chat} at node {} as of {as_of}, which is older than {floor}",
            self.who,
            self.node
        );
        assert!(messages.windows(2).all(|two| two[0].0 < two[1].0), "the page is out of order");
        let mut record = self.world.record.borrow_mut();
        record.read();
        for (seq, id) in messages {
            record.saw(chat, *seq, *id);
        }
        drop(record);
        show(session, chat, as_of);
    }

    async fn session(&mut self, address: &Address) -> Result<(), Ended> {
        let opened = tokio::time::timeout(CONNECT_MAX, TcpClient::open(address.tcp, &self.token)).await;
        let (client, welcome) = match opened {
            Ok(Ok(opened)) => opened,
            Ok(Err(TcpError::Refused(refusal))) => {
                let code = refusal.code.as_deref();
                assert_eq!(code, Some("overloaded"), "node {} refuses a valid token: {refusal:?}", self.node);
                return Err(Ended);
            }
            _ => return Err(Ended),
        };
        let epoch = welcome.epoch.unwrap();
        assert_eq!(*self.epoch.get_or_insert(epoch), epoch, "node {} has another epoch", self.node);
        let (mut reader, mut writer) = client.into_halves();
        let mut session = Session {
            retries: self.open.clone(),
            answers_left: self.chance.random_range(5..600),
            ..Session::default()
        };
        self.send(&mut session, &mut writer, Ask::Resume).await?;
        let is_abrupt = self.chance.random_range(0..2) == 0;
        loop {
            let leaves = session.answers_left == 0;
            if leaves && (is_abrupt || session.waiting.is_empty()) || self.is_done() {
                return Ok(());
            }
            while !leaves
                && session.waiting.len() < IN_FLIGHT
                && let Some(ask) = self.next_ask(&mut session)
            {
                self.send(&mut session, &mut writer, ask).await?;
            }
            let packet = next(&mut reader).await?;
            self.receive(packet, &mut session, &mut writer).await?;
        }
    }

    async fn send(&self, session: &mut Session, writer: &mut FrameWriter, ask: Ask) -> Result<(), Ended> {
        session.next_request += 1;
        let request_id = Some(session.next_request);
        let packet = match &ask {
            Ask::Say(Saying { name, chat, content, .. }) => saying(ChatId(*chat), *name, content),
            Ask::Read { chat, .. } => MessagePacket {
                packet_type: "GetMessages".into(),
                chat_id: Some(ChatId(*chat)),
                limit: Some(20),
                ..MessagePacket::default()
            },
            Ask::Resume => {
                session.live.clear();
                let chats = self.replicas.keys().map(|chat| (ChatId(*chat), self.last(*chat)));
                let cursors = chats.map(|(chat, last)| (chat, u64::try_from(last).unwrap())).collect();
                MessagePacket {
                    packet_type: "Resume".into(),
                    epoch: self.epoch.map(|epoch| u64::try_from(epoch).unwrap()),
                    cursors: Some(cursors),
                    ..MessagePacket::default()
                }
            }
        };
        session.waiting.insert(session.next_request, ask);
        let packet = MessagePacket { request_id, ..packet };
        let sent = tokio::time::timeout(ANSWER_MAX, writer.send(&packet)).await;
        sent.ok().and_then(Result::ok).ok_or(Ended)
    }

    async fn receive(
        &mut self,
        packet: ReceivedPacket,
        session: &mut Session,
        writer: &mut FrameWriter,
    ) -> Result<(), Ended> {
        let asked = packet.request_id.and_then(|id| session.waiting.remove(&id));
        if asked.is_some() {
            session.answers_left = session.answers_left.saturating_sub(1);
        }
        match (packet.packet_type.as_str(), asked) {
            ("Event", None) => self.receive_event(&packet, session),
            ("Synced", None) => {
                let (chat, seq) = (packet.chat_id.unwrap().0, packet.seq.unwrap());
                assert!(self.last(chat) >= seq, "{} of chat {chat} until {seq}", self.last(chat));
                session.live.insert(chat);
            }
            ("Ack", Some(Ask::Say(saying))) if packet.success => {
                self.acknowledged(session, &saying, packet.seq.unwrap(), packet.message_id.unwrap().0);
            }
            ("Ack", Some(Ask::Say(saying))) => self.refused(&saying, &packet.code.unwrap()),
            ("Ack", Some(Ask::Resume)) if packet.success => {}
            // A failed read proves nothing: the node has no database, or is ending.
            ("Ack", Some(Ask::Read { .. } | Ask::Resume)) => {
                let code = packet.code.as_deref();
                assert!(matches!(code, Some("overloaded" | "internal")), "node {}: {packet:?}", self.node);
                return Err(Ended);
            }
            ("Messages", Some(Ask::Read { chat, floor })) => {
                let page: Vec<_> = packet.messages.iter().map(|it| (it.seq, it.id.0)).collect();
                self.read(session, chat, floor, packet.as_of.unwrap(), &page);
            }
            ("Limited", None) if packet.chat_id.is_none() => {
                self.send(session, writer, Ask::Resume).await?;
            }
            ("Goodbye", _) => {
                let code = packet.code.as_deref();
                assert!(matches!(code, Some("shutdown" | "overloaded")), "node {}: {packet:?}", self.node);
                return Err(Ended);
            }
            ("Presence" | "Marks" | "Typing" | "Notification" | "NotificationsRead", None) => {}
            _ => panic!("client {} at node {}: {packet:?}", self.who, self.node),
        }
        Ok(())
    }

    fn receive_event(&mut self, event: &ReceivedPacket, session: &mut Session) {
        let (chat, seq) = (event.chat_id.unwrap().0, event.seq.unwrap());
        let id = event.message.as_ref().map_or(0, |message| message.id.0);
        if id != 0 {
            self.world.record.borrow_mut().saw(chat, seq, id);
        }
        show(session, chat, seq);
        let last = self.last(chat);
        let Some(replica) = self.replicas.get_mut(&chat) else { return };
        if seq == last + 1 {
            replica.push(id);
        } else if seq <= last {
            let known = replica[usize::try_from(seq - 1).unwrap()];
            assert_eq!(known, id, "client {} got two events at {seq} of chat {chat}", self.who);
        } else {
            // Before its replay has ended, a chat may have gaps.
            let is_live = session.live.contains(&chat);
            assert!(!is_live, "client {} misses events {last} to {seq} at node {}", self.who, self.node);
        }
    }

    async fn rest(&mut self, address: &Address) -> Result<(), Ended> {
        let http = address.http.with_token(&self.token);
        let answers_left = self.chance.random_range(2..60);
        let mut session = Session { retries: self.open.clone(), answers_left, ..Session::default() };
        while session.answers_left > 0 {
            let Some(ask) = self.next_ask(&mut session) else { return Ok(()) };
            session.answers_left -= 1;
            match ask {
                Ask::Say(saying) => {
                    let path = format!("/api/chats/{}/messages", saying.chat);
                    let body = json!({"client_id": saying.name, "content": saying.content});
                    let answer = within(http.post(&path, &body)).await?;
                    if matches!(answer.status, 200 | 201) {
                        let number = |key: &str| answer.body[key].as_i64().unwrap();
                        self.acknowledged(&mut session, &saying, number("seq"), number("id"));
                    } else if answer.code().is_empty() {
                        // A node that was frozen did not read it in time. It is sent again.
                        assert_eq!(answer.status, 408, "node {}: {}", self.node, answer.body);
                    } else {
                        self.refused(&saying, answer.code());
                    }
                }
                Ask::Read { chat, floor } => {
                    let answer = within(http.get(&format!("/api/chats/{chat}/messages?limit=20"))).await?;
                    if answer.status == 200 {
                        let items = answer.body["items"].as_array().unwrap().iter();
                        let number = |item: &serde_json::Value, key: &str| item[key].as_i64().unwrap();
                        let page: Vec<_> = items.map(|it| (number(it, "seq"), number(it, "id"))).collect();
                        // The newest message may be older than the newest event.
                        let as_of = page.last().map_or(floor, |(seq, _)| *seq);
                        self.read(&mut session, chat, floor, as_of, &page);
                    } else {
                        assert!(answer.status >= 500, "node {}: {}", self.node, answer.body);
                    }
                }
                Ask::Resume => {}
            }
        }
        Ok(())
    }
}

fn show(session: &mut Session, chat: i64, seq: i64) {
    let shown = session.shown.entry(chat).or_default();
    *shown = seq.max(*shown);
}

async fn next(reader: &mut FrameReader) -> Result<ReceivedPacket, Ended> {
    match tokio::time::timeout(ANSWER_MAX, reader.next()).await {
        Ok(Ok(packet)) => Ok(packet),
        Ok(Err(TcpError::Malformed(reason))) => panic!("{reason}"),
        _ => Err(Ended),
    }
}

/// Awaits the answer of a request for as long as a client waits.
pub(super) async fn within<T, E>(request: impl Future<Output = Result<T, E>>) -> Result<T, Ended> {
    tokio::time::timeout(ANSWER_MAX, request).await.ok().and_then(Result::ok).ok_or(Ended)
}
