//! Removal of chats: deleted by an owner, or left by all members.

use netbit::client::{TcpClient, saying};
use netbit::domain::ids::ChatId;
use netbit::domain::message::ClientId;
use netbit::protocol::answer::{ListOrCount, ReceivedPacket};
use netbit::protocol::packet::MessagePacket;
use serde_json::{Value, json};

use crate::harness::{Person, TestServer, assert_problem, database, soon, until};

async fn chats(person: &Person) -> Vec<Value> {
    let list = person.get("/api/chats").await.body["items"].as_array().unwrap().clone();
    list.iter().map(|chat| chat["id"].clone()).collect()
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

/// Waits until the database holds nothing of a deleted chat but its row.
async fn await_purge(server: &TestServer, chat: ChatId) {
    let mut db = database::reader(server.path());
    let sql = format!(
        "SELECT (SELECT count(*) FROM messages WHERE chat_id = {chat})
              + (SELECT count(*) FROM chat_events WHERE chat_id = {chat})
              + (SELECT count(*) FROM removed_messages WHERE chat_id = {chat})
              + (SELECT count(*) FROM chat_participants WHERE chat_id = {chat}) AS value"
    );
    until(async || db.integer(&sql) == 0).await;
}

#[actix_web::test]
async fn chat_deletion_resets_the_chat_in_every_session() {
    let server = TestServer::with_limits(|limits| limits.purged_per_command = 2).await;
    let (alice, bob, eve) = (server.user("alice").await, server.user("bob").await, server.user("eve").await);
    let chat = alice.http.create_group("team", &["bob"]).await.unwrap();
    let other = bob.group(&[&alice]).await;
    let message = json!({"content": "hello", "client_id": "0190b6d2-7d3e-7c1a-9d2f-1a2b3c4d5e6f"});
    let messages = format!("/api/chats/{chat}/messages");
    assert_eq!(bob.post(&messages, message.clone()).await.status, 201);
    let path = format!("/api/chats/{chat}");
    assert_problem(&bob.delete(&path).await, 403, "forbidden");
    assert_problem(&eve.delete(&path).await, 404, "not_found");

    let mut session = bob.tcp().await;
    assert_eq!(alice.delete(&path).await.status, 204);
    let reset = next(&mut session, "Reset").await;
    assert_eq!((reset.chat_id, reset.head), (Some(chat), None));
    let pong = session.ask(MessagePacket { packet_type: "Ping".into(), ..Default::default() }).await.unwrap();
    let head = bob.get(&format!("/api/chats/{other}")).await.body["last_seq"].as_i64();
    assert_eq!(
        (pong.chats, pong.heads_sum),
        (ListOrCount::Count(1), head),
        "the sums cover the remaining chats"
    );
    for person in [&alice, &bob] {
        assert_eq!(chats(person).await, [json!(other.0)]);
        assert_problem(&person.get(&path).await, 404, "not_found");
    }
    // A retry of a committed message is not written again.
    for _ in 0..2 {
        assert_problem(&bob.post(&messages, message.clone()).await, 404, "not_found");
        await_purge(&server, chat).await;
    }
    let (mut again, welcome) = bob.tcp_welcomed().await;
    let resume = MessagePacket {
        packet_type: "Resume".into(),
        epoch: welcome.epoch.and_then(|epoch| u64::try_from(epoch).ok()),
        cursors: Some([(chat, 1)].into()),
        ..MessagePacket::default()
    };
    assert!(again.ask(resume).await.unwrap().success);
    assert_eq!(next(&mut again, "Reset").await.chat_id, Some(chat));

    let server = server.restart(|_| ()).await;
    let bob = server.login("bob").await;
    assert_eq!(chats(&bob).await, [json!(other.0)]);
    assert_problem(&bob.post(&messages, message).await, 404, "not_found");
    let next_chat = bob.group(&[]).await;
    assert!(next_chat.0 > chat.0, "an id is not used again");
    server.stop().await;
}

/// Regression: rows of a deleted chat stay until the purge reaches them, and a retry of their
/// messages succeeded meanwhile.
#[actix_web::test]
async fn retry_in_a_deleted_chat_is_not_found_before_the_purge() {
    let server = TestServer::with_limits(|limits| limits.purged_per_command = 1).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    let messages = format!("/api/chats/{chat}/messages");
    let message = |n: u8| {
        let client_id = format!("0190b6d2-7d3e-7c1a-9d2f-1a2b3c4d5e{n:02x}");
        json!({"content": n.to_string(), "client_id": client_id})
    };
    for n in 0..60 {
        assert_eq!(bob.post(&messages, message(n)).await.status, 201);
    }
    let mut session = alice.tcp().await;
    let kept = alice.patch(&format!("/api/chats/{chat}"), json!({"retention": 50})).await;
    assert_eq!(kept.status, 200, "{}", kept.body);
    while next(&mut session, "Event").await.kind.as_deref() != Some("trim") {}
    for n in [3, 59] {
        assert_eq!(bob.post(&messages, message(n)).await.status, 200, "it is a duplicate");
    }
    assert_eq!(alice.delete(&format!("/api/chats/{chat}")).await.status, 204);
    for n in [59, 3] {
        assert_problem(&bob.post(&messages, message(n)).await, 404, "not_found");
    }
    await_purge(&server, chat).await;
    assert_problem(&bob.post(&messages, message(3)).await, 404, "not_found");
    server.stop().await;
}

#[actix_web::test]
async fn deleted_channel_releases_its_name() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let channel = json!({"kind": "channel", "name": "News"});
    let made = alice.post("/api/chats", channel.clone()).await.body["id"].clone();
    assert_problem(&bob.post("/api/chats", channel.clone()).await, 409, "conflict");
    assert_eq!(alice.delete(&format!("/api/chats/{made}")).await.status, 204);
    assert_eq!(bob.get("/api/chats?joinable=true").await.body["items"], json!([]));
    assert_eq!(bob.post("/api/chats", channel).await.status, 201);
    let direct = alice.post("/api/chats", json!({"kind": "direct", "participants": ["bob"]})).await.body;
    assert_problem(&alice.delete(&format!("/api/chats/{}", direct["id"])).await, 403, "forbidden");
    server.stop().await;
}

/// Regression: the last member could not leave (409). Deactivated members do not count as members.
#[actix_web::test]
async fn last_member_leaves_and_the_chat_is_removed_later() {
    let server = TestServer::start().await;
    let (admin, alice, bob) =
        (server.admin("root").await, server.user("alice").await, server.user("bob").await);
    let (alone, with_bob) = (alice.group(&[]).await, alice.group(&[&bob]).await);
    let leave = |chat: ChatId| format!("/api/chats/{chat}/participants/alice");
    assert_problem(&alice.delete(&leave(with_bob)).await, 409, "conflict");
    assert_eq!(admin.patch("/api/admin/users/bob", json!({"active": false})).await.status, 200);
    for chat in [alone, with_bob] {
        assert_eq!(alice.delete(&leave(chat)).await.status, 204);
        assert_problem(&alice.get(&format!("/api/chats/{chat}")).await, 404, "not_found");
    }
    // An administrator can take over the chat until it is removed.
    assert_eq!(admin.post(&format!("/api/admin/chats/{with_bob}/take-over"), json!({})).await.status, 204);
    let reopened = admin.patch(&format!("/api/chats/{with_bob}"), json!({"archived": false})).await;
    assert_eq!((reopened.status, &reopened.body["archived"]), (200, &json!(false)));

    let server = server
        .restart(|config| {
            config.limits.empty_chat_seconds = 0;
            config.limits.trim_ms = 20;
        })
        .await;
    await_purge(&server, alone).await;
    let admin = server.login("root").await;
    let path = format!("/api/admin/chats/{alone}/take-over");
    assert_problem(&admin.post(&path, json!({})).await, 404, "not_found");
    assert_eq!(chats(&admin).await, [json!(with_bob.0)]);
    server.stop().await;
}

/// Regression: a post to a deactivated user was acknowledged, although no user could read it.
#[actix_web::test]
async fn post_to_a_deactivated_user_is_refused_on_every_transport() {
    let server = TestServer::start().await;
    let (admin, bob) = (server.admin("root").await, server.user("bob").await);
    let made = admin.post("/api/chats", json!({"kind": "direct", "participants": ["bob"]})).await;
    let chat = ChatId(made.body["id"].as_i64().unwrap());
    assert_eq!(admin.say(chat, "hello").await.status, 201);
    assert_eq!(bob.say(chat, "hi").await.status, 201);
    let mut session = admin.tcp().await;
    assert_eq!(admin.patch("/api/admin/users/bob", json!({"active": false})).await.status, 200);
    let refused = admin.say(chat, "are you there?").await;
    assert_problem(&refused, 403, "forbidden");
    assert!(refused.body["detail"].as_str().unwrap().contains("deactivated"), "{}", refused.body);
    let nack = session.ask(saying(chat, ClientId::fresh(), "are you there?")).await.unwrap();
    assert_eq!(nack.code.as_deref(), Some("forbidden"));
    assert!(nack.error.unwrap().contains("deactivated"));
    let listed = admin.get("/api/chats").await.body["items"][0].clone();
    for shown in [admin.get(&format!("/api/chats/{chat}")).await.body, listed] {
        assert_eq!((&shown["active"], &shown["peer"]), (&json!(false), &json!("bob")));
    }
    assert_eq!(admin.get("/api/users/bob").await.body["active"], false);
    assert_eq!(admin.patch("/api/admin/users/bob", json!({"active": true})).await.status, 200);
    assert_eq!(admin.say(chat, "welcome back").await.status, 201);
    assert_eq!(admin.get(&format!("/api/chats/{chat}")).await.body.get("active"), None);
    server.stop().await;
}
