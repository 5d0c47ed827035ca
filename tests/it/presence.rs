//! Presence and typing: over TCP, over UDP, and read over REST.

use std::time::Duration;

use netbit::client::TcpClient;
use netbit::domain::ids::UserId;
use netbit::domain::presence::{Shown, Status};
use netbit::protocol::answer::{ReceivedPacket, TicketData};
use netbit::protocol::datagram::{self, Kind, TypingNotice, Upward};
use netbit::protocol::packet::MessagePacket;
use netbit::protocol::view::PresenceView;
use serde_json::{Value, json};

use crate::harness::udp::{Udp, ping};
use crate::harness::{Person, TestServer, assert_problem, soon, until};

async fn start() -> TestServer {
    TestServer::with_limits(|limits| {
        limits.presence_tick_ms = 20;
        limits.offline_debounce_ms = 100;
    })
    .await
}

/// Opens a session whose `Hello` has more fields than a token.
pub(crate) async fn hello(
    person: &Person,
    server: &TestServer,
    with: MessagePacket,
) -> (TcpClient, ReceivedPacket) {
    let mut client = TcpClient::connect(server.app.addresses.tcp).await.unwrap();
    let token = person.http.token().map(str::to_owned);
    let hello = MessagePacket { packet_type: "Hello".into(), token, ..with };
    let welcome = client.request(hello).await.unwrap();
    (client, welcome)
}

pub(crate) fn status(status: &str, version: Option<u64>) -> MessagePacket {
    MessagePacket {
        packet_type: "Status".into(),
        status: Some(status.into()),
        version,
        ..MessagePacket::default()
    }
}

/// Returns the status of `user` in the next `Presence` packet that contains them.
async fn next_presence(session: &mut TcpClient, user: UserId) -> String {
    loop {
        let packet = soon(session.any()).await.unwrap();
        if let Some(view) = packet.users.iter().find(|view| view.user_id == user) {
            return as_text(view);
        }
    }
}

fn as_text(view: &PresenceView) -> String {
    serde_json::to_value(view.status).unwrap().as_str().unwrap().to_owned()
}

pub(crate) async fn until_presence(session: &mut TcpClient, user: UserId, wanted: &str) {
    while next_presence(session, user).await != wanted {}
}

async fn presence_of(watcher: &Person, name: &str) -> Value {
    watcher.get(&format!("/api/presence?users={name}")).await.body["items"][0]["status"].clone()
}

pub(crate) async fn dropped(server: &TestServer, reason: &str) -> u64 {
    let (_, body) = server.operations("/actors").await;
    serde_json::from_str::<Value>(&body).unwrap()["udp"]["dropped"][reason].as_u64().unwrap()
}

#[actix_web::test]
async fn users_who_share_a_chat_see_each_others_presence() {
    let server = start().await;
    let (alice, bob, eve) = (server.user("alice").await, server.user("bob").await, server.user("eve").await);
    alice.group(&[&bob]).await;
    let mut watcher = bob.tcp().await;
    let mut outsider = eve.tcp().await;
    let mut desk = alice.tcp().await;
    until_presence(&mut watcher, alice.id, "online").await;
    assert_eq!(
        (presence_of(&bob, "alice").await, presence_of(&eve, "alice").await),
        (json!("online"), json!("offline"))
    );
    let ack = desk.request(status("away", None)).await.unwrap();
    assert!(ack.success);
    until_presence(&mut watcher, alice.id, "away").await;
    for wrong in ["asleep", ""] {
        assert_eq!(desk.ask(status(wrong, None)).await.unwrap().code.as_deref(), Some("bad_request"));
    }
    drop(desk);
    until_presence(&mut watcher, alice.id, "offline").await;
    assert_eq!(presence_of(&bob, "alice").await, json!("offline"));
    // A user who shares no chat still receives their own presence.
    outsider.writer.send(&status("dnd", None)).await.unwrap();
    until_presence(&mut outsider, eve.id, "dnd").await;
    assert_problem(&bob.get("/api/presence?users=nosuch").await, 404, "not_found");
    assert_problem(&bob.get("/api/presence?users=").await, 400, "bad_request");
    server.stop().await;
}

#[actix_web::test]
async fn newer_status_version_wins_on_a_device_with_two_connections() {
    let server = start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    alice.group(&[&bob]).await;
    let mut watcher = bob.tcp().await;
    let device = || MessagePacket { device_id: Some("phone".into()), ..MessagePacket::default() };
    let (mut first, _) = hello(&alice, &server, device()).await;
    let (mut second, _) = hello(&alice, &server, device()).await;
    first.request(status("dnd", Some(10))).await.unwrap();
    until_presence(&mut watcher, alice.id, "dnd").await;
    second.request(status("online", Some(9))).await.unwrap();
    second.request(status("away", Some(11))).await.unwrap();
    assert_eq!(
        next_presence(&mut watcher, alice.id).await,
        "away",
        "the late status was not shown in between"
    );
    drop(second);
    first.request(status("dnd", None)).await.unwrap();
    until_presence(&mut watcher, alice.id, "dnd").await;
    server.stop().await;
}

/// Alice uses REST only and has no session. Regression: every user was offline to her.
#[actix_web::test]
async fn user_without_a_session_sees_presence_of_others() {
    let server = start().await;
    let (alice, bob, eve) = (server.user("alice").await, server.user("bob").await, server.user("eve").await);
    let chat = alice.group(&[&bob]).await;
    let mut session = bob.tcp().await;
    session.ask(status("dnd", None)).await.unwrap();
    assert_eq!(
        (presence_of(&alice, "bob").await, presence_of(&eve, "bob").await),
        (json!("dnd"), json!("offline"))
    );
    assert_eq!(alice.delete(&format!("/api/chats/{chat}/participants/bob")).await.status, 204);
    assert_eq!(presence_of(&alice, "bob").await, "offline");
    server.stop().await;
}

/// Regression: a status with an older version was acknowledged as if it had been applied.
#[actix_web::test]
async fn status_ack_returns_the_effective_status() {
    let server = start().await;
    let bob = server.user("bob").await;
    let mut session = bob.tcp().await;
    let taken = session.ask(status("dnd", Some(7))).await.unwrap();
    assert_eq!((taken.status, taken.version, taken.duplicate), (Some(Status::Dnd), Some(7), None));
    let late = session.ask(status("online", Some(6))).await.unwrap();
    assert_eq!((late.status, late.version, late.duplicate), (Some(Status::Dnd), Some(7), Some(true)));
    let next = session.ask(status("away", None)).await.unwrap();
    assert_eq!((next.status, next.version, next.duplicate), (Some(Status::Away), Some(8), None));
    server.stop().await;
}

/// Regression: the read mark of an invisible user revealed to others that the user was online.
#[actix_web::test]
async fn marks_of_invisible_users_are_not_pushed() {
    let server = start().await;
    let (alice, bob, carol) =
        (server.user("alice").await, server.user("bob").await, server.user("carol").await);
    let chat = alice.group(&[&bob, &carol]).await;
    alice.say(chat, "read me").await;
    let mut watching = alice.tcp().await;
    let invisible = MessagePacket { status: Some("invisible".into()), ..MessagePacket::default() };
    let (mut hidden, _) = hello(&bob, &server, invisible).await;
    let read = |request_id: Option<u64>| MessagePacket {
        packet_type: "Mark".into(),
        request_id,
        chat_id: Some(chat),
        read_seq: Some(4),
        ..MessagePacket::default()
    };
    assert_eq!(hidden.ask(read(Some(1))).await.unwrap().seq, Some(4));
    // The mark of a session that ends is written after its end.
    drop(hidden);
    let mut shown = carol.tcp().await;
    assert_eq!(shown.ask(read(Some(1))).await.unwrap().seq, Some(4));
    loop {
        let packet = soon(watching.any()).await.unwrap();
        if packet.packet_type == "Marks" {
            let users: Vec<_> = packet.marks.iter().map(|mark| mark.user_id).collect();
            assert_eq!(users, [carol.id]);
            break;
        }
    }
    server.stop().await;
}

#[actix_web::test]
async fn user_who_connects_invisible_is_never_shown() {
    let server = start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    let mut watcher = bob.tcp().await;
    let unseen = MessagePacket { status: Some("invisible".into()), ..MessagePacket::default() };
    let (mut ghost, _) = hello(&alice, &server, unseen).await;
    let typing =
        MessagePacket { packet_type: "Typing".into(), chat_id: Some(chat), ..MessagePacket::default() };
    assert!(ghost.request(typing).await.unwrap().success);
    assert_eq!(presence_of(&bob, "alice").await, json!("offline"));
    watcher.writer.send(&status("away", None)).await.unwrap();
    loop {
        let packet = soon(watcher.any()).await.unwrap();
        assert_ne!(packet.packet_type, "Typing");
        assert!(packet.users.iter().all(|view| view.user_id == bob.id), "{packet:?}");
        if packet.users.iter().any(|view| view.status == Shown::Away) {
            break;
        }
    }
    server.stop().await;
}

#[actix_web::test]
async fn typing_is_sent_to_other_participants_at_a_limited_rate() {
    let server = TestServer::with_limits(|limits| {
        limits.presence_tick_ms = 20;
        limits.typing_interval_ms = 60_000;
    })
    .await;
    let (alice, bob, eve) = (server.user("alice").await, server.user("bob").await, server.user("eve").await);
    let (chat, other) = (alice.group(&[&bob]).await, alice.group(&[&bob]).await);
    let (mut desk, mut watcher, mut outsider) = (alice.tcp().await, bob.tcp().await, eve.tcp().await);
    until_presence(&mut watcher, alice.id, "online").await;
    let typing = |chat| MessagePacket {
        packet_type: "Typing".into(),
        chat_id: Some(chat),
        ..MessagePacket::default()
    };
    let refused = outsider.ask(typing(chat)).await.unwrap();
    assert_eq!((refused.success, refused.code.as_deref()), (false, Some("not_found")));
    let mut notices = Vec::new();
    for shown in ["dnd", "away", "dnd", "away", "dnd"] {
        desk.request(typing(chat)).await.unwrap();
        // A status is sent with the tick. Waiting for it gives each notice a tick of its own.
        desk.request(status(shown, None)).await.unwrap();
        loop {
            let packet = soon(watcher.any()).await.unwrap();
            if packet.packet_type == "Typing" {
                notices.push((packet.chat_id, packet.user_id));
            }
            let wanted = |view: &PresenceView| view.user_id == alice.id && as_text(view) == shown;
            if packet.users.iter().any(wanted) {
                break;
            }
        }
    }
    // The next notice belongs to the other chat.
    desk.request(typing(other)).await.unwrap();
    while notices.last().is_none_or(|(chat, _)| *chat != Some(other)) {
        let packet = soon(watcher.any()).await.unwrap();
        if packet.packet_type == "Typing" {
            notices.push((packet.chat_id, packet.user_id));
        }
    }
    assert_eq!(notices, [(Some(chat), Some(alice.id)), (Some(other), Some(alice.id))]);
    server.stop().await;
}

#[actix_web::test]
async fn ticket_authorizes_udp_presence_and_typing() {
    let server = start().await;
    let (alice, bob, carol) =
        (server.user("alice").await, server.user("bob").await, server.user("carol").await);
    let chat = alice.group(&[&bob, &carol]).await;
    let asks = MessagePacket { udp: Some(true), device_id: Some("phone".into()), ..MessagePacket::default() };
    let (mut session, welcome) = hello(&alice, &server, asks).await;
    let mut phone = Udp::new(&welcome.udp.unwrap()).await;
    let mut watcher = bob.tcp().await;
    until_presence(&mut watcher, alice.id, "online").await;

    phone.send(Kind::Ping, &ping(0)).await;
    assert_eq!(phone.pong().await.version, 1);
    let batch = phone.batch().await;
    assert_eq!(batch.from, 0);
    assert!(batch.users.iter().any(|(user, status, _)| (*user, *status) == (bob.id, 1)), "{batch:?}");

    let away = Upward { status: Some(Status::Away), version: Some(2), ..Upward::default() };
    phone.send(Kind::Status, &away).await;
    until_presence(&mut watcher, alice.id, "away").await;
    phone.send(Kind::Typing, &Upward { chat_id: Some(chat), ..Upward::default() }).await;
    while soon(watcher.any()).await.unwrap().packet_type != "Typing" {}
    watcher
        .request(MessagePacket {
            packet_type: "Typing".into(),
            chat_id: Some(chat),
            ..MessagePacket::default()
        })
        .await
        .unwrap();
    loop {
        let (header, bytes) = phone.receive().await;
        if header.kind == Kind::Typing {
            let notice: TypingNotice = datagram::open(&phone.keys.1, header, &bytes).unwrap();
            assert_eq!((notice.chat_id, notice.user_id), (chat, bob.id));
            break;
        }
    }

    // The session ends, and datagrams alone keep alice present. Carol sends no datagrams: she
    // leaves after alice, and goes offline at the time at which alice would.
    let carols = carol.tcp().await;
    until_presence(&mut watcher, carol.id, "online").await;
    session
        .writer
        .send(&MessagePacket { packet_type: "Bye".into(), ..MessagePacket::default() })
        .await
        .unwrap();
    while soon(session.any()).await.is_ok() {}
    drop(carols);
    until_presence(&mut watcher, carol.id, "offline").await;
    assert_eq!(presence_of(&bob, "alice").await, json!("away"));

    // Requests another ticket over the session, and one over REST.
    let mut session = alice.tcp().await;
    let ticket = session
        .request(MessagePacket { packet_type: "Ticket".into(), ..MessagePacket::default() })
        .await
        .unwrap();
    let mut desk = Udp::new(&ticket.udp.unwrap()).await;
    desk.send(Kind::Ping, &ping(0)).await;
    desk.pong().await;
    let issued = alice.post("/api/udp/ticket", json!({"device_id": "tablet"})).await;
    assert_eq!((issued.status, issued.body["expires_in"].clone()), (201, json!(600)));
    let mut tablet = Udp::new(&from_json(&issued.body)).await;
    tablet.send(Kind::Ping, &ping(0)).await;
    tablet.pong().await;
    assert_problem(&alice.post("/api/udp/ticket", json!({"device_id": ""})).await, 422, "validation");
    server.stop().await;
}

pub(crate) fn from_json(body: &Value) -> TicketData {
    use base64::Engine;
    let key =
        |name: &str| base64::engine::general_purpose::STANDARD.decode(body[name].as_str().unwrap()).unwrap();
    TicketData {
        connection_id: body["connection_id"].as_str().unwrap().parse().unwrap(),
        key_up: key("key_up"),
        key_down: key("key_down"),
        expires_in: body["expires_in"].as_u64().unwrap(),
        address: body["address"].as_str().unwrap().to_owned(),
    }
}

#[actix_web::test]
async fn invalid_datagrams_are_counted_and_get_no_answer() {
    let server = start().await;
    let alice = server.user("alice").await;
    let ticket = from_json(&alice.post("/api/udp/ticket", json!({})).await.body);
    let (mut phone, mut stranger) = (Udp::new(&ticket).await, Udp::new(&ticket).await);
    stranger.connection_id ^= 1;
    let mut forger = Udp::new(&ticket).await;
    forger.keys.0 = [9; 32];
    stranger.send(Kind::Ping, &ping(0)).await;
    forger.send(Kind::Ping, &ping(0)).await;
    let replayed = phone.sealed(Kind::Ping, &ping(0));
    phone.socket.send_to(&replayed, phone.server).await.unwrap();
    phone.pong().await;
    for datagram in [replayed, vec![0x4E; 600], vec![0; 40], vec![0x4E; 40], b"?".to_vec()] {
        forger.socket.send_to(&datagram, phone.server).await.unwrap();
    }
    for (reason, count) in
        [("connection", 1), ("forged", 1), ("replayed", 1), ("size", 2), ("magic", 1), ("type", 1)]
    {
        until(async || dropped(&server, reason).await >= count).await;
    }
    // The server has one socket and answers in order. After this Pong, every answer to an earlier
    // datagram has arrived.
    phone.send(Kind::Ping, &ping(0)).await;
    phone.pong().await;
    assert!(!stranger.has_received() && !forger.has_received());
    server.stop().await;
}

#[actix_web::test]
async fn logout_revokes_udp_tickets() {
    let server = start().await;
    let alice = server.user("alice").await;
    let ticket = from_json(&alice.post("/api/udp/ticket", json!({})).await.body);
    let mut phone = Udp::new(&ticket).await;
    phone.send(Kind::Ping, &ping(0)).await;
    phone.pong().await;
    alice.post("/api/users/logout", json!({})).await;
    let revoked = until(async || {
        phone.send(Kind::Ping, &ping(0)).await;
        dropped(&server, "connection").await > 0
    });
    let revoked = tokio::time::timeout(Duration::from_secs(5), revoked).await;
    revoked.expect("the ticket outlived its login");
    let body = alice.get("/api/server").await.body;
    assert_eq!(body["udp_address"], server.app.addresses.udp.to_string());
    server.stop().await;
}

#[actix_web::test]
async fn idle_sessions_cost_no_messages_and_receive_changes() {
    let server = start().await;
    let (alice, bob, carol) =
        (server.user("alice").await, server.user("bob").await, server.user("carol").await);
    alice.group(&[&bob, &carol]).await;
    let mut sessions = Vec::new();
    for _ in 0..20 {
        sessions.push(bob.tcp().await);
    }
    let mut desk = alice.tcp().await;
    for session in &mut sessions {
        until_presence(session, alice.id, "online").await;
    }
    let carols = carol.tcp().await;
    for session in &mut sessions {
        until_presence(session, carol.id, "online").await;
    }
    let handled = async || {
        let (_, body) = server.operations("/actors").await;
        let actors: Value = serde_json::from_str(&body).unwrap();
        let all = actors["actors"].as_array().unwrap().iter();
        let presence = all.clone().find(|actor| actor["actor"] == "presence").unwrap();
        presence["messages"].as_array().unwrap().iter().map(|m| m["handled"].as_u64().unwrap()).sum::<u64>()
    };
    let before = handled().await;
    // Carol goes offline five ticks after her session ends. The end of the session is the only
    // message.
    drop(carols);
    for session in &mut sessions {
        until_presence(session, carol.id, "offline").await;
    }
    assert_eq!(handled().await, before + 1, "no other message was handled");
    desk.request(status("dnd", None)).await.unwrap();
    for session in &mut sessions {
        until_presence(session, alice.id, "dnd").await;
    }
    server.stop().await;
}

#[actix_web::test]
async fn user_without_a_share_of_presence_queries_is_refused() {
    for (share, status) in [(0, 503), (1, 200)] {
        let server = TestServer::with_limits(|limits| {
            (limits.presence_queries_per_user, limits.ask_patience_ms) = (share, 1_000 * share as u64 + 50);
        })
        .await;
        let alice = server.user("alice").await;
        let answer = alice.get(&format!("/api/presence?users={}", alice.name)).await;
        assert_eq!(answer.status, status, "a share of {share}: {}", answer.body);
        server.stop().await;
    }
}
