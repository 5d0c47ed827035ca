//! The list of followed threads: which are unread, and in which order.

use netbit::domain::ids::ChatId;
use serde_json::{Value, json};

use crate::harness::{Person, TestServer, assert_problem};
use crate::notifications::reply;

/// Returns (thread, unread replies) of each item.
async fn threads(person: &Person, query: &str) -> Vec<(i64, i64)> {
    let found = person.get(&format!("/api/chats/threads{query}")).await;
    assert_eq!(found.status, 200, "{}", found.body);
    let numbers = |item: &Value| {
        let number = |key: &str| item[key].as_i64().unwrap();
        (number("thread_id"), number("unread_count"))
    };
    found.body["items"].as_array().unwrap().iter().map(numbers).collect()
}

async fn start(person: &Person, chat: ChatId, content: &str) -> Value {
    person.say(chat, content).await.body["id"].clone()
}

const UNREAD: &str = "?unread=true";

#[actix_web::test]
async fn thread_is_unread_while_a_reply_is_above_the_cursor() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let carol = server.user("carol").await;
    let team = alice.group(&[&bob, &carol]).await;
    assert_eq!(threads(&alice, "").await, []);
    let long = format!("what do we do? {}", "é".repeat(300));
    let (one, two) = (start(&alice, team, &long).await, start(&alice, team, "lunch?").await);
    let (first, second) = (one.as_i64().unwrap(), two.as_i64().unwrap());
    reply(&bob, team, &one, "wait").await;
    reply(&bob, team, &two, "yes").await;
    reply(&carol, team, &one, "no, act").await;
    // The thread with the newest reply comes first.
    assert_eq!(threads(&alice, UNREAD).await, [(first, 2), (second, 1)]);
    assert_eq!(threads(&bob, UNREAD).await, [(first, 1)]);
    assert_eq!(threads(&carol, UNREAD).await, [(first, 1)], "the other thread is not followed");
    let item = alice.get("/api/chats/threads?unread=true&limit=1").await.body;
    let thread = &item["items"][0];
    let excerpt: String = long.chars().take(200).collect();
    assert_eq!((&thread["excerpt"], &thread["chat_id"]), (&json!(excerpt), &json!(team)));
    assert_eq!(
        (&thread["sender_id"], &thread["last_reply"]["sender_id"]),
        (&json!(alice.id), &json!(carol.id))
    );
    let next = item["next"].as_str().unwrap();
    assert_eq!(threads(&alice, &format!("?unread=true&cursor={next}")).await, [(second, 1)]);

    let last = thread["last_reply"]["seq"].as_i64().unwrap();
    alice.post(&format!("/api/chats/{team}/read"), json!({"read_seq": last - 1})).await;
    assert_eq!(threads(&alice, UNREAD).await, [(first, 1)]);
    alice.post(&format!("/api/chats/{team}/read"), json!({})).await;
    assert_eq!(
        (threads(&alice, UNREAD).await, threads(&alice, "").await),
        (vec![], vec![(first, 0), (second, 0)])
    );
    alice.post(&format!("/api/chats/{team}/unread"), json!({"from_seq": last})).await;
    assert_eq!(threads(&alice, UNREAD).await, [(first, 1)]);
    // An own reply neither reads the thread nor counts as unread.
    reply(&alice, team, &one, "good").await;
    assert_eq!(threads(&alice, UNREAD).await, [(first, 1)]);
    assert_eq!(threads(&bob, UNREAD).await, [(first, 2)]);
    server.stop().await;
}

#[actix_web::test]
async fn thread_is_not_listed_when_muted_deleted_or_left() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let team = alice.group(&[&bob]).await;
    let one = start(&alice, team, "one").await;
    reply(&bob, team, &one, "a reply").await;
    let newest =
        alice.get(&format!("/api/chats/{team}/messages?limit=1")).await.body["items"][0]["id"].clone();
    let thread = one.as_i64().unwrap();
    assert_eq!(threads(&alice, UNREAD).await, [(thread, 1)]);
    let follow = format!("/api/chats/{team}/messages/{one}/follow");
    alice.delete(&follow).await;
    assert_eq!(threads(&alice, "").await, []);
    alice.put(&follow, json!({})).await;
    assert_eq!(threads(&alice, UNREAD).await, [(thread, 1)]);
    bob.delete(&format!("/api/chats/{team}/messages/{newest}")).await;
    assert_eq!(threads(&alice, UNREAD).await, [], "the reply was deleted");
    reply(&bob, team, &one, "another").await;
    alice.delete(&format!("/api/chats/{team}/messages/{one}")).await;
    let item = alice.get("/api/chats/threads?unread=true").await.body["items"][0].clone();
    assert_eq!((item["thread_id"].as_i64(), item.get("excerpt")), (Some(thread), None));
    alice.put(&format!("/api/chats/{team}/participants/bob"), json!({"role": "owner"})).await;
    assert_eq!(alice.delete(&format!("/api/chats/{team}/participants/alice")).await.status, 204);
    assert_eq!(threads(&alice, "").await, [], "the chat was left");
    assert_problem(&server.http.get("/api/chats/threads").await.unwrap(), 401, "unauthenticated");
    server.stop().await;
}
