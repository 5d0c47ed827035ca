//! Changes to messages after they were sent: edits, deletion, reactions, pins, threads.

use netbit::client::{TcpClient, TcpError};
use netbit::domain::ids::{ChatId, MessageId};
use netbit::protocol::answer::ReceivedPacket;
use netbit::protocol::packet::{MessagePacket, PacketMessage};
use serde_json::{Value, json};

use crate::harness::{PASSWORD, Person, TestServer, assert_problem, database, soon};

async fn event(client: &mut TcpClient, kind: &str) -> ReceivedPacket {
    let packet = soon(client.pushed()).await.unwrap();
    assert_eq!((packet.packet_type.as_str(), packet.kind.as_deref()), ("Event", Some(kind)), "{packet:?}");
    packet
}

/// Sends a message and returns its path and its id.
async fn posted_message(person: &Person, chat: ChatId, content: &str) -> (String, i64) {
    let answer = person.say(chat, content).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    let id = answer.body["id"].as_i64().unwrap();
    (format!("/api/chats/{chat}/messages/{id}"), id)
}

async fn events(person: &Person, chat: ChatId) -> Vec<Value> {
    let answer = person.get(&format!("/api/chats/{chat}/events?after_seq=0&limit=100")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body["items"].as_array().unwrap().clone()
}

async fn messages(person: &Person, chat: ChatId, query: &str) -> Vec<Value> {
    let answer = person.get(&format!("/api/chats/{chat}/messages{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body["items"].as_array().unwrap().clone()
}

fn ids(messages: &[Value]) -> Vec<i64> {
    messages.iter().map(|message| message["id"].as_i64().unwrap()).collect()
}

fn packet(packet_type: &str, chat: ChatId, message: i64) -> MessagePacket {
    MessagePacket {
        packet_type: packet_type.into(),
        chat_id: Some(chat),
        message_id: Some(MessageId(message)),
        ..MessagePacket::default()
    }
}

fn edit(chat: ChatId, message: i64, content: &str) -> MessagePacket {
    let body = PacketMessage { content: Some(content.into()), ..PacketMessage::default() };
    MessagePacket { message: Some(body), ..packet("EditMessage", chat, message) }
}

fn refused(answer: Result<ReceivedPacket, TcpError>) -> String {
    match answer {
        Err(TcpError::Refused(nack)) => nack.code.unwrap(),
        other => panic!("{other:?}"),
    }
}

#[actix_web::test]
async fn every_message_change_is_one_event_with_the_next_seq() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    let (path, id) = posted_message(&alice, chat, "helo").await;
    let mut desk = bob.tcp().await;
    let mut own = alice.tcp().await;

    let ack = own.request(edit(chat, id, "hello")).await.unwrap();
    assert_eq!((ack.message_id, ack.seq, ack.duplicate), (Some(MessageId(id)), Some(4), None));
    let seen = event(&mut desk, "edit").await;
    let message = seen.message.unwrap();
    assert_eq!((seen.seq, message.content.as_str(), message.updated_seq), (Some(4), "hello", Some(4)));
    assert!(message.edited_at.is_some());
    assert_eq!((message.seq, message.id), (3, MessageId(id)), "it keeps its position");

    let ack = desk.request(MessagePacket { emoji: Some("+1".into()), ..packet("React", chat, id) }).await;
    assert_eq!(ack.unwrap().seq, Some(5));
    assert_eq!(bob.put(&format!("{path}/reactions/%F0%9F%8E%89"), json!({})).await.status, 204);
    assert_eq!(alice.put(&format!("{path}/pin"), json!({})).await.status, 204);
    let undo = MessagePacket { remove: Some(true), ..packet("Pin", chat, id) };
    assert_eq!(desk.request(undo).await.unwrap().seq, Some(8));
    // "+" as a client may encode it in a path.
    assert_eq!(bob.delete(&format!("{path}/reactions/%2B1")).await.status, 204);
    assert_eq!(own.request(packet("DeleteMessage", chat, id)).await.unwrap().seq, Some(10));

    let listed = events(&bob, chat).await;
    let kinds: Vec<_> = listed.iter().map(|event| event["kind"].as_str().unwrap()).collect();
    let changes = ["edit", "react", "react", "pin", "unpin", "unreact", "delete"];
    assert_eq!(kinds, [&["join", "join", "message"], &changes[..]].concat());
    for (at, event) in listed.iter().enumerate() {
        assert_eq!(event["seq"], json!(at + 1));
    }
    assert_eq!(
        (&listed[4]["emoji"], &listed[5]["emoji"], &listed[8]["emoji"]),
        (&json!("+1"), &json!("🎉"), &json!("+1"))
    );
    assert!(listed[4..].iter().all(|event| event["message_id"] == json!(id)));
    for kind in &changes[1..] {
        event(&mut desk, kind).await;
    }
    server.stop().await;
}

#[actix_web::test]
async fn message_state_is_equal_from_memory_and_database() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    let (path, id) = posted_message(&alice, chat, "v1").await;
    assert_eq!(alice.patch(&path, json!({"content": "v2", "metadata": {"k": 1}})).await.status, 200);
    let answer = alice.patch(&path, json!({"content": "v3"})).await;
    assert_eq!((&answer.body["content"], &answer.body["metadata"]), (&json!("v3"), &json!({"k": 1})));
    for person in [&bob, &alice] {
        assert_eq!(person.put(&format!("{path}/reactions/:tada:"), json!({})).await.status, 204);
    }
    assert_eq!(bob.put(&format!("{path}/pin"), json!({})).await.status, 204);
    let in_memory = (messages(&bob, chat, "").await, events(&bob, chat).await);
    let message = &in_memory.0[0];
    assert_eq!((&message["content"], &message["pinned"]), (&json!("v3"), &json!(true)));
    assert_eq!(message["reactions"], json!([{"emoji": ":tada:", "user_ids": [bob.id, alice.id]}]));
    assert_eq!(message["updated_seq"], json!(8));
    assert_eq!(in_memory.1[3]["message"], *message, "an old edit shows the message as it is now");

    // The window holds one message, so everything else is read from the database.
    for n in 0..3 {
        posted_message(&alice, chat, &format!("later {n}")).await;
    }
    let server = server.restart(|config| config.cache.window = 1).await;
    let bob = server.login("bob").await;
    assert_eq!(messages(&bob, chat, "?before_seq=4").await, in_memory.0);
    assert_eq!(events(&bob, chat).await[..8], in_memory.1[..]);
    assert_eq!(ids(&messages(&bob, chat, "?pinned=true").await), [id]);
    server.stop().await;
}

#[actix_web::test]
async fn deleted_message_loses_content_and_keeps_seq_and_client_id() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    let body = json!({"content": "secret one", "metadata": {"k": "secret three"}});
    let key = [("idempotency-key", "0190b6d2-7d3e-7c1a-9d2f-1a2b3c4d5e6f")];
    let list = format!("/api/chats/{chat}/messages");
    let first = alice.http.send(reqwest::Method::POST, &list, Some(&body), &key).await.unwrap();
    let path = format!("/api/chats/{chat}/messages/{}", first.body["id"]);
    assert_eq!(alice.patch(&path, json!({"content": "secret two"})).await.status, 200);
    assert_eq!(bob.put(&format!("{path}/reactions/+1"), json!({})).await.status, 204);
    assert_eq!(alice.delete(&path).await.status, 204);
    assert_eq!(alice.delete(&path).await.status, 204, "the second deletion has no effect");

    let server = server.restart(|_| {}).await;
    let bob = server.login("bob").await;
    let (shown_messages, shown_events) = (messages(&bob, chat, "").await, events(&bob, chat).await);
    assert!(!format!("{shown_messages:?} {shown_events:?}").contains("secret"));
    let shown = (&shown_messages[0]["deleted"], &shown_messages[0]["content"], &shown_messages[0]["seq"]);
    assert_eq!(shown, (&json!(true), &json!(""), &json!(3)));
    assert_eq!(shown_events.last().unwrap()["kind"], json!("delete"));
    assert_eq!(shown_events.len(), 6, "deleting twice is one event");

    let alice = server.login("alice").await;
    for answer in [
        alice.patch(&path, json!({"content": "back"})).await,
        alice.put(&format!("{path}/pin"), json!({})).await,
    ] {
        assert_problem(&answer, 404, "not_found");
    }
    let retry = alice.http.send(reqwest::Method::POST, &list, Some(&body), &key).await.unwrap();
    assert_eq!((retry.status, &retry.body["id"]), (200, &first.body["id"]), "a retry still finds it");
    server.stop().await;
}

#[actix_web::test]
async fn change_without_effect_is_duplicate_and_makes_no_event() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let (_, id) = posted_message(&alice, chat, "same").await;
    let mut session = alice.tcp().await;
    let react = |remove| MessagePacket {
        emoji: Some("+1".into()),
        remove: Some(remove),
        ..packet("React", chat, id)
    };
    let mut acks = Vec::new();
    for change in [
        edit(chat, id, "same"),
        react(true),
        MessagePacket { remove: Some(true), ..packet("Pin", chat, id) },
        react(false),
        react(false),
    ] {
        let ack = session.request(change).await.unwrap();
        acks.push((ack.seq.unwrap(), ack.duplicate.is_some()));
    }
    assert_eq!(acks, [(2, true), (2, true), (2, true), (3, false), (3, true)]);
    assert_eq!(events(&alice, chat).await.len(), 3);
    server.stop().await;
}

#[actix_web::test]
async fn permission_to_change_a_message_is_equal_on_transports() {
    let server = TestServer::start().await;
    let (owner, writer) = (server.user("owner").await, server.user("writer").await);
    let (reader, outsider) = (server.user("reader").await, server.user("outsider").await);
    let made = json!({"kind": "channel", "name": "news", "participants": ["writer"]});
    let chat = ChatId(owner.post("/api/chats", made).await.body["id"].as_i64().unwrap());
    let role = json!({"role": "reader"});
    assert!(owner.put(&format!("/api/chats/{chat}/participants/reader"), role).await.status < 300);
    let group = owner.group(&[&writer]).await;
    let (owners, owners_id) = posted_message(&owner, group, "by the owner").await;
    let (writers, writers_id) = posted_message(&writer, chat, "by the writer").await;

    // (person, path, id, chat) -> result of edit, react, pin, delete
    let may = async |person: &Person, path: &str, chat: ChatId, id: i64| {
        let mut tcp = person.tcp().await;
        let react = MessagePacket { emoji: Some("x".into()), ..packet("React", chat, id) };
        let over_tcp = [
            tcp.request(edit(chat, id, "mine now")).await.map_or_else(|e| refused(Err(e)), |_| "ok".into()),
            tcp.request(react).await.map_or_else(|e| refused(Err(e)), |_| "ok".into()),
            tcp.request(packet("Pin", chat, id)).await.map_or_else(|e| refused(Err(e)), |_| "ok".into()),
            tcp.request(packet("DeleteMessage", chat, id))
                .await
                .map_or_else(|e| refused(Err(e)), |_| "ok".into()),
        ];
        let over_rest = [
            person.patch(path, json!({"content": "mine now"})).await,
            person.put(&format!("{path}/reactions/x"), json!({})).await,
            person.put(&format!("{path}/pin"), json!({})).await,
            person.delete(path).await,
        ];
        for (code, answer) in over_tcp.iter().zip(&over_rest) {
            // A message that was deleted over TCP is missing over REST.
            if code != "ok" {
                assert_eq!(answer.code(), code, "{}", answer.body);
            }
        }
        over_tcp
    };
    assert_eq!(may(&outsider, &owners, group, owners_id).await, ["not_found"; 4]);
    assert_eq!(may(&outsider, &writers, chat, writers_id).await, ["forbidden"; 4]);
    let may_react = ["forbidden", "ok", "forbidden", "forbidden"];
    assert_eq!(may(&reader, &writers, chat, writers_id).await, may_react, "readers react");
    assert_eq!(may(&writer, &owners, group, owners_id).await, ["forbidden", "ok", "ok", "forbidden"]);
    assert_eq!(may(&owner, &writers, chat, writers_id).await, ["forbidden", "ok", "ok", "ok"]);
    // A message id of another chat is not found for any caller.
    let elsewhere = format!("/api/chats/{chat}/messages/{owners_id}");
    assert_problem(&owner.patch(&elsewhere, json!({"content": "x"})).await, 404, "not_found");
    // A user who may not read a chat cannot find out which messages it has.
    for (there, missing) in [
        (&owners, format!("/api/chats/{group}/messages/999")),
        (&writers, format!("/api/chats/{chat}/messages/999")),
    ] {
        let (there, missing) = (outsider.delete(there).await, outsider.delete(&missing).await);
        assert_eq!((there.status, there.code()), (missing.status, missing.code()));
        assert_eq!(there.body["detail"], missing.body["detail"]);
    }
    // An archived chat accepts no changes.
    assert_eq!(owner.patch(&format!("/api/chats/{group}"), json!({"archived": true})).await.status, 200);
    assert_eq!(may(&owner, &owners, group, owners_id).await, ["forbidden"; 4]);
    server.stop().await;
}

#[actix_web::test]
async fn invalid_message_change_is_refused_with_its_field() {
    let server = TestServer::with_limits(|limits| {
        limits.reactions_per_message = 3;
        limits.emojis_per_message = 2;
    })
    .await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let (path, id) = posted_message(&alice, chat, "text").await;
    for (body, status) in [
        (json!({"content": " "}), 422),
        (json!({"content": "x".repeat(16_385)}), 413),
        (json!({}), 422),
        (json!({"content": "x", "sender_id": 7}), 422),
        (json!({"content": "x", "metadata": [1]}), 422),
    ] {
        assert_eq!(alice.patch(&path, body).await.status, status);
    }
    for emoji in
        ["a%20b", "%00", "%0a", "%E2%80%AE", "%E2%80%8D", "%EF%B8%8F", "%F0%9F%91%8Dx", &"x".repeat(33)]
    {
        assert_problem(&alice.put(&format!("{path}/reactions/{emoji}"), json!({})).await, 422, "validation");
    }
    for (n, status) in [(1, 204), (2, 204), (3, 409)] {
        assert_eq!(alice.put(&format!("{path}/reactions/{n}"), json!({})).await.status, status);
    }
    let mut tcp = alice.tcp().await;
    let no_emoji = packet("React", chat, id);
    let no_message = MessagePacket { message_id: None, ..packet("DeleteMessage", chat, id) };
    for wrong in [no_emoji, no_message, packet("EditMessage", chat, id), edit(chat, id, "")] {
        assert_eq!(refused(tcp.request(wrong).await), "bad_request");
    }
    assert_eq!(refused(tcp.request(edit(chat, id + 1, "x")).await), "not_found");
    assert_eq!(alice.contents(chat).await, ["text"]);
    server.stop().await;
}

/// Regression: U+2764 and U+2764 U+FE0F were two reactions, and the longest emoji of the set were
/// refused.
#[actix_web::test]
async fn emoji_with_and_without_variation_selector_is_one_reaction() {
    const HEART: &str = "%E2%9D%A4";
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    let (path, id) = posted_message(&alice, chat, "text").await;
    let reactions = async || messages(&alice, chat, "").await[0]["reactions"].clone();
    assert_eq!(alice.put(&format!("{path}/reactions/{HEART}"), json!({})).await.status, 204);
    let again = alice.put(&format!("{path}/reactions/{HEART}%EF%B8%8F"), json!({})).await;
    assert_eq!(again.status, 204);
    let mut tcp = bob.tcp().await;
    let react = |emoji: &str, remove| MessagePacket {
        emoji: Some(emoji.into()),
        remove: Some(remove),
        ..packet("React", chat, id)
    };
    let ack = tcp.request(react("\u{2764}\u{fe0f}", false)).await.unwrap();
    assert_ne!(ack.duplicate, Some(true));
    assert_eq!(tcp.request(react("\u{2764}", false)).await.unwrap().duplicate, Some(true));
    let both = json!([{"emoji": "\u{2764}\u{fe0f}", "user_ids": [alice.id, bob.id]}]);
    assert_eq!(reactions().await, both);
    assert_eq!(alice.delete(&format!("{path}/reactions/{HEART}")).await.status, 204);
    tcp.request(react("\u{2764}", true)).await.unwrap();
    assert_eq!(reactions().await, Value::Null);

    // A kiss between two people with different skin tones: 35 bytes.
    let kiss = "\u{1f469}\u{1f3fb}\u{200d}\u{2764}\u{fe0f}\u{200d}\u{1f48b}\u{200d}\u{1f468}\u{1f3ff}";
    assert_eq!(kiss.len(), 35);
    tcp.request(react(kiss, false)).await.unwrap();
    assert_eq!(reactions().await[0]["emoji"], kiss);
    assert_eq!(refused(tcp.request(react("\u{200d}", false)).await), "bad_request");
    server.stop().await;
}

#[actix_web::test]
async fn stored_reactions_remain_and_are_compared_without_selectors() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    let (path, _) = posted_message(&alice, chat, "text").await;
    let directory = server.stop_and_keep().await;
    let (a, b) = (alice.id.0, bob.id.0);
    let heart = "\u{2764}";
    let stored = format!(
        r#"[{{"emoji":"{heart}","user_ids":[{a}]}},{{"emoji":"{heart}\ufe0f","user_ids":[{b}]}},{{"emoji":"→","user_ids":[{b}]}}]"#
    );
    database::writer(directory.path()).execute(&format!("UPDATE messages SET reactions = '{stored}'"));
    let server = TestServer::on(directory).await;
    let (alice, bob) = (server.login("alice").await, server.login("bob").await);
    let reactions = async || messages(&alice, chat, "").await[0]["reactions"].clone();
    assert_eq!(reactions().await, serde_json::from_str::<Value>(&stored).unwrap());
    // Bob has already reacted with it in the other form.
    assert_eq!(bob.put(&format!("{path}/reactions/%E2%9D%A4"), json!({})).await.status, 204);
    assert_eq!(reactions().await, serde_json::from_str::<Value>(&stored).unwrap());
    for person in [&alice, &bob] {
        assert_eq!(person.delete(&format!("{path}/reactions/%E2%9D%A4")).await.status, 204);
    }
    assert_eq!(reactions().await, json!([{"emoji": "→", "user_ids": [b]}]));
    let arrow = format!("{path}/reactions/%E2%86%92");
    assert_problem(&alice.put(&arrow, json!({})).await, 422, "validation");
    assert_eq!(bob.delete(&arrow).await.status, 204, "it can be taken back");
    assert_eq!(reactions().await, Value::Null);
    server.stop().await;
}

#[actix_web::test]
async fn message_changes_count_against_the_message_rate() {
    let server =
        TestServer::with_limits(|limits| (limits.messages_burst, limits.messages_per_second) = (2, 1)).await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let (path, id) = posted_message(&alice, chat, "one").await;
    assert_eq!(alice.put(&format!("{path}/reactions/1"), json!({})).await.status, 204);
    let answer = alice.put(&format!("{path}/reactions/2"), json!({})).await;
    assert_problem(&answer, 429, "rate_limited");
    assert_eq!(refused(alice.tcp().await.request(edit(chat, id, "two")).await), "rate_limited");
    server.stop().await;
}

#[actix_web::test]
async fn thread_contains_its_first_message_and_all_replies() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    let (_, root) = posted_message(&alice, chat, "root").await;
    let reply = async |person: &Person, to: i64| {
        let body = json!({"content": "reply", "reply_to": to});
        let answer = person.post(&format!("/api/chats/{chat}/messages"), body).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        assert_eq!(answer.body["thread_id"], json!(root));
        answer.body["id"].as_i64().unwrap()
    };
    let first = reply(&bob, root).await;
    posted_message(&bob, chat, "something else").await;
    let second = reply(&alice, first).await;
    // Any message of the thread selects it.
    for of in [root, first, second] {
        let thread = messages(&bob, chat, &format!("?thread={of}")).await;
        assert_eq!(ids(&thread), [root, first, second]);
    }
    let page = alice.get(&format!("/api/chats/{chat}/messages?thread={root}&limit=2&after_seq=0")).await;
    assert_eq!(
        (page.body["has_more"].clone(), ids(page.body["items"].as_array().unwrap())),
        (json!(true), vec![root, first])
    );
    assert!(page.header("link").unwrap().contains(&format!("thread={root}")));
    assert!(messages(&bob, chat, "?thread=999").await.is_empty());
    let both = bob.get(&format!("/api/chats/{chat}/messages?thread={root}&pinned=true")).await;
    assert_problem(&both, 400, "bad_request");
    let outsider = server.user("carol").await;
    let hidden = outsider.get(&format!("/api/chats/{chat}/messages?thread={root}")).await;
    assert_problem(&hidden, 404, "not_found");
    let alien = alice.group(&[]).await;
    assert!(messages(&alice, alien, &format!("?thread={root}")).await.is_empty(), "of another chat");
    server.stop().await;
}

#[actix_web::test]
async fn reader_reacts_and_deletes_what_they_wrote_before() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let made = alice.post("/api/chats", json!({"kind": "channel", "name": "news"})).await;
    let chat = ChatId(made.body["id"].as_i64().unwrap());
    let person = format!("/api/chats/{chat}/participants/bob");
    assert_eq!(bob.put(&person, json!({})).await.status, 201);
    let (hers, his) = (alice.say(chat, "hers").await.body, bob.say(chat, "his").await.body);
    assert_eq!(alice.put(&person, json!({"role": "reader"})).await.status, 204);
    let message = |body: &Value| format!("/api/chats/{chat}/messages/{}", body["id"]);
    assert_problem(&bob.say(chat, "more").await, 403, "forbidden");
    assert_eq!(bob.put(&format!("{}/reactions/+1", message(&hers)), json!({})).await.status, 204);
    assert_eq!(bob.delete(&format!("{}/reactions/+1", message(&hers))).await.status, 204);
    assert_problem(&bob.put(&format!("{}/pin", message(&hers)), json!({})).await, 403, "forbidden");
    assert_problem(&bob.delete(&message(&hers)).await, 403, "forbidden");
    assert_problem(&bob.patch(&message(&his), json!({"content": "x"})).await, 403, "forbidden");
    assert_eq!(bob.delete(&message(&his)).await.status, 204);
    server.stop().await;
}

/// Regression: spam in a chat without an administrator as member could not be removed.
#[actix_web::test]
async fn administrator_deletes_spam_and_it_is_audited() {
    let server = TestServer::start().await;
    let (admin, alice, bob) =
        (server.admin("root").await, server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    let posted = alice.say(chat, "buy now").await.body;
    let path = format!("/api/chats/{chat}/messages/{}", posted["id"]);
    let (_, weak) =
        admin.access_token(json!({"name": "a", "password": PASSWORD, "scopes": ["chat:write"]})).await;
    let refused = weak.send(reqwest::Method::DELETE, &path, None, &[]).await.unwrap();
    assert_problem(&refused, 404, "not_found");
    assert_problem(&bob.delete(&path).await, 403, "forbidden");
    assert_problem(&admin.patch(&path, json!({"content": "mine"})).await, 404, "not_found");
    assert_problem(&admin.get(&format!("/api/chats/{chat}/messages")).await, 404, "not_found");
    assert_eq!(admin.delete(&path).await.status, 204);
    assert_eq!(bob.contents(chat).await, [""]);
    let line = admin.get("/api/admin/audit").await.body["items"][0].clone();
    assert_eq!(
        (&line["action"], &line["target"]),
        (&json!("message.delete"), &json!(format!("chat:{chat}")))
    );
    assert_eq!(line["detail"]["sender_id"], alice.id.0);
    let named = bob.get(&format!("/api/users?ids={}", admin.id)).await.body;
    assert_eq!(named["items"][0]["username"], "root", "readers can resolve the id of the deleting user");
    server.stop().await;
}
