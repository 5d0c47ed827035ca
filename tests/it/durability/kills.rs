//! The server is ended by SIGKILL or SIGTERM while users write.
//!
//! `NETBIT_KILL_ROUNDS` sets the number of rounds (default 3).

use std::cell::Cell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;

use netbit::client::{HttpClient, TcpClient, saying};
use netbit::domain::ids::ChatId;
use netbit::domain::message::{ClientId, Message};
use netbit::protocol::packet::MessagePacket;

use crate::harness::{PASSWORD, Process, database, soon, until};

const SENDERS: usize = 20;
const CHATS: usize = 4;

/// The acknowledged messages of one sender: client id -> (chat, content, id, seq).
type Acknowledged = HashMap<ClientId, (ChatId, String, i64, i64)>;

/// Sends until the connection breaks, with up to 8 messages in flight. Messages that were sent
/// without an acknowledgement are sent again first, with the same client id, as a client should.
async fn send_until_killed(
    address: SocketAddr,
    token: String,
    chats: Vec<ChatId>,
    who: usize,
    round: usize,
    mut open: Vec<(ClientId, ChatId, String)>,
    progress: Rc<Cell<usize>>,
) -> (Acknowledged, Vec<(ClientId, ChatId, String)>) {
    let mut acknowledged = Acknowledged::new();
    let Ok((session, _)) = TcpClient::open(address, &token).await else { return (acknowledged, open) };
    let (mut reader, mut writer) = session.into_halves();
    let (mut waiting, mut next_request, mut count) = (HashMap::new(), 0u64, 0usize);
    let mut retries = std::mem::take(&mut open).into_iter();
    loop {
        while waiting.len() < 8 {
            let (name, chat, content) = retries.next().unwrap_or_else(|| {
                count += 1;
                (
                    ClientId::fresh(),
                    chats[(who + count) % chats.len()],
                    format!("round {round} sender {who} message {count}"),
                )
            });
            let packet = MessagePacket { request_id: Some(next_request), ..saying(chat, name, &content) };
            waiting.insert(next_request, (name, chat, content));
            next_request += 1;
            if writer.send(&packet).await.is_err() {
                return (acknowledged, waiting.into_values().chain(retries).collect());
            }
        }
        match reader.next().await {
            Ok(packet) if packet.packet_type == "Ack" => {
                if !packet.success {
                    // A stopping server accepts no more messages: nothing was promised, so the
                    // client retries later.
                    assert_eq!(packet.code.as_deref(), Some("overloaded"), "{packet:?}");
                    continue;
                }
                progress.set(progress.get() + 1);
                let (name, chat, content) = waiting.remove(&packet.request_id.unwrap()).unwrap();
                acknowledged.insert(name, (chat, content, packet.message_id.unwrap().0, packet.seq.unwrap()));
            }
            Ok(_) => {}
            Err(_) => return (acknowledged, waiting.into_values().chain(retries).collect()),
        }
    }
}

/// Waits until the senders have received this many acknowledgements.
async fn acknowledged_so_far(progress: &Cell<usize>, count: usize) {
    until(async || progress.get() >= count).await;
}

/// Users who share chats, write in them until the server is gone, and record the acknowledgements.
pub(super) struct Writers {
    pub(super) tokens: Vec<String>,
    pub(super) chats: Vec<ChatId>,
    pub(super) told: Acknowledged,
    /// The messages of each user that were sent without an answer.
    open: Vec<Vec<(ClientId, ChatId, String)>>,
}

impl Writers {
    /// Registers `u0` and so on; every user is a member of every chat.
    pub(super) async fn meet(server: &Process, people: usize, chats: usize) -> Self {
        let mut tokens = Vec::new();
        for n in 0..people {
            server.http.register(&format!("u{n}"), PASSWORD).await.unwrap();
            tokens.push(server.http.login(&format!("u{n}"), PASSWORD).await.unwrap().token);
        }
        let owner = server.http.with_token(&tokens[0]);
        let names: Vec<_> = (1..people).map(|n| format!("u{n}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let mut made = Vec::new();
        for _ in 0..chats {
            made.push(owner.create_group("team", &names).await.unwrap());
        }
        Self { tokens, chats: made, told: Acknowledged::new(), open: vec![Vec::new(); people] }
    }

    /// Lets every user write, and kills the server when `enough` more messages are acknowledged.
    pub(super) async fn write_and_kill(&mut self, server: &mut Process, round: usize, enough: usize) {
        let (progress, before) = (Rc::new(Cell::new(0)), self.told.len());
        let open = std::mem::take(&mut self.open);
        let people = self.tokens.iter().zip(open).enumerate().map(|(who, (token, open))| {
            let (token, chats, progress) = (token.clone(), self.chats.clone(), progress.clone());
            actix::spawn(send_until_killed(server.tcp(), token, chats, who, round, open, progress))
        });
        let people: Vec<_> = people.collect();
        acknowledged_so_far(&progress, enough).await;
        server.kill();
        for person in people {
            let (acknowledged, unanswered) = soon(person).await.unwrap();
            self.told.extend(acknowledged);
            self.open.push(unanswered);
        }
        assert!(self.told.len() > before, "round {round} acknowledged nothing");
    }
}

/// Returns every message of a chat, page by page.
pub(crate) async fn whole_history(http: &HttpClient, chat: ChatId) -> Vec<Message> {
    let (mut after, mut all) = (0, Vec::new());
    loop {
        let (page, has_more) = http.messages(chat, &format!("?after_seq={after}&limit=100")).await.unwrap();
        after = page.last().map_or(after, |message| message.seq);
        all.extend(page);
        if !has_more {
            return all;
        }
    }
}

/// Asserts that the events of a chat have the seqs 1, 2, 3 and so on.
pub(crate) async fn assert_dense(http: &HttpClient, chat: ChatId) {
    let mut after = 0;
    loop {
        let page = http.get(&format!("/api/chats/{chat}/events?after_seq={after}&limit=100")).await;
        let page = page.unwrap().body;
        for event in page["items"].as_array().unwrap() {
            after += 1;
            assert_eq!(event["seq"], after, "seq is dense");
        }
        if page["has_more"] == false {
            return;
        }
    }
}

#[actix_web::test]
async fn kill_9_under_load_neither_loses_nor_doubles_messages() {
    let rounds = std::env::var("NETBIT_KILL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let directory = tempfile::tempdir().unwrap();
    let mut server = Process::start(directory.path()).await;
    let mut writers = Writers::meet(&server, SENDERS, CHATS).await;
    for round in 0..rounds {
        // Each round is killed a little later.
        writers.write_and_kill(&mut server, round, 300 + 137 * (round % 10)).await;
        server = Process::start(directory.path()).await;
    }
    let Writers { chats, told, .. } = writers;

    let http = server.http.with_token(server.http.login("u0", PASSWORD).await.unwrap().token);
    let mut stored = HashMap::new();
    for chat in &chats {
        for message in whole_history(&http, *chat).await {
            let entry = (message.chat_id, message.content, message.id.0, message.seq);
            assert!(stored.insert(message.client_id, entry).is_none(), "a message is stored twice");
        }
        assert_dense(&http, *chat).await;
    }
    for (name, entry) in &told {
        assert_eq!(stored.get(name), Some(entry), "an acknowledged message is missing or differs");
    }
    println!("{rounds} kills, {} acknowledged, {} stored", told.len(), stored.len());

    server.kill();
    database::assert_integrity(directory.path());
}

#[actix_web::test]
async fn sigterm_under_load_loses_no_acknowledged_message() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = Process::start(directory.path()).await;
    server.http.register("u0", PASSWORD).await.unwrap();
    let token = server.http.login("u0", PASSWORD).await.unwrap().token;
    let chat = server.http.with_token(token.clone()).create_group("team", &[]).await.unwrap();
    let progress = Rc::new(Cell::new(0));
    let sending = send_until_killed(server.tcp(), token, vec![chat], 0, 0, Vec::new(), progress.clone());
    let sender = actix::spawn(sending);
    acknowledged_so_far(&progress, 50).await;
    server.terminate();
    let (told, _) = soon(sender).await.unwrap();
    assert_eq!(server.end().await, Some(0));
    assert!(!told.is_empty());

    let server = Process::start(directory.path()).await;
    let http = server.http.with_token(server.http.login("u0", PASSWORD).await.unwrap().token);
    let stored: HashMap<_, _> = whole_history(&http, chat)
        .await
        .into_iter()
        .map(|message| (message.client_id, (message.chat_id, message.content, message.id.0, message.seq)))
        .collect();
    for (name, entry) in &told {
        assert_eq!(stored.get(name), Some(entry));
    }
    server.stop().await;
}
