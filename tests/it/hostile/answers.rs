//! Clients request large answers over many sessions or connections and do not read them. The memory
//! for waiting answers is bounded, and others are served.

use std::net::SocketAddr;

use futures_util::future::join_all;
use futures_util::{SinkExt, StreamExt};
use netbit::client::{TcpClient, TcpError};
use netbit::domain::ids::ChatId;
use netbit::protocol::packet::MessagePacket;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{Person, TestServer, soon};

const MIB: usize = 1024 * 1024;
/// The answer space of these servers, in bytes. A single account gets four fifths of it, and its
/// last page may exceed that share.
const SPACE: usize = 16 * MIB;
const SHARE: usize = SPACE / 5 * 4 + 2 * MIB;
const SMALL: usize = 32 * 1024;
/// The number of messages in the chat: a page of all of them is a megabyte.
const MESSAGES: usize = 60;

async fn server() -> TestServer {
    TestServer::with_limits(|limits| {
        (limits.rates, limits.answer_bytes, limits.answer_patience_ms) = (false, SPACE, 1_000);
    })
    .await
}

/// Creates a chat of these two users, full of messages of 16 KB.
async fn large_chat(alice: &Person, bob: &Person) -> ChatId {
    let chat = alice.group(&[bob]).await;
    for _ in 0..MESSAGES {
        assert_eq!(alice.say(chat, &"x".repeat(16_000)).await.status, 201);
    }
    chat
}

fn page_of(chat: ChatId, before: Option<i64>) -> MessagePacket {
    MessagePacket {
        packet_type: "GetMessages".into(),
        chat_id: Some(chat),
        before_seq: before.map(|seq| seq.try_into().unwrap()),
        limit: Some(100),
        ..MessagePacket::default()
    }
}

/// Opens a connection with a small receive buffer, for a client that does not read.
async fn connect_with_small_buffer(to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    soon(socket.connect(to)).await.unwrap()
}

/// Opens a session with a small receive buffer, which can be read later.
async fn session_with_small_buffer(server: &TestServer, token: &str) -> TcpClient {
    let (reading, writing) = connect_with_small_buffer(server.app.addresses.tcp).await.into_split();
    let mut session = TcpClient::over(reading, writing);
    soon(session.hello(token)).await.unwrap();
    session
}

/// Returns the sum of a metric's rows whose labels contain this text.
pub(super) async fn gauge(server: &TestServer, name: &str, label: &str) -> usize {
    let text = server.operations("/metrics").await.1;
    let rows = text.lines().filter(|line| line.starts_with(name) && line.contains(label));
    rows.map(|row| row.rsplit(' ').next().unwrap().parse::<usize>().unwrap()).sum()
}

async fn counted(server: &TestServer) -> usize {
    gauge(server, "netbit_pool_inside", "\"answers\"").await
}

async fn waiting(server: &TestServer) -> usize {
    gauge(server, "netbit_outbox_bytes", "").await
}

/// Returns the bytes that wait in the outboxes, once the value has been stable for a while.
async fn settle(server: &TestServer) -> usize {
    let (mut before, mut times) = (0, 0);
    while times < 5 {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        let now = waiting(server).await;
        times = if now == before { times + 1 } else { 0 };
        before = now;
    }
    before
}

/// Bob reads the whole chat over a session and over REST, in as many pages as it takes.
async fn is_served(bob: &Person, chat: ChatId) {
    let mut session = bob.tcp().await;
    let (mut seen, mut before) = (0, None);
    loop {
        let page = soon(session.request(page_of(chat, before))).await.unwrap();
        seen += page.messages.len();
        before = page.messages.first().map(|message| message.seq);
        if !page.has_more {
            break;
        }
    }
    assert_eq!(seen, MESSAGES);
    let (mut seen, mut query) = (0, "?limit=100".to_owned());
    loop {
        let (messages, has_more) = bob.http.messages(chat, &query).await.unwrap();
        seen += messages.len();
        query = format!("?limit=100&before_seq={}", messages[0].seq);
        if !has_more {
            break;
        }
    }
    assert_eq!(seen, MESSAGES);
    assert_eq!(bob.get("/api/chats").await.status, 200);
}

/// Regression: the sessions of one account request pages and read nothing. 490 such sessions held a
/// gigabyte.
#[actix_web::test]
async fn unread_answers_of_one_account_share_bounded_space() {
    const SESSIONS: usize = 40;
    let server = server().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = large_chat(&alice, &bob).await;
    let token = alice.http.token().unwrap();
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        let mut session = session_with_small_buffer(&server, token).await;
        for _ in 0..4 {
            session.writer.send(&page_of(chat, None)).await.unwrap();
        }
        sessions.push(session);
    }
    let (held, taken) = (soon(settle(&server)).await, counted(&server).await);
    assert!(taken <= SHARE && taken > MIB, "{taken}");
    assert!(held <= taken + SESSIONS * 2 * SMALL, "{held} bytes are waiting");
    is_served(&bob, chat).await;
    // Sessions that start reading late get an answer to each request.
    let late = sessions.iter_mut().map(|session| async {
        let mut answers = 0;
        while answers < 4 {
            let packet = soon(session.reader.next()).await.unwrap();
            match packet.packet_type.as_str() {
                "Messages" => assert!(!packet.messages.is_empty()),
                "Ack" => assert_eq!(packet.code.as_deref(), Some("overloaded")),
                // Presence packets and other pushes.
                _ => continue,
            }
            answers += 1;
        }
    });
    join_all(late).await;
    soon(async { while counted(&server).await > 0 {} }).await;
    drop(sessions);
    server.stop().await;
}

/// The same over WebSocket, in JSON, where a page is converted before it is sent. The end of the
/// sessions frees the space.
#[actix_web::test]
async fn unread_websocket_answers_share_bounded_space_and_free_it() {
    let server = server().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = large_chat(&alice, &bob).await;
    let token = alice.http.token().unwrap();
    let mut sockets = Vec::new();
    for _ in 0..20 {
        let stream = connect_with_small_buffer(server.app.addresses.http).await;
        let url = format!("ws://{}/ws", server.app.addresses.http);
        let (mut socket, _) = soon(tokio_tungstenite::client_async(url, stream)).await.unwrap();
        for packet in [
            json!({"packet_type": "Hello", "token": token}),
            json!({"packet_type": "GetMessages", "request_id": 1, "chat_id": chat, "limit": 100}),
            json!({"packet_type": "GetMessages", "request_id": 2, "chat_id": chat, "limit": 100}),
        ] {
            socket.send(Message::text(packet.to_string())).await.unwrap();
        }
        assert!(soon(socket.next()).await.unwrap().unwrap().to_text().unwrap().contains("Welcome"));
        sockets.push(socket);
    }
    let (held, taken) = (soon(settle(&server)).await, counted(&server).await);
    assert!(taken <= SHARE && taken > MIB, "{taken}");
    assert!(held <= taken + sockets.len() * 2 * SMALL, "{held} bytes are waiting");
    is_served(&bob, chat).await;
    drop(sockets);
    soon(async { while counted(&server).await > 0 {} }).await;
    server.stop().await;
}

/// Regression: each chat that a `Resume` names gets an answer, even a chat that does not exist. A
/// few kilobytes of cursors became megabytes of answers.
#[actix_web::test]
async fn resumes_of_many_chats_share_bounded_space() {
    const CHATS: i64 = 4_000;
    let server = server().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = large_chat(&alice, &bob).await;
    let token = alice.http.token().unwrap();
    let resume = |chats: Vec<(ChatId, u64)>, epoch: i64| MessagePacket {
        packet_type: "Resume".into(),
        request_id: Some(99),
        epoch: Some(epoch.try_into().unwrap()),
        cursors: Some(chats.into_iter().collect()),
        ..MessagePacket::default()
    };
    let epoch = alice.tcp_welcomed().await.1.epoch.unwrap();
    let mut sessions = Vec::new();
    for _ in 0..20 {
        let mut session = session_with_small_buffer(&server, token).await;
        let unknown = (0..CHATS).map(|n| (ChatId(1_000_000 + n), 1)).collect();
        session.writer.send(&resume(unknown, epoch)).await.unwrap();
        session.writer.send(&resume(vec![(chat, 0)], epoch)).await.unwrap();
        sessions.push(session);
    }
    soon(settle(&server)).await;
    assert!(counted(&server).await <= SHARE);
    is_served(&bob, chat).await;
    // A replay continues to its end as soon as the client reads it.
    let session = &mut sessions[0];
    soon(async {
        loop {
            let packet = session.reader.next().await.unwrap();
            if packet.packet_type == "Synced" && packet.chat_id == Some(chat) {
                break;
            }
        }
    })
    .await;
    drop(sessions);
    server.stop().await;
}

/// Regression: one account requests pages over many connections and reads nothing. 2,200 such
/// connections held 1.5 GB.
#[actix_web::test]
async fn unread_http_answers_share_space_and_get_small_pages() {
    let server = server().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = large_chat(&alice, &bob).await;
    let token = alice.http.token().unwrap();
    let mut clients = Vec::new();
    for _ in 0..40 {
        let mut client = connect_with_small_buffer(server.app.addresses.http).await;
        let request = format!(
            "GET /api/chats/{chat}/messages?limit=100 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n"
        );
        client.write_all(request.as_bytes()).await.unwrap();
        clients.push(client);
    }
    let mut sizes = Vec::new();
    for client in &mut clients {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(soon(client.read_u8()).await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let size = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        sizes.push(size.parse::<usize>().unwrap());
    }
    let taken = counted(&server).await;
    assert!(taken <= SHARE && taken > MIB, "{taken}");
    let (large, small): (Vec<_>, Vec<_>) = sizes.iter().copied().partition(|size| *size > SMALL);
    assert!(large.iter().sum::<usize>() <= SHARE && small.len() > 20, "{sizes:?}");
    is_served(&bob, chat).await;
    // A response body that is read is complete.
    let mut rest = vec![0; sizes[0]];
    soon(clients[0].read_exact(&mut rest)).await.unwrap();
    let page: serde_json::Value = serde_json::from_slice(&rest).unwrap();
    assert_eq!(page["items"].as_array().unwrap().len(), MESSAGES);
    drop(clients);
    soon(async { while counted(&server).await > 0 {} }).await;
    server.stop().await;
}

/// A client that reads is not refused: thirty sessions and thirty REST clients of one account load
/// a page of a megabyte at the same time. Each gets the whole page.
#[actix_web::test]
async fn thirty_clients_of_one_account_each_load_a_large_page() {
    let server = TestServer::with_limits(|limits| limits.rates = false).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = large_chat(&alice, &bob).await;
    let over_sessions = join_all((0..30).map(|_| async {
        let mut session = alice.tcp().await;
        let page: Result<_, TcpError> = soon(session.request(page_of(chat, None))).await;
        page.unwrap().messages.len()
    }));
    let over_rest = join_all(
        (0..30).map(|_| async { soon(alice.http.messages(chat, "?limit=100")).await.unwrap().0.len() }),
    );
    let (over_sessions, over_rest) = futures_util::join!(over_sessions, over_rest);
    assert_eq!((over_sessions, over_rest), (vec![MESSAGES; 30], vec![MESSAGES; 30]));
    soon(async { while counted(&server).await > 0 {} }).await;
    server.stop().await;
}
