//! Notifications of what happens in chats. Those of pushes are with the tests of git.

use netbit::core::database;
use netbit::domain::ids::ChatId;
use serde_json::{Value, json};

use crate::harness::{Person, TestServer, assert_problem, until};

#[actix_web::test]
async fn whoever_was_told_nothing_has_an_empty_list_and_nothing_to_mark() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    for path in ["/api/notifications", "/api/notifications?unread=true&limit=1"] {
        assert_eq!(alice.get(path).await.body, json!({"items": []}));
        assert_problem(&server.http.get(path).await.unwrap(), 401, "unauthenticated");
    }
    assert_problem(&alice.post("/api/notifications/1/read", json!({})).await, 404, "not_found");
    assert_eq!(alice.post("/api/notifications/read", json!({})).await.status, 204);
    assert_problem(&alice.get("/api/notifications?unread=maybe").await, 400, "bad_request");
    server.stop().await;
}

/// What somebody was notified of, the newest first: kind and text.
pub(crate) async fn told(person: &Person) -> Vec<(String, String)> {
    let answer = person.get("/api/notifications?unread=true").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let text = |one: &Value, field: &str| one[field].as_str().unwrap().to_owned();
    let items = answer.body["items"].as_array().unwrap().clone();
    assert_eq!(person.post("/api/notifications/read", json!({})).await.status, 204);
    items.iter().map(|one| (text(one, "kind"), text(one, "text"))).collect()
}

pub(crate) fn one(kind: &str, text: &str) -> Vec<(String, String)> {
    vec![(kind.into(), text.into())]
}

/// Waits until no message has notifications left to write.
pub(crate) async fn delivered(server: &TestServer, anybody: &Person) {
    let mut db = database::open_reader(&server.path().join("netbit.db")).unwrap();
    until(async || database::integer(&mut db, "SELECT count(*) AS value FROM fan_outs").unwrap() == 0).await;
    // The writer answers behind what it has published.
    assert_eq!(anybody.post("/api/notifications/0/read", json!({})).await.status, 404);
}

pub(crate) async fn reply(person: &Person, chat: ChatId, to: &Value, content: &str) {
    let body = json!({"content": content, "reply_to": to});
    assert_eq!(person.post(&format!("/api/chats/{chat}/messages"), body).await.status, 201);
}

#[actix_web::test]
async fn one_is_told_of_mentions_replies_direct_messages_and_being_added_and_of_nothing_else() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let carol = server.user("carol").await;
    let team = alice.group(&[&bob]).await;
    assert_eq!(told(&bob).await, one("added", "alice added you to team"));

    let plain = alice.say(team, "an ordinary message to bob, not to x@bob.org").await;
    assert_eq!(told(&bob).await, []);
    alice.say(team, "look, @bob and @carol and @alice").await;
    assert_eq!(told(&bob).await, one("mention", "alice mentioned you in team"));
    assert_eq!(told(&carol).await, [], "not in the chat");
    reply(&bob, team, &plain.body["id"], "why?").await;
    assert_eq!(told(&alice).await, one("reply", "bob replied to you in team"), "nobody hears of themselves");
    reply(&bob, team, &plain.body["id"], "why, @alice?").await;
    assert_eq!(
        told(&alice).await,
        one("mention", "bob mentioned you in team"),
        "one message, one notification"
    );
    alice.say(team, "@all: lunch").await;
    assert_eq!(told(&bob).await, one("mention", "alice mentioned you in team"));

    let made = json!({"kind": "direct", "participants": ["carol"]});
    let direct = ChatId(alice.post("/api/chats", made).await.body["id"].as_i64().unwrap());
    assert_eq!(told(&carol).await, one("added", "alice opened a chat with you"));
    alice.say(direct, "hi").await;
    assert_eq!(told(&carol).await, one("direct", "alice wrote to you"));
    assert_eq!(told(&alice).await, []);

    // A retry is the same message, and tells nobody again.
    let body = json!({"content": "@bob again", "client_id": "0190b6d2-7d3e-7c1a-9d2f-1a2b3c4d5e6f"});
    for status in [201, 200] {
        assert_eq!(alice.post(&format!("/api/chats/{team}/messages"), body.clone()).await.status, status);
    }
    assert_eq!(told(&bob).await.len(), 1);
    server.stop().await;
}

#[actix_web::test]
async fn the_level_of_a_chat_is_ones_own_and_lasts() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let team = alice.group(&[&bob]).await;
    let said = bob.say(team, "mine").await;
    let level = async |person: &Person, level: &str| {
        person.put(&format!("/api/chats/{team}/notify"), json!({"level": level})).await
    };
    assert_eq!(level(&bob, "mentions").await.status, 204);
    told(&bob).await;
    let server = server.restart(|_| {}).await;
    let (alice, bob) = (server.login("alice").await, server.login("bob").await);
    assert_eq!(bob.get("/api/chats").await.body["items"][0]["notify"], json!("mentions"));
    assert_eq!(alice.get("/api/chats").await.body["items"][0].get("notify"), None);
    reply(&alice, team, &said.body["id"], "a reply").await;
    assert_eq!(told(&bob).await, []);
    alice.say(team, "@bob").await;
    assert_eq!(told(&bob).await.len(), 1);
    assert_eq!(level(&bob, "none").await.status, 204);
    alice.say(team, "@bob @all").await;
    assert_eq!(told(&bob).await, []);

    assert_problem(&level(&bob, "loud").await, 422, "validation");
    let carol = server.user("carol").await;
    assert_problem(&level(&carol, "none").await, 404, "not_found");
    server.stop().await;
}
