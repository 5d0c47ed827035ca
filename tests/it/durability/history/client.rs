//! Clients of the history over TCP, WebSocket and REST. They have several requests in flight and
//! retry every message until it is answered.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use netbit::client::{HttpClient, encode};
use netbit::domain::ids::ChatId;
use netbit::domain::message::ClientId;
use netbit::protocol::packet::{MessagePacket, PacketMessage};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::record::Record;
use super::{Server, World};

/// The number of unanswered requests of a session.
const IN_FLIGHT: usize = 8;
/// A running server answers every request within this time.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    Tcp,
    Socket,
    Rest,
}

/// The fields of a packet that the history uses, in MessagePack and in JSON.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Seen {
    packet_type: String,
    request_id: Option<u64>,
    success: bool,
    code: Option<String>,
    chat_id: Option<i64>,
    seq: Option<i64>,
    message_id: Option<i64>,
    as_of: Option<i64>,
    message: Option<SeenMessage>,
    messages: Vec<SeenMessage>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SeenMessage {
    id: i64,
    seq: i64,
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
    /// Reads the newest page, which must contain everything up to `floor`.
    Read {
        chat: i64,
        floor: i64,
    },
}

/// The connection broke, so the answer cannot arrive.
struct Broken;

enum Line {
    Tcp(TcpStream),
    Socket(Box<WebSocketStream<MaybeTlsStream<TcpStream>>>),
}

impl Line {
    async fn open(over: Over, server: &Server, token: &str) -> Result<Self, Broken> {
        let mut line = if over == Over::Tcp {
            Self::Tcp(TcpStream::connect(server.tcp).await.map_err(|_| Broken)?)
        } else {
            let url = format!("ws://{}/ws", server.http);
            Self::Socket(Box::new(connect_async(url).await.map_err(|_| Broken)?.0))
        };
        let hello = MessagePacket {
            packet_type: "Hello".into(),
            token: Some(token.to_owned()),
            ..MessagePacket::default()
        };
        line.send(&hello, &json!({"packet_type": "Hello", "token": token})).await?;
        let welcome = line.next().await?;
        if welcome.packet_type == "Welcome" { Ok(line) } else { Err(Broken) }
    }

    async fn send(&mut self, packet: &MessagePacket, text: &serde_json::Value) -> Result<(), Broken> {
        match self {
            Self::Tcp(socket) => socket.write_all(&encode(packet).unwrap()).await.map_err(|_| Broken),
            Self::Socket(socket) => socket.send(Message::text(text.to_string())).await.map_err(|_| Broken),
        }
    }

    async fn next(&mut self) -> Result<Seen, Broken> {
        let next = async {
            match self {
                Self::Tcp(socket) => {
                    let length = socket.read_u32().await.map_err(|_| Broken)?;
                    let mut frame = vec![0; usize::try_from(length).unwrap()];
                    socket.read_exact(&mut frame).await.map_err(|_| Broken)?;
                    Ok(rmp_serde::from_slice(&frame).unwrap())
                }
                Self::Socket(socket) => loop {
                    match socket.next().await {
                        Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
                        Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                        _ => return Err(Broken),
                    }
                },
            }
        };
        // A killed server may leave the connection half open.
        tokio::time::timeout(PATIENCE, next).await.expect("an answer is missing")
    }
}

pub(super) struct Client {
    who: usize,
    over: Over,
    token: String,
    chance: StdRng,
    /// Sent messages without an answer.
    open: VecDeque<Saying>,
    /// The largest seq of each chat that this client has seen in any packet.
    known: HashMap<i64, i64>,
    count: u64,
    world: Rc<World>,
}

impl Client {
    pub(super) fn new(who: usize, over: Over, token: String, world: Rc<World>) -> Self {
        let seed = world.seed.wrapping_add(u64::try_from(who).unwrap().wrapping_mul(7_919));
        let (open, known) = (VecDeque::new(), HashMap::new());
        Self { who, over, token, chance: StdRng::seed_from_u64(seed), open, known, count: 0, world }
    }

    /// Runs until the history is ending and every message is answered.
    pub(super) async fn run(mut self) {
        loop {
            if self.world.ending.get() && self.open.is_empty() {
                return;
            }
            let server = self.world.server.borrow().clone();
            if let Some(server) = server {
                let _broken = if self.over == Over::Rest {
                    self.rest(&server).await
                } else {
                    self.session(&server).await
                };
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }

    fn record(&self) -> std::cell::RefMut<'_, Record> {
        self.world.record.borrow_mut()
    }

    /// Returns the next unanswered message first, then a new request; `None` at the end.
    fn next_ask(&mut self, retries: &mut VecDeque<Saying>) -> Option<Ask> {
        if let Some(saying) = retries.pop_front() {
            return Some(Ask::Say(Saying { again: true, ..saying }));
        }
        if self.world.ending.get() {
            return None;
        }
        let chat = self.world.chats[self.chance.random_range(0..self.world.chats.len())];
        if self.chance.random_range(0..4) == 0 {
            let floor = self.record().floor(chat, self.known.get(&chat).copied().unwrap_or(0));
            return Some(Ask::Read { chat, floor });
        }
        self.count += 1;
        // Some messages go to a chat without write access and must not be stored.
        let chat = if self.chance.random_range(0..50) == 0 { self.world.foreign } else { chat };
        let content = format!("{} says {}", self.who, self.count);
        self.record().said(&content);
        let saying = Saying { name: ClientId::fresh(), chat, content, again: false };
        self.open.push_back(saying.clone());
        Some(Ask::Say(saying))
    }

    fn closed(&mut self, saying: &Saying) {
        self.open.retain(|open| open.name != saying.name);
    }

    fn acknowledged(&mut self, saying: &Saying, seq: i64, id: i64) {
        self.closed(saying);
        self.record().acknowledged(&saying.content, saying.chat, seq, id);
        self.note_seen(saying.chat, seq);
    }

    /// Keeps messages with an uncertain outcome for a retry and records the others as refused. A
    /// refused retry does not prove that an earlier attempt failed.
    fn refused(&mut self, saying: &Saying, code: &str) {
        match code {
            "read_only" | "overloaded" if saying.again => {}
            "not_found" | "read_only" | "overloaded" => {
                self.closed(saying);
                self.record().refused(&saying.content);
            }
            "internal" => {}
            other => panic!("{saying:?} was refused with the unexpected code {other}"),
        }
    }

    fn note_seen(&mut self, chat: i64, seq: i64) {
        let known = self.known.entry(chat).or_default();
        *known = seq.max(*known);
    }

    fn read(&mut self, chat: i64, floor: i64, as_of: i64, messages: &[SeenMessage]) {
        assert!(
            as_of >= floor,
            "client {} reads chat {chat} as of {as_of}, which is older than {floor}",
            self.who
        );
        assert!(messages.windows(2).all(|two| two[0].seq < two[1].seq), "the page is out of order");
        self.record().read();
        for message in messages {
            self.record().saw(chat, message.seq, message.id);
        }
        self.note_seen(chat, as_of);
    }

    async fn session(&mut self, server: &Server) -> Result<(), Broken> {
        let mut line = Line::open(self.over, server, &self.token).await?;
        let (mut waiting, mut cursors, mut request_id) = (HashMap::new(), HashMap::new(), 0);
        let mut retries = self.open.clone();
        loop {
            while waiting.len() < IN_FLIGHT
                && let Some(ask) = self.next_ask(&mut retries)
            {
                request_id += 1;
                let (packet, text) = form(request_id, &ask);
                waiting.insert(request_id, ask);
                line.send(&packet, &text).await?;
            }
            if waiting.is_empty() {
                return Ok(());
            }
            let seen = line.next().await?;
            match (seen.packet_type.as_str(), seen.request_id.and_then(|id| waiting.remove(&id))) {
                ("Event", None) => self.receive_event(&seen, &mut cursors),
                ("Ack", Some(Ask::Say(saying))) if seen.success => {
                    self.acknowledged(&saying, seen.seq.unwrap(), seen.message_id.unwrap());
                }
                ("Ack", Some(Ask::Say(saying))) => self.refused(&saying, &seen.code.unwrap()),
                // A failed read proves nothing: the server is ending.
                ("Ack", Some(Ask::Read { .. })) => {}
                ("Messages", Some(Ask::Read { chat, floor })) => {
                    self.read(chat, floor, seen.as_of.unwrap(), &seen.messages);
                }
                ("Goodbye", _) => return Err(Broken),
                ("Presence" | "Limited", None) => {}
                other => panic!("{other:?}: {seen:?}"),
            }
        }
    }

    /// The live events of a session have no gaps and are the same for every client.
    fn receive_event(&mut self, event: &Seen, cursors: &mut HashMap<i64, i64>) {
        let (chat, seq) = (event.chat_id.unwrap(), event.seq.unwrap());
        if let Some(last) = cursors.insert(chat, seq) {
            assert_eq!(seq, last + 1, "client {} receives events of chat {chat} with a gap", self.who);
        }
        if let Some(message) = &event.message {
            self.record().saw(chat, seq, message.id);
        }
        self.note_seen(chat, seq);
    }

    async fn rest(&mut self, server: &Server) -> Result<(), Broken> {
        let http = HttpClient::new(format!("http://{}", server.http)).unwrap().with_token(&self.token);
        let mut retries = self.open.clone();
        while let Some(ask) = self.next_ask(&mut retries) {
            match ask {
                Ask::Say(saying) => {
                    let path = format!("/api/chats/{}/messages", saying.chat);
                    let body = json!({"client_id": saying.name, "content": saying.content});
                    let answer = http.post(&path, &body).await.map_err(|_| Broken)?;
                    if matches!(answer.status, 200 | 201) {
                        let number = |key: &str| answer.body[key].as_i64().unwrap();
                        self.acknowledged(&saying, number("seq"), number("id"));
                    } else {
                        self.refused(&saying, answer.code());
                    }
                }
                Ask::Read { chat, floor } => {
                    let path = format!("/api/chats/{chat}/messages?limit=20");
                    let answer = http.get(&path).await.map_err(|_| Broken)?;
                    if answer.status == 200 {
                        let page: Vec<SeenMessage> =
                            serde_json::from_value(answer.body["items"].clone()).unwrap();
                        let as_of = page.last().map_or(0, |message| message.seq);
                        self.read(chat, floor, as_of, &page);
                    }
                }
            }
        }
        Ok(())
    }
}

fn form(request_id: u64, ask: &Ask) -> (MessagePacket, serde_json::Value) {
    let packet = |packet_type: &str, chat: i64| MessagePacket {
        packet_type: packet_type.to_owned(),
        request_id: Some(request_id),
        chat_id: Some(ChatId(chat)),
        ..MessagePacket::default()
    };
    match ask {
        Ask::Say(Saying { name, chat, content, .. }) => {
            let message = PacketMessage {
                client_id: Some(*name),
                content: Some(content.clone()),
                ..PacketMessage::default()
            };
            let text = json!({"packet_type": "SendMessage", "request_id": request_id, "chat_id": chat,
                "message": {"client_id": uuid::Uuid::from_bytes(name.0), "content": content}});
            (MessagePacket { message: Some(message), ..packet("SendMessage", *chat) }, text)
        }
        Ask::Read { chat, .. } => {
            let text =
                json!({"packet_type": "GetMessages", "request_id": request_id, "chat_id": chat, "limit": 20});
            (MessagePacket { limit: Some(20), ..packet("GetMessages", *chat) }, text)
        }
    }
}
