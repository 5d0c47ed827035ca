//! Many clients send, edit, react and delete, are disconnected at random, and the server is killed
//! meanwhile. In the end every client has received everything, once, in order.
//!
//! `NETBIT_SOAK_CLIENTS` (default 50), `NETBIT_SOAK_KILLS` (default 3) and `NETBIT_SOAK_SEED` set
//! the load.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use netbit::client::{FrameReader, FrameWriter, HttpClient, Received, TcpClient, TcpError, saying};
use netbit::domain::ids::{ChatId, MessageId, Seq, UserId};
use netbit::domain::message::{ClientId, Message};
use netbit::protocol::answer::ReceivedPacket;
use netbit::protocol::packet::{MessagePacket, PacketMessage};
use netbit::protocol::view::EventData;

use crate::harness::{PASSWORD, Process, soon, until};

const CHATS: usize = 3;
/// The number of unanswered requests of a client.
const IN_FLIGHT: usize = 4;
/// Acknowledged changes between two kills.
const CHANGES_PER_ROUND: usize = 300;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// A pseudo-random sequence that is the same in every run (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % sides
    }
}

/// One client's state of one chat, built by the client's rule from events alone.
#[derive(Default)]
struct View {
    last: Seq,
    messages: BTreeMap<MessageId, Message>,
}

impl View {
    /// Applies an event; returns whether it leaves a gap.
    fn receive(&mut self, event: EventData) -> bool {
        if event.seq != self.last + 1 {
            return event.seq > self.last + 1;
        }
        self.last = event.seq;
        let actor = event.actor_id.unwrap();
        if let Some(message) = event.message {
            let known = self.messages.get(&message.id).and_then(|known| known.updated_seq);
            if !self.messages.contains_key(&message.id) || message.updated_seq > known {
                self.messages.insert(message.id, message);
            }
        } else if let Some(message) = event.message_id.and_then(|id| self.messages.get_mut(&id)) {
            // A message that was sent in a later state already includes this event.
            if message.updated_seq.unwrap_or(message.seq) < event.seq {
                message.updated_seq = Some(event.seq);
                change(message, &event.kind, event.emoji.as_deref(), actor);
            }
        }
        false
    }
}

fn change(message: &mut Message, kind: &str, emoji: Option<&str>, actor: UserId) {
    use netbit::domain::emoji::Emoji;
    match (kind, emoji.map(|emoji| Emoji::parse(emoji).unwrap())) {
        ("delete", _) => {
            message.deleted = true;
            message.content.clear();
            message.reactions.clear();
        }
        ("react", Some(emoji)) => drop(message.react(actor, &emoji)),
        ("unreact", Some(emoji)) => drop(message.unreact(actor, &emoji)),
        other => panic!("{other:?}"),
    }
}

struct Client {
    who: usize,
    me: UserId,
    token: String,
    dice: Dice,
    views: HashMap<ChatId, View>,
    /// Messages without an acknowledgement, to be sent again under the same client id.
    unsent: Vec<(ClientId, ChatId, String)>,
    /// The contents of the acknowledged messages.
    said: BTreeSet<String>,
    count: usize,
}

/// Why a session ended.
enum Over {
    /// The session reached its chosen length, or the server is gone.
    CutOff,
    /// Every chat is up to date and every request is answered.
    Done,
}

struct Session<'a> {
    client: &'a mut Client,
    reader: FrameReader,
    writer: FrameWriter,
    epoch: u64,
    resuming: BTreeSet<ChatId>,
    waiting: HashMap<u64, Option<(ClientId, ChatId, String)>>,
    next_request: u64,
}

impl Session<'_> {
    async fn resume(&mut self, chats: impl IntoIterator<Item = ChatId>) -> Result<(), TcpError> {
        let new: Vec<_> = chats.into_iter().filter(|chat| self.resuming.insert(*chat)).collect();
        let seq = |chat: &ChatId| u64::try_from(self.client.views[chat].last).unwrap();
        let cursors = new.iter().map(|chat| (*chat, seq(chat))).collect();
        let packet = MessagePacket {
            packet_type: "Resume".into(),
            epoch: Some(self.epoch),
            cursors: Some(cursors),
            ..MessagePacket::default()
        };
        if new.is_empty() { Ok(()) } else { self.writer.send(&packet).await }
    }

    async fn ask(
        &mut self,
        packet: MessagePacket,
        said: Option<(ClientId, ChatId, String)>,
    ) -> Result<(), TcpError> {
        self.next_request += 1;
        self.waiting.insert(self.next_request, said);
        self.writer.send(&MessagePacket { request_id: Some(self.next_request), ..packet }).await
    }

    async fn say(&mut self, (name, chat, content): (ClientId, ChatId, String)) -> Result<(), TcpError> {
        let packet = saying(chat, name, &content);
        self.ask(packet, Some((name, chat, content))).await
    }

    /// Does a random action.
    async fn act(&mut self) -> Result<(), TcpError> {
        let client = &mut *self.client;
        let chats: Vec<_> = client.views.keys().copied().collect();
        let chat = chats[client.dice.roll(chats.len())];
        client.count += 1;
        let deed = client.dice.roll(10);
        let known: Vec<_> = client.views[&chat].messages.values().filter(|m| !m.deleted).collect();
        if known.is_empty() || deed < 6 {
            let content = format!("{} says {}", client.who, client.count);
            return self.say((ClientId::fresh(), chat, content)).await;
        }
        let message = known[client.dice.roll(known.len())];
        let (id, own) = (message.id, message.sender_id == client.me);
        let packet = |packet_type: &str| MessagePacket {
            packet_type: packet_type.into(),
            chat_id: Some(chat),
            message_id: Some(id),
            ..MessagePacket::default()
        };
        let packet = match deed {
            6 if own => packet("DeleteMessage"),
            7 if own => {
                let content = Some(format!("{} edits {}", client.who, client.count));
                let message = Some(PacketMessage { content, ..PacketMessage::default() });
                MessagePacket { message, ..packet("EditMessage") }
            }
            _ => {
                let emoji = Some(["+1", "-1", "heart"][client.dice.roll(3)].to_owned());
                MessagePacket { emoji, remove: Some(deed == 8), ..packet("React") }
            }
        };
        self.ask(packet, None).await
    }

    async fn receive(&mut self, incoming: Received, progress: &Cell<usize>) -> Result<(), TcpError> {
        let packet = match incoming {
            Received::Event(event) => {
                let chat = event.chat_id;
                let gap = self.client.views.get_mut(&chat).unwrap().receive(*event);
                return if gap { self.resume([chat]).await } else { Ok(()) };
            }
            Received::Packet(packet) => packet,
        };
        match (packet.packet_type.as_str(), packet.chat_id) {
            ("Synced", Some(chat)) => {
                assert_eq!(packet.seq, Some(self.client.views[&chat].last), "{packet:?}");
                self.resuming.remove(&chat);
            }
            ("Limited", None) => {
                self.resuming.clear();
                let all: Vec<_> = self.client.views.keys().copied().collect();
                self.resume(all).await?;
            }
            ("Limited" | "Reset", _) => panic!("{packet:?}"),
            ("Ack", _) => self.acknowledged(&packet, progress),
            _ => {}
        }
        Ok(())
    }

    fn acknowledged(&mut self, ack: &ReceivedPacket, progress: &Cell<usize>) {
        let Some(said) = ack.request_id.and_then(|id| self.waiting.remove(&id)) else { return };
        progress.set(progress.get() + usize::from(ack.success));
        match said {
            Some((.., content)) if ack.success => assert!(self.client.said.insert(content)),
            Some(said) => self.client.unsent.push(said),
            // Another client deleted the message.
            None => assert!(ack.success || ack.code.as_deref() == Some("not_found"), "{ack:?}"),
        }
    }

    async fn run(&mut self, mut acts: usize, last: bool, progress: &Cell<usize>) -> Result<Over, TcpError> {
        let chats: Vec<_> = self.client.views.keys().copied().collect();
        self.resume(chats).await?;
        while let Some(said) = self.client.unsent.pop() {
            self.say(said).await?;
        }
        loop {
            while acts > 0 && self.waiting.len() < IN_FLIGHT {
                acts -= 1;
                self.act().await?;
            }
            if last && self.resuming.is_empty() && self.waiting.is_empty() {
                return Ok(Over::Done);
            }
            if !last && acts == 0 {
                return Ok(Over::CutOff);
            }
            let incoming = soon(self.reader.next_incoming()).await?;
            self.receive(incoming, progress).await?;
        }
    }
}

impl Client {
    /// Runs one session from Hello to a sudden end. Messages without an acknowledgement are sent
    /// again in the next session.
    async fn run_session(&mut self, address: SocketAddr, last: bool, progress: &Cell<usize>) -> Over {
        let Ok((session, welcome)) = TcpClient::open(address, &self.token).await else { return Over::CutOff };
        let (reader, writer) = session.into_halves();
        let acts = if last { 0 } else { 1 + self.dice.roll(40) };
        let epoch = u64::try_from(welcome.epoch.unwrap()).unwrap();
        let (resuming, waiting) = (BTreeSet::new(), HashMap::new());
        let mut session = Session { client: self, reader, writer, epoch, resuming, waiting, next_request: 0 };
        let over = session.run(acts, last, progress).await.unwrap_or(Over::CutOff);
        let unheard = std::mem::take(&mut session.waiting);
        self.unsent.extend(unheard.into_values().flatten());
        over
    }
}

/// Returns the head and the messages of a chat as the server has them.
async fn truth(http: &HttpClient, chat: ChatId) -> (Seq, BTreeMap<MessageId, Message>) {
    let (mut after, mut messages) = (0, BTreeMap::new());
    loop {
        let (page, has_more) = http.messages(chat, &format!("?after_seq={after}&limit=100")).await.unwrap();
        after = page.last().map_or(after, |message| message.seq);
        messages.extend(page.into_iter().map(|message| (message.id, message)));
        if !has_more {
            break;
        }
    }
    let head = http.get(&format!("/api/chats/{chat}")).await.unwrap().body["last_seq"].as_i64().unwrap();
    (head, messages)
}

fn shown(message: &Message) -> (String, bool, BTreeMap<String, BTreeSet<UserId>>) {
    let reactions = message.reactions.iter();
    let reactions = reactions.map(|reaction| {
        (reaction.emoji.to_string(), reaction.user_ids.iter().copied().collect::<BTreeSet<_>>())
    });
    (message.content.clone(), message.deleted, reactions.collect())
}

#[actix_web::test]
async fn disconnects_and_kills_leave_no_gap_and_no_duplicate() {
    let (count, kills) = (setting("NETBIT_SOAK_CLIENTS", 50), setting("NETBIT_SOAK_KILLS", 3));
    let seed = setting("NETBIT_SOAK_SEED", 0x2545_F491_4F6C_DD1D);
    let directory = tempfile::tempdir().unwrap();
    let mut server = Process::start(directory.path()).await;
    let mut names = Vec::new();
    for who in 0..count {
        names.push(format!("user{who}"));
        server.http.register(&names[names.len() - 1], PASSWORD).await.unwrap();
    }
    let mut accounts = Vec::new();
    for name in &names {
        accounts.push(server.http.login(name, PASSWORD).await.unwrap());
    }
    let founder = server.http.with_token(accounts[0].token.clone());
    let mut chats = Vec::new();
    for _ in 0..CHATS {
        let others: Vec<_> = names[1..].iter().map(String::as_str).collect();
        chats.push(founder.create_group("soak", &others).await.unwrap());
    }

    let address = Rc::new(Cell::new(Some(server.tcp())));
    let (progress, ending) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(false)));
    let done = Rc::new(RefCell::new(Vec::new()));
    for (who, account) in accounts.iter().enumerate() {
        let mut client = Client {
            who,
            me: account.user.id,
            token: account.token.clone(),
            dice: Dice(seed.wrapping_add(u64::try_from(who).unwrap() * 7_919) | 1),
            views: chats.iter().map(|chat| (*chat, View::default())).collect(),
            unsent: Vec::new(),
            said: BTreeSet::new(),
            count: 0,
        };
        let (address, progress, ending, done) =
            (address.clone(), progress.clone(), ending.clone(), done.clone());
        actix::spawn(async move {
            loop {
                let last = ending.get();
                if let Some(address) = address.get()
                    && let Over::Done = client.run_session(address, last, &progress).await
                {
                    // The last messages of other clients may still be undelivered to this client,
                    // but all are acknowledged.
                    done.borrow_mut().push(client);
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
    }
    for _ in 0..=kills {
        let enough = progress.get() + CHANGES_PER_ROUND;
        until(async || progress.get() >= enough).await;
        address.set(None);
        server.kill();
        server = Process::start(directory.path()).await;
        address.set(Some(server.tcp()));
    }
    // Every client sends its unacknowledged messages, and then none sends any more.
    ending.set(true);
    until(async || done.borrow().len() >= accounts.len()).await;

    let founder = server.http.with_token(accounts[0].token.clone());
    let mut clients = done.take();
    let mut contents = Vec::new();
    for chat in &chats {
        let (head, messages) = truth(&founder, *chat).await;
        contents.extend(messages.values().map(|message| message.client_id));
        for client in &mut clients {
            // Clients that finished first lack only the messages that others sent later.
            while client.views[chat].last < head {
                assert!(matches!(client.run_session(server.tcp(), true, &progress).await, Over::Done));
            }
            let view = &client.views[chat];
            assert_eq!(view.last, head);
            let seen: BTreeMap<_, _> = view.messages.iter().map(|(id, m)| (*id, shown(m))).collect();
            let expected: BTreeMap<_, _> = messages.iter().map(|(id, m)| (*id, shown(m))).collect();
            assert_eq!(seen, expected, "client {} and chat {chat}", client.who);
        }
    }
    let said: usize = clients.iter().map(|client| client.said.len()).sum();
    let distinct: BTreeSet<_> = contents.iter().collect();
    assert_eq!((contents.len(), distinct.len()), (said, said), "every message is stored once");
    println!(
        "{count} clients, {} kills, {} changes acknowledged, {said} messages",
        kills + 1,
        progress.get()
    );
}
