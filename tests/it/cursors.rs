//! Read and delivery cursors of all participants, on all their devices.

use netbit::client::TcpClient;
use netbit::domain::ids::{ChatId, Seq};
use netbit::protocol::answer::ReceivedPacket;
use netbit::protocol::packet::MessagePacket;
use serde_json::{Value, json};

use crate::harness::{Person, TestServer, soon, until};

fn mark(chat: ChatId, read: Option<u64>, delivered: Option<u64>) -> MessagePacket {
    MessagePacket {
        packet_type: "Mark".into(),
        chat_id: Some(chat),
        read_seq: read,
        delivered_seq: delivered,
        ..MessagePacket::default()
    }
}

/// Returns the next `Marks` packet that satisfies `wanted`.
async fn marks(session: &mut TcpClient, wanted: impl Fn(&ReceivedPacket) -> bool) -> ReceivedPacket {
    loop {
        let packet = soon(session.any()).await.unwrap();
        if packet.packet_type == "Marks" && wanted(&packet) {
            return packet;
        }
    }
}

/// Returns (read_seq, delivered_seq) of a participant, as the chat's page shows them.
async fn cursors(reader: &Person, chat: ChatId, of: &Person) -> (Value, Value) {
    let people = reader.get(&format!("/api/chats/{chat}/participants")).await.body["items"].clone();
    let person = people.as_array().unwrap().iter().find(|p| p["user_id"] == of.id.0).unwrap().clone();
    (person["read_seq"].clone(), person["delivered_seq"].clone())
}

async fn unread(person: &Person, chat: ChatId) -> (Seq, i64) {
    let chat = person.get(&format!("/api/chats/{chat}")).await.body;
    (chat["read_seq"].as_i64().unwrap(), chat["unread_count"].as_i64().unwrap())
}

#[actix_web::test]
async fn mark_with_request_id_is_acknowledged_and_pushed_to_all() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    for text in ["one", "two", "three"] {
        alice.say(chat, text).await;
    }
    let (mut phone, mut desk, mut sender) = (bob.tcp().await, bob.tcp().await, alice.tcp().await);
    let ack = phone.request(mark(chat, Some(4), None)).await.unwrap();
    assert_eq!((ack.seq, ack.message_id), (Some(4), None));
    assert_eq!(unread(&bob, chat).await, (4, 1), "an acknowledged mark is readable");
    let own = marks(&mut desk, |packet| packet.unread_count.is_some()).await;
    assert_eq!((own.chat_id, own.marks[0].read_seq, own.unread_count), (Some(chat), 4, Some(1)));
    let receipt = marks(&mut sender, |_| true).await;
    assert_eq!((receipt.marks.len(), receipt.marks[0].user_id), (1, bob.id));
    assert_eq!((receipt.marks[0].read_seq, receipt.marks[0].delivered_seq), (4, 4), "read is delivered");
    assert_eq!(receipt.unread_count, None, "unread counts of others are not sent");

    let back = phone.request(mark(chat, Some(3), Some(1))).await.unwrap();
    assert_eq!(back.seq, Some(4), "a cursor never moves back");
    let beyond = phone.ask(mark(chat, Some(9), None)).await.unwrap();
    assert_eq!((beyond.success, beyond.code.as_deref()), (false, Some("bad_request")));
    let nothing = phone.ask(mark(chat, None, None)).await.unwrap();
    assert_eq!(nothing.code.as_deref(), Some("bad_request"));
    let eve = server.user("eve").await;
    let stranger = eve.tcp().await.ask(mark(chat, Some(1), None)).await.unwrap();
    assert_eq!(stranger.code.as_deref(), Some("not_found"));
    server.stop().await;
}

#[actix_web::test]
async fn marks_without_a_request_id_are_merged_and_written_soon() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    for n in 0..50 {
        alice.say(chat, &n.to_string()).await;
    }
    let before = commands(&server, "MergeMarks").await;
    let (mut phone, mut desk) = (bob.tcp().await, bob.tcp().await);
    for seq in (3..=52).rev() {
        phone.writer.send(&mark(chat, Some(seq), None)).await.unwrap();
    }
    let own = marks(&mut desk, |_| true).await;
    assert_eq!((own.marks[0].read_seq, own.unread_count), (52, Some(0)), "the highest mark wins");
    let written = commands(&server, "MergeMarks").await - before;
    assert!(written <= 2, "50 marks were {written} commands");
    server.stop().await;
}

/// Returns how many commands of this name the writer has handled.
async fn commands(server: &TestServer, name: &str) -> u64 {
    let (_, body) = server.operations("/actors").await;
    let actors: Value = serde_json::from_str(&body).unwrap();
    let find = |list: &Value, key: &str, name: &str| {
        list.as_array().unwrap().iter().find(|entry| entry[key] == name).unwrap().clone()
    };
    let writer = find(&actors["actors"], "actor", "writer");
    find(&writer["messages"], "message", name)["handled"].as_u64().unwrap()
}

#[actix_web::test]
async fn delivery_mark_is_written_later_or_at_session_end() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    alice.say(chat, "hello").await;
    let mut phone = bob.tcp().await;
    phone.writer.send(&mark(chat, None, Some(3))).await.unwrap();
    phone.request(MessagePacket { packet_type: "Ping".into(), ..MessagePacket::default() }).await.unwrap();
    assert_eq!(cursors(&alice, chat, &bob).await, (json!(2), json!(2)), "not written immediately");
    drop(phone);
    until(async || cursors(&alice, chat, &bob).await == (json!(2), json!(3))).await;
    server.stop().await;
}

#[actix_web::test]
async fn unread_excludes_deleted_messages_and_those_before_join() {
    let server = TestServer::start().await;
    let (alice, bob, carol) =
        (server.user("alice").await, server.user("bob").await, server.user("carol").await);
    let chat = alice.group(&[&bob]).await;
    let mut ids = Vec::new();
    for n in 0..4 {
        ids.push(alice.say(chat, &n.to_string()).await.body["id"].as_i64().unwrap());
    }
    assert_eq!(unread(&bob, chat).await.1, 4);
    alice.delete(&format!("/api/chats/{chat}/messages/{}", ids[3])).await;
    bob.post(&format!("/api/chats/{chat}/read"), json!({"read_seq": 3})).await;
    assert_eq!(unread(&bob, chat).await, (3, 2));
    alice.delete(&format!("/api/chats/{chat}/messages/{}", ids[0])).await;
    assert_eq!(unread(&bob, chat).await.1, 2, "a message that was read is not subtracted again");
    alice.put(&format!("/api/chats/{chat}/participants/carol"), json!({})).await;
    assert_eq!(unread(&carol, chat).await.1, 0, "messages before the join are not unread");
    alice.say(chat, "welcome").await;
    assert_eq!(unread(&carol, chat).await.1, 1);
    // The counts are the same after a start from the database.
    let server = server.restart(|_| ()).await;
    let (bob, carol) = (server.login("bob").await, server.login("carol").await);
    assert_eq!((unread(&bob, chat).await.1, unread(&carol, chat).await.1), (3, 1));
    server.stop().await;
}

#[actix_web::test]
async fn large_chat_stores_receipts_but_does_not_push_them() {
    let server = TestServer::with_limits(|limits| {
        limits.receipts_participants = 2;
        limits.receipts_ms = 20;
    })
    .await;
    let (alice, bob, carol) =
        (server.user("alice").await, server.user("bob").await, server.user("carol").await);
    let (large, small) = (alice.group(&[&bob, &carol]).await, alice.group(&[&bob]).await);
    for chat in [large, small] {
        alice.say(chat, "hello").await;
    }
    let (mut phone, mut sender) = (bob.tcp().await, alice.tcp().await);
    let read = async |chat: ChatId| {
        let (seq, _) = unread(&alice, chat).await;
        (chat, u64::try_from(seq).unwrap())
    };
    let (of_large, of_small) = (read(large).await, read(small).await);
    for (chat, seq) in [of_large, of_small] {
        phone.request(mark(chat, Some(seq), None)).await.unwrap();
        assert_eq!(cursors(&alice, chat, &bob).await, (json!(seq), json!(seq)));
    }
    // Receipts leave the server in the order of the marks: the first ones are of the small chat.
    let pushed = marks(&mut sender, |_| true).await;
    assert_eq!((pushed.chat_id, pushed.marks.len()), (Some(small), 1), "{pushed:?}");
    server.stop().await;
}

#[actix_web::test]
async fn notification_reaches_every_session_of_its_user() {
    // More sessions than hubs: a hub has two of Bob's sessions, or one of his and one of Alice's.
    let server = TestServer::with_limits(|limits| limits.session_threads = 2).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    let mut devices = [bob.tcp().await, bob.tcp().await, bob.tcp().await];
    let mut others = [alice.tcp().await, alice.tcp().await];
    let message = alice.say(chat, "hello @bob").await.body["id"].as_i64().unwrap();
    for session in &mut devices {
        let notification = loop {
            let packet = soon(session.any()).await.unwrap();
            if packet.packet_type == "Notification" {
                break serde_json::to_value(packet.notification.unwrap()).unwrap();
            }
        };
        assert_eq!(
            (&notification["kind"], &notification["message_id"]),
            (&json!("mention"), &json!(message))
        );
        let listed = bob.get("/api/notifications?unread=true").await.body["items"][0].clone();
        assert_eq!(notification, listed, "the same as over REST");
    }
    for session in &mut others {
        let ping = MessagePacket { packet_type: "Ping".into(), ..MessagePacket::default() };
        session.writer.send(&ping).await.unwrap();
        // The Pong follows everything that her hub delivered before.
        loop {
            let packet = soon(session.any()).await.unwrap();
            assert_ne!(packet.packet_type, "Notification", "other users do not receive it");
            if packet.packet_type == "Pong" {
                break;
            }
        }
    }
    server.stop().await;
}

/// Bob has three unread messages and sends one. His own message is not unread, and the New line
/// stays where it is.
#[actix_web::test]
async fn own_message_is_not_unread_and_keeps_the_new_line() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    let mut session = bob.tcp().await;
    assert_eq!(bob.say(chat, "first").await.status, 201);
    assert_eq!(unread(&bob, chat).await, (3, 0), "no unread messages of others: the cursor moves");
    for text in ["one", "two", "three"] {
        alice.say(chat, text).await;
    }
    assert_eq!(unread(&bob, chat).await, (3, 3));
    assert_eq!(bob.say(chat, "over REST").await.status, 201);
    assert!(session.say(chat, "over TCP").await.unwrap().success);
    assert_eq!(unread(&bob, chat).await, (3, 3));
    assert_eq!(bob.get("/api/chats").await.body["items"][0]["unread_count"], 3);
    alice.say(chat, "four").await;
    assert_eq!(unread(&bob, chat).await, (3, 4));
    // Own messages that are deleted are not subtracted a second time.
    let own = bob.http.messages(chat, "?limit=100").await.unwrap().0;
    let deleted = own.iter().find(|message| message.content == "over TCP").unwrap().id;
    assert_eq!(bob.delete(&format!("/api/chats/{chat}/messages/{deleted}")).await.status, 204);
    assert_eq!(unread(&bob, chat).await, (3, 4));

    let server = server.restart(|_| ()).await;
    let (alice, bob) = (server.login("alice").await, server.login("bob").await);
    assert_eq!(unread(&bob, chat).await, (3, 4), "a restart changes nothing");
    let ack = bob.post(&format!("/api/chats/{chat}/read"), json!({"read_seq": 5})).await;
    assert_eq!((ack.status, unread(&bob, chat).await), (200, (5, 2)));
    assert_eq!(bob.post(&format!("/api/chats/{chat}/read"), json!({})).await.status, 200);
    assert_eq!(bob.say(chat, "read all").await.body["seq"], 11);
    assert_eq!(unread(&bob, chat).await, (11, 0));
    assert_eq!(unread(&alice, chat).await.1, 3, "bob's messages since alice wrote last are unread to her");
    server.stop().await;
}

#[actix_web::test]
async fn marking_unread_and_marking_all_chats_read_move_cursors() {
    let server = TestServer::with_limits(|limits| limits.marks_per_command = 2).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let mut chats = Vec::new();
    for _ in 0..5 {
        let chat = alice.group(&[&bob]).await;
        alice.say(chat, "one").await;
        alice.say(chat, "two").await;
        chats.push(chat);
    }
    let mut session = bob.tcp().await;
    assert_eq!(bob.post("/api/chats/read", json!({})).await.status, 204);
    for chat in &chats {
        assert_eq!(unread(&bob, *chat).await, (4, 0));
    }
    // A user who is added has read the join event and gets a notification of it.
    alice.group(&[&bob]).await;
    let unread_notices = async || bob.get("/api/notifications?unread=true").await.body["items"].clone();
    assert_eq!(unread_notices().await.as_array().unwrap().len(), 1);
    assert_eq!(bob.post("/api/chats/read", json!({})).await.status, 204);
    assert_eq!(unread_notices().await, json!([]), "it is read with all chats");
    let path = format!("/api/chats/{}/unread", chats[0]);
    bob.say(chats[0], "three").await;
    let marked = bob.post(&path, json!({"from_seq": 4})).await;
    assert_eq!((marked.status, &marked.body["read_seq"]), (200, &json!(3)));
    assert_eq!(unread(&bob, chats[0]).await, (3, 1), "the user's own message does not count");
    let pushed = marks(&mut session, |packet| packet.unread_count == Some(1)).await;
    assert_eq!((pushed.chat_id, pushed.marks[0].read_seq), (Some(chats[0]), 3));
    let packet = MessagePacket {
        packet_type: "MarkUnread".into(),
        chat_id: Some(chats[1]),
        from_seq: Some(3),
        ..MessagePacket::default()
    };
    assert_eq!(session.request(packet.clone()).await.unwrap().seq, Some(2));
    assert_eq!(unread(&bob, chats[1]).await, (2, 2));
    for bad in [Some(0), Some(99), None] {
        let refused = session.ask(MessagePacket { from_seq: bad, ..packet.clone() }).await.unwrap();
        assert_eq!(refused.code.as_deref(), Some("bad_request"));
    }
    let all = MessagePacket { packet_type: "MarkAllRead".into(), ..MessagePacket::default() };
    assert!(session.request(all).await.unwrap().success);
    for chat in &chats {
        assert_eq!(unread(&bob, *chat).await.1, 0);
    }
    let eve = server.user("eve").await;
    assert_eq!(eve.post(&path, json!({"from_seq": 1})).await.status, 404);
    server.stop().await;
}

#[actix_web::test]
async fn hidden_direct_chat_reappears_with_the_next_message() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let made = alice.post("/api/chats", json!({"kind": "direct", "participants": ["bob"]})).await;
    let chat = ChatId(made.body["id"].as_i64().unwrap());
    let hidden = async |person: &Person| {
        person.get("/api/chats").await.body["items"][0].get("hidden").cloned().unwrap_or(Value::Null)
    };
    alice.say(chat, "one").await;
    let (mut session, path) = (bob.tcp().await, format!("/api/chats/{chat}/hidden"));
    assert_eq!(bob.put(&path, json!({})).await.status, 204);
    assert_eq!((hidden(&bob).await, hidden(&alice).await), (json!(true), Value::Null));
    assert!(marks(&mut session, |packet| packet.hidden == Some(true)).await.unread_count.is_some());
    assert_eq!(alice.say(chat, "two").await.status, 201);
    assert_eq!(hidden(&bob).await, Value::Null);
    let hide = |remove| MessagePacket {
        packet_type: "Hide".into(),
        chat_id: Some(chat),
        remove,
        ..MessagePacket::default()
    };
    assert!(session.request(hide(None)).await.unwrap().success);
    assert_eq!(hidden(&bob).await, true);
    assert!(session.request(hide(Some(true))).await.unwrap().success);
    assert_eq!(hidden(&bob).await, Value::Null);
    // To create it again is to open it: no client needs to show it in a second step.
    assert_eq!(bob.put(&path, json!({})).await.status, 204);
    let opened = bob.post("/api/chats", json!({"kind": "direct", "participants": ["alice"]})).await;
    assert_eq!((opened.status, &opened.body["id"], opened.body.get("hidden")), (200, &json!(chat), None));
    assert_eq!(hidden(&bob).await, Value::Null);
    let group = alice.group(&[&bob]).await;
    assert_eq!(bob.put(&format!("/api/chats/{group}/hidden"), json!({})).await.status, 403);
    server.stop().await;
}

/// Regression: leaving a chat and joining it again reset the notification level.
#[actix_web::test]
async fn mute_survives_leaving_and_rejoining() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    let level = json!({"level": "none"});
    assert_eq!(bob.put(&format!("/api/chats/{chat}/notify"), level).await.status, 204);
    let person = format!("/api/chats/{chat}/participants/bob");
    assert_eq!(bob.delete(&person).await.status, 204);
    assert_eq!(alice.put(&person, json!({})).await.status, 201);
    assert_eq!(bob.get("/api/chats").await.body["items"][0]["notify"], "none");
    server.stop().await;
}

/// Regression: each request scanned up to 1,000 messages in the writer, without a rate limit.
#[actix_web::test]
async fn marking_unread_counts_against_the_message_rate() {
    let server = TestServer::with_limits(|limits| {
        limits.messages_burst = 3;
        limits.messages_per_second = 1;
    })
    .await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    let seq = alice.say(chat, "hello").await.body["seq"].as_i64().unwrap();
    let (read, unread) = (format!("/api/chats/{chat}/read"), format!("/api/chats/{chat}/unread"));
    let mut statuses = Vec::new();
    for _ in 0..20 {
        assert_eq!(bob.post(&read, json!({})).await.status, 200);
        statuses.push(bob.post(&unread, json!({"from_seq": seq})).await.status);
    }
    assert_eq!(statuses[..3], [200, 200, 200]);
    assert!(statuses.contains(&429), "{statuses:?}");
    server.stop().await;
}
