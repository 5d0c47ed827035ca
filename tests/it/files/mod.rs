//! Files in chats: uploads, messages that show them, downloads, and their removal.

mod backups;
mod downloads;
mod place;
mod removal;
mod store;
mod store_removals;
mod thumbnail_children;
mod thumbnails;
mod uploads;

use netbit::client::{TcpClient, TcpError};
use netbit::domain::ids::ChatId;
use netbit::protocol::packet::{MessagePacket, PacketMessage};
use serde_json::{Value, json};

use crate::harness::files::{FileClient, PNG};
use crate::harness::{Person, TestServer, soon, until};

/// Returns the client of files of a user.
fn files_of(server: &TestServer, person: &Person) -> FileClient {
    FileClient::new(&server.app.addresses.http.to_string(), &person.http)
}

/// Returns the messages of a chat as JSON.
async fn messages(person: &Person, chat: ChatId) -> Vec<Value> {
    let page = person.get(&format!("/api/chats/{chat}/messages?limit=100")).await.body;
    page["items"].as_array().unwrap().clone()
}

/// Returns the next event of a session with a message.
async fn next_message(session: &mut TcpClient) -> Value {
    loop {
        let packet = soon(session.any()).await.unwrap();
        if let Some(message) = packet.message {
            return serde_json::to_value(message).unwrap();
        }
    }
}

#[actix_web::test]
async fn uploaded_file_is_shown_by_its_message_everywhere() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    let files = files_of(&server, &alice);
    let mut session = bob.tcp().await;
    let picture = files.upload(chat, "Ünïcode.png", PNG).await;
    let text = files.upload(chat, "notes.txt", b"hello").await;
    let posted = files.post(chat, &json!({"content": "", "files": [text, picture]})).await;
    assert_eq!(posted.status, 201, "{}", posted.json());
    let shown = json!([
        {"id": text, "name": "notes.txt", "size": 5, "type": "text/plain"},
        {"id": picture, "name": "Ünïcode.png", "size": PNG.len(), "type": "image/png", "w": 3, "h": 2},
    ]);
    assert_eq!(posted.json()["files"], shown);
    assert_eq!(next_message(&mut session).await["files"], shown, "in the event");
    assert_eq!(messages(&bob, chat).await[0]["files"], shown, "in the history");
    let events = bob.get(&format!("/api/chats/{chat}/events?after_seq=0")).await.body;
    let last = events["items"].as_array().unwrap().last().unwrap();
    assert_eq!(last["message"]["files"], shown);
    let received = files_of(&server, &bob).get(picture).await;
    assert_eq!((received.status, received.bytes.as_slice()), (200, PNG));

    let plain = alice.say(chat, "without").await;
    assert_eq!(plain.body.get("files"), None, "old clients see no new field");

    // An edit keeps the files, and may remove the text.
    let message = posted.json()["id"].as_i64().unwrap();
    let path = format!("/api/chats/{chat}/messages/{message}");
    for content in ["a caption", ""] {
        let edited = alice.patch(&path, json!({"content": content})).await;
        assert_eq!((edited.status, &edited.body["files"]), (200, &shown), "{}", edited.body);
        assert_eq!(edited.body["content"], content);
    }
    let id = plain.body["id"].as_i64().unwrap();
    let emptied = alice.patch(&format!("/api/chats/{chat}/messages/{id}"), json!({"content": ""})).await;
    assert_eq!((emptied.status, emptied.code()), (422, "validation"));

    // The window in memory is loaded again.
    let server = server.restart(|_| ()).await;
    let bob = server.login("bob").await;
    assert_eq!(messages(&bob, chat).await[0]["files"], shown, "after a restart");
    // The search shows a message without a text by its files.
    let mut found = Value::Null;
    until(async || {
        found = bob.get("/api/search?q=has:file&in=messages").await.body["messages"]["hits"].take();
        found.as_array().is_some_and(|hits| !hits.is_empty())
    })
    .await;
    assert_eq!(found[0]["excerpt"], "notes.txt, Ünïcode.png");
    assert_eq!(files_of(&server, &bob).get(picture).await.bytes, PNG);
    server.stop().await;
}

#[actix_web::test]
async fn session_sends_a_message_with_files_and_no_content() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    let file = files_of(&server, &alice).upload(chat, "a.bin", b"\0\x01").await;
    let (mut sender, mut receiver) = (alice.tcp().await, bob.tcp().await);
    let packet = |files: Vec<i64>| MessagePacket {
        packet_type: "SendMessage".to_owned(),
        chat_id: Some(chat),
        message: Some(PacketMessage {
            client_id: Some(netbit::domain::message::ClientId::fresh()),
            files: Some(serde_json::from_value(json!(files)).unwrap()),
            ..PacketMessage::default()
        }),
        ..MessagePacket::default()
    };
    let refused = soon(sender.request(packet(Vec::new()))).await;
    assert!(matches!(refused, Err(TcpError::Refused(_))), "neither content nor files: {refused:?}");
    let sent = packet(vec![file]);
    let ack = soon(sender.request(sent.clone())).await.unwrap();
    assert!(ack.success, "{ack:?}");
    let seen = next_message(&mut receiver).await;
    assert_eq!((seen["files"][0]["id"].as_i64(), &seen["content"]), (Some(file), &json!("")));
    let again = soon(sender.request(sent)).await.unwrap();
    assert_eq!((again.duplicate, again.message_id), (Some(true), ack.message_id), "{again:?}");
    server.stop().await;
}

#[actix_web::test]
async fn retry_of_a_message_with_files_is_the_same_message() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let chat = alice.group(&[]).await;
    let files = files_of(&server, &alice);
    let (one, two) = (files.upload(chat, "1", b"1").await, files.upload(chat, "2", b"2").await);
    let client_id = "0190b6d2-7d3e-7c1a-9d2f-1a2b3c4d5e6f";
    let body = |ids: Value| json!({"client_id": client_id, "content": "x", "files": ids});
    let first = files.post(chat, &body(json!([one]))).await;
    assert_eq!(first.status, 201);
    let again = files.post(chat, &body(json!([one]))).await;
    assert_eq!((again.status, again.json()["id"].clone()), (200, first.json()["id"].clone()));
    for other in [json!([two]), json!([]), json!([one, two])] {
        let reused = files.post(chat, &body(other)).await;
        assert_eq!((reused.status, &reused.json()["code"]), (422, &json!("client_id_reused")));
    }
    assert_eq!(messages(&alice, chat).await.len(), 1);
    server.stop().await;
}

#[actix_web::test]
async fn message_binds_own_complete_and_unbound_files_of_its_chat() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let (chat, other) = (alice.group(&[&bob]).await, alice.group(&[&bob]).await);
    let (files, of_bob) = (files_of(&server, &alice), files_of(&server, &bob));
    let (bound, _) = files.share(chat, "bound", b"1").await;
    let elsewhere = files.upload(other, "elsewhere", b"2").await;
    let incomplete = files.announce(chat, "incomplete", 5).await;
    let foreign = of_bob.upload(chat, "foreign", b"3").await;
    let own = files.upload(chat, "own", b"4").await;
    for ids in [
        json!([bound]),
        json!([elsewhere]),
        json!([incomplete]),
        json!([foreign]),
        json!([own, own]),
        json!([own, 999_999]),
        json!(["x"]),
    ] {
        let refused = files.post(chat, &json!({"content": "x", "files": ids})).await;
        assert_eq!((refused.status, &refused.json()["code"]), (422, &json!("validation")), "{ids}");
    }
    let many: Vec<i64> = (1..=11).collect();
    assert_eq!(files.post(chat, &json!({"files": many})).await.status, 413);
    let posted = files.post(chat, &json!({"files": [own]})).await;
    assert_eq!(posted.status, 201, "a refused message has bound nothing");
    server.stop().await;
}
