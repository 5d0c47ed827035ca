//! Retention: chats that keep their newest messages only.

use netbit::client::TcpClient;
use netbit::domain::ids::ChatId;
use netbit::protocol::answer::ReceivedPacket;
use netbit::protocol::packet::MessagePacket;
use serde_json::{Value, json};

use crate::harness::{Person, TestServer, assert_problem, database, soon, until};

fn rows(server: &TestServer, table: &str, chat: ChatId) -> i64 {
    let sql = format!("SELECT count(*) AS value FROM {table} WHERE chat_id = {chat}");
    database::reader(server.path()).integer(&sql)
}

/// Returns the next packet of this type.
async fn next(session: &mut TcpClient, packet_type: &str) -> ReceivedPacket {
    loop {
        let packet = soon(session.any()).await.unwrap();
        if packet.packet_type == packet_type {
            return packet;
        }
    }
}

/// Waits for the event of a trim and returns its seq.
async fn await_trim(session: &mut TcpClient) -> i64 {
    loop {
        let event = next(session, "Event").await;
        if event.kind.as_deref() == Some("trim") {
            return event.seq.unwrap();
        }
    }
}

async fn set_retention(owner: &Person, chat: ChatId, count: i64) {
    let set = owner.patch(&format!("/api/chats/{chat}"), json!({"retention": count})).await;
    assert_eq!(set.status, 200, "{}", set.body);
}

fn numbered_message(n: u8) -> Value {
    json!({"content": format!("message {n}"), "client_id": format!("0190b6d2-7d3e-7c1a-9d2f-1a2b3c4d5e{n:02x}")})
}

/// Regression: pins and thread roots were deleted, and each message left a row and an event.
#[actix_web::test]
async fn trim_keeps_pins_and_active_threads_and_makes_one_event() {
    let server = TestServer::with_limits(|limits| limits.trimmed_per_command = 7).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    let path = format!("/api/chats/{chat}/messages");
    let mut ids = Vec::new();
    for n in 0..30 {
        ids.push(alice.post(&path, numbered_message(n)).await.body["id"].clone());
    }
    assert_eq!(alice.put(&format!("{path}/{}/pin", ids[3]), json!({})).await.status, 204);
    let edit = json!({"content": "secret"});
    assert_eq!(alice.patch(&format!("{path}/{}", ids[7]), edit).await.status, 200);
    let reply = json!({"content": "answer", "reply_to": ids[5]});
    assert_eq!(bob.post(&path, reply).await.status, 201);
    let mut session = bob.tcp().await;
    set_retention(&alice, chat, 3).await;
    await_trim(&mut session).await;
    let kept = ["message 3", "message 5", "message 28", "message 29", "answer"];
    assert_eq!(bob.contents(chat).await, kept);
    assert_eq!((rows(&server, "messages", chat), rows(&server, "removed_messages", chat)), (5, 26));
    let pinned = bob.get(&format!("{path}?pinned=true")).await.body;
    assert_eq!(pinned["items"][0]["id"], ids[3]);
    let thread = bob.get(&format!("{path}?thread={}", ids[5])).await.body;
    assert_eq!(thread["items"].as_array().unwrap().len(), 2);
    let events = bob.get(&format!("/api/chats/{chat}/events?limit=100")).await.body;
    assert!(!events.to_string().contains("secret"), "a later edit shows no removed content: {events}");
    assert_eq!(events.to_string().matches("\"trim\"").count(), 1);
    // The unread messages lie above the trimmed range.
    let shown = bob.get(&format!("/api/chats/{chat}")).await.body;
    assert_eq!(shown["unread_count"], 2);

    let server = server.restart(|_| ()).await;
    let (alice, bob) = (server.login("alice").await, server.login("bob").await);
    assert_eq!(bob.contents(chat).await, kept);
    // A retry of a removed message is recognized, and its client id cannot be used again.
    let again = alice.post(&path, numbered_message(0)).await;
    assert_eq!((again.status, &again.body["id"], &again.body["deleted"]), (200, &ids[0], &json!(true)));
    let other = json!({"content": "other", "client_id": numbered_message(0)["client_id"]});
    assert_eq!(alice.post(&path, other).await.status, 422);
    let newer = bob.post(&path, json!({"content": "new"})).await.body;
    assert!(newer["id"].as_i64() > Some(31), "ids are not used again: {newer}");
    assert_eq!(bob.contents(chat).await.len(), 6);
    server.stop().await;
}

/// Waits until a chat shows exactly these messages.
async fn until_contents(person: &Person, chat: ChatId, contents: &[&str]) {
    until(async || person.contents(chat).await == contents).await;
}

/// Regression: messages that were pinned or had replies at the time of the trim stayed permanently.
#[actix_web::test]
async fn kept_message_is_trimmed_after_its_pin_and_replies_are_gone() {
    let server = TestServer::with_limits(|limits| {
        limits.trimmed_per_command = 2;
        limits.trim_ms = 20;
    })
    .await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    let path = format!("/api/chats/{chat}/messages");
    let mut ids = Vec::new();
    for content in ["pinned", "first", "second", "old", "older", "oldest"] {
        ids.push(alice.say(chat, content).await.body["id"].clone());
    }
    assert_eq!(alice.put(&format!("{path}/{}/pin", ids[0]), json!({})).await.status, 204);
    let reply = async |to: &Value, content: &str| {
        let answer = bob.post(&path, json!({"content": content, "reply_to": to})).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.body["id"].clone()
    };
    let answer = reply(&ids[1], "answer").await;
    reply(&ids[2], "other answer").await;
    let mut session = bob.tcp().await;
    set_retention(&alice, chat, 2).await;
    await_trim(&mut session).await;
    assert_eq!(bob.contents(chat).await, ["pinned", "first", "second", "answer", "other answer"]);
    assert_eq!(alice.delete(&format!("{path}/{}/pin", ids[0])).await.status, 204);
    await_trim(&mut session).await;
    assert_eq!(bob.contents(chat).await, ["first", "second", "answer", "other answer"]);
    assert_eq!(bob.delete(&format!("{path}/{answer}")).await.status, 204);
    await_trim(&mut session).await;
    assert_eq!(bob.contents(chat).await, ["second", "", "other answer"]);
    // The thread of the deleted reply has lost its first message, so the next reply starts a new
    // thread.
    reply(&answer, "again").await;
    until_contents(&bob, chat, &["second", "", "other answer", "again"]).await;
    for content in ["new", "newer"] {
        alice.say(chat, content).await;
    }
    until_contents(&bob, chat, &["new", "newer"]).await;
    assert_eq!((rows(&server, "messages", chat), rows(&server, "removed_messages", chat)), (2, 9));
    server.stop().await;
}

/// Regression: a trim removed the notification of being added, and mentions in messages that
/// stayed.
#[actix_web::test]
async fn trim_removes_notifications_of_removed_messages_only() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    let path = format!("/api/chats/{chat}/messages");
    let mut ids = Vec::new();
    for content in ["@bob gone", "@bob pinned", "@bob gone too", "plain"] {
        ids.push(alice.say(chat, content).await.body["id"].clone());
    }
    assert_eq!(alice.put(&format!("{path}/{}/pin", ids[1]), json!({})).await.status, 204);
    let mut session = bob.tcp().await;
    set_retention(&alice, chat, 1).await;
    await_trim(&mut session).await;
    let listed = bob.get("/api/notifications").await.body;
    let mut kinds: Vec<_> =
        listed["items"].as_array().unwrap().iter().map(|item| item["kind"].clone()).collect();
    kinds.sort_by_key(Value::to_string);
    assert_eq!(kinds, ["added", "mention"], "{listed}");
    assert!(listed.to_string().contains(&format!("\"message_id\":{}", ids[1])), "{listed}");
    server.stop().await;
}

/// By the rule of PROTOCOL.md, a client drops events that follow a gap. A client from below the gap
/// must therefore get `Limited`.
#[actix_web::test]
async fn resume_across_a_trimmed_range_is_limited() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    for n in 0..20 {
        alice.say(chat, &n.to_string()).await;
    }
    let mut watching = bob.tcp().await;
    set_retention(&alice, chat, 5).await;
    let head = await_trim(&mut watching).await;
    let (mut session, welcome) = bob.tcp_welcomed().await;
    let resume = |last: u64| MessagePacket {
        packet_type: "Resume".into(),
        epoch: welcome.epoch.and_then(|epoch| u64::try_from(epoch).ok()),
        cursors: Some([(chat, last)].into()),
        ..MessagePacket::default()
    };
    // Two joins and fifteen messages lie below the end of the gap.
    for last in [0, 5, 16] {
        assert!(session.ask(resume(last)).await.unwrap().success);
        let limited = next(&mut session, "Limited").await;
        let from = i64::try_from(last).unwrap() + 1;
        assert_eq!((limited.chat_id, limited.from, limited.head), (Some(chat), Some(from), Some(head)));
    }
    alice.say(chat, "live").await;
    assert_eq!(next(&mut session, "Event").await.seq, Some(head + 1), "it is live above the head");
    assert!(session.ask(resume(17)).await.unwrap().success);
    for seq in 18..=head + 1 {
        assert_eq!(next(&mut session, "Event").await.seq, Some(seq));
    }
    assert_eq!(next(&mut session, "Synced").await.seq, Some(head + 1));
    let page = bob.get(&format!("/api/chats/{chat}/events?after_seq=0&limit=100")).await.body;
    let seqs: Vec<_> = page["items"].as_array().unwrap().iter().map(|event| event["seq"].as_i64()).collect();
    assert_eq!((seqs.first(), seqs.last()), (Some(&Some(1)), Some(&Some(head + 1))), "joins stay: {seqs:?}");
    let pages = bob.get(&format!("/api/chats/{chat}/messages?limit=6")).await.body;
    // A later round of the retention may have deleted one more.
    let kept = pages["items"].as_array().unwrap().len();
    assert!((5..=6).contains(&kept) && pages["has_more"] == false, "{pages}");
    assert_problem(&bob.get(&format!("/api/chats/{chat}/messages?limit=0")).await, 400, "bad_request");
    server.stop().await;
}
