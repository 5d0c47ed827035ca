//! Notifications of events in chats. Those of pushes are with the tests of git.

use netbit::domain::ids::ChatId;
use serde_json::{Value, json};

use crate::harness::{Person, TestServer, assert_problem, database, until};

#[actix_web::test]
async fn user_without_notifications_has_an_empty_list() {
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

/// Returns the unread notifications of `person`, newest first, as kind and text, and marks them
/// read.
pub(crate) async fn take_notifications(person: &Person) -> Vec<(String, String)> {
    let answer = person.get("/api/notifications?unread=true").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let text = |item: &Value, field: &str| item[field].as_str().unwrap().to_owned();
    let items = answer.body["items"].as_array().unwrap().clone();
    assert_eq!(person.post("/api/notifications/read", json!({})).await.status, 204);
    items.iter().map(|item| (text(item, "kind"), text(item, "text"))).collect()
}

pub(crate) fn single(kind: &str, text: &str) -> Vec<(String, String)> {
    vec![(kind.into(), text.into())]
}

/// Waits until no message has notifications left to write.
pub(crate) async fn await_notifications(server: &TestServer, person: &Person) {
    let mut db = database::reader(server.path());
    until(async || db.integer("SELECT count(*) AS value FROM fan_outs") == 0).await;
    // The writer answers this request after it has published the notifications.
    assert_eq!(person.post("/api/notifications/0/read", json!({})).await.status, 404);
}

pub(crate) async fn reply(person: &Person, chat: ChatId, to: &Value, content: &str) {
    let body = json!({"content": content, "reply_to": to});
    assert_eq!(person.post(&format!("/api/chats/{chat}/messages"), body).await.status, 201);
}

#[actix_web::test]
async fn user_is_notified_of_mentions_replies_direct_and_added() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let carol = server.user("carol").await;
    let team = alice.group(&[&bob]).await;
    assert_eq!(take_notifications(&bob).await, single("added", "alice added you to team"));

    let plain = alice.say(team, "an ordinary message to bob, not to x@bob.org").await;
    assert_eq!(take_notifications(&bob).await, []);
    alice.say(team, "look, @bob and @carol and @alice").await;
    assert_eq!(take_notifications(&bob).await, single("mention", "alice mentioned you in team"));
    assert_eq!(take_notifications(&carol).await, [], "not in the chat");
    reply(&bob, team, &plain.body["id"], "why?").await;
    assert_eq!(
        take_notifications(&alice).await,
        single("reply", "bob replied to you in team"),
        "users get no notifications for their own actions"
    );
    reply(&bob, team, &plain.body["id"], "why, @alice?").await;
    assert_eq!(
        take_notifications(&alice).await,
        single("mention", "bob mentioned you in team"),
        "one message, one notification"
    );
    alice.say(team, "@all: lunch").await;
    assert_eq!(take_notifications(&bob).await, single("mention", "alice mentioned you in team"));

    let made = json!({"kind": "direct", "participants": ["carol"]});
    let direct = ChatId(alice.post("/api/chats", made).await.body["id"].as_i64().unwrap());
    assert_eq!(take_notifications(&carol).await, single("added", "alice opened a chat with you"));
    alice.say(direct, "hi").await;
    assert_eq!(take_notifications(&carol).await, single("direct", "alice wrote to you"));
    assert_eq!(take_notifications(&alice).await, []);

    // A retry returns the same message and notifies no user again.
    let body = json!({"content": "@bob again", "client_id": "0190b6d2-7d3e-7c1a-9d2f-1a2b3c4d5e6f"});
    for status in [201, 200] {
        assert_eq!(alice.post(&format!("/api/chats/{team}/messages"), body.clone()).await.status, status);
    }
    assert_eq!(take_notifications(&bob).await.len(), 1);
    server.stop().await;
}

#[actix_web::test]
async fn notification_level_is_per_user_and_survives_a_restart() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let team = alice.group(&[&bob]).await;
    let posted = bob.say(team, "mine").await;
    let level = async |person: &Person, level: &str| {
        person.put(&format!("/api/chats/{team}/notify"), json!({"level": level})).await
    };
    assert_eq!(level(&bob, "mentions").await.status, 204);
    take_notifications(&bob).await;
    let server = server.restart(|_| {}).await;
    let (alice, bob) = (server.login("alice").await, server.login("bob").await);
    assert_eq!(bob.get("/api/chats").await.body["items"][0]["notify"], json!("mentions"));
    assert_eq!(alice.get("/api/chats").await.body["items"][0].get("notify"), None);
    reply(&alice, team, &posted.body["id"], "a reply").await;
    assert_eq!(take_notifications(&bob).await, []);
    alice.say(team, "@bob").await;
    assert_eq!(take_notifications(&bob).await.len(), 1);
    assert_eq!(level(&bob, "none").await.status, 204);
    alice.say(team, "@bob @all").await;
    assert_eq!(take_notifications(&bob).await, []);

    assert_problem(&level(&bob, "loud").await, 422, "validation");
    let carol = server.user("carol").await;
    assert_problem(&level(&carol, "none").await, 404, "not_found");
    server.stop().await;
}
