//! `netbit notify explain`: the reasons for a notification and for none.

use netbit::domain::ids::ChatId;
use serde_json::json;

use super::{assert_text, mask, netbit, transcript};
use crate::harness::{Person, TestServer};
use crate::notifications::await_notifications;

const TIME: (&str, &str) = (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME");

/// Posts a message, possibly as a reply; returns its id.
async fn post(person: &Person, chat: ChatId, content: &str, reply_to: Option<i64>) -> i64 {
    let mut body = json!({"content": content});
    if let Some(id) = reply_to {
        body["reply_to"] = json!(id);
    }
    let posted = person.post(&format!("/api/chats/{chat}/messages"), body).await;
    assert_eq!(posted.status, 201, "{}", posted.body);
    posted.body["id"].as_i64().unwrap()
}

#[actix_web::test]
async fn explanation_names_the_reason_of_every_decision() {
    let server = TestServer::start().await;
    let (alice, outsider) = (server.user("alice").await, server.user("heidi").await);
    let mut members = Vec::new();
    for name in ["bob", "carol", "dave", "erin", "frank", "grace", "ivan", "judy"] {
        members.push(server.user(name).await);
    }
    let [bob, carol, dave, erin, frank, grace, ivan, judy] = &members[..] else { unreachable!() };
    let team = alice.group(&members.iter().collect::<Vec<_>>()).await;
    for (person, level) in [(carol, "none"), (frank, "mentions")] {
        let set = person.put(&format!("/api/chats/{team}/notify"), json!({"level": level})).await;
        assert!(set.status < 300, "{}", set.body);
    }
    let blocked = erin.put("/api/users/me/blocks/alice", json!({})).await;
    assert_eq!(blocked.status, 204, "{}", blocked.body);
    let first = post(ivan, team, "first", None).await;
    post(judy, team, "second", Some(first)).await;
    let data = server.path().to_str().unwrap();
    let deactivated = netbit(server.path(), &["user", "deactivate", "dave", "--data-dir", data], &[]).await;
    assert!(deactivated.status.success());
    let message = post(&alice, team, "@bob, answer this", Some(first)).await;
    let direct = alice.http.create_chat(&json!({"kind": "direct", "participants": ["grace"]})).await.unwrap();
    let alone = post(&alice, direct, "hello", None).await;
    await_notifications(&server, &alice).await;

    let mut text = String::new();
    let cases = [
        (message, &bob.name),
        (message, &ivan.name),
        (message, &judy.name),
        (alone, &grace.name),
        (message, &alice.name),
        (message, &carol.name),
        (message, &dave.name),
        (message, &erin.name),
        (message, &frank.name),
        (message, &grace.name),
        (message, &outsider.name),
        (message, &"nemo".to_owned()),
        (9999, &bob.name),
    ];
    for (message, user) in cases {
        let id = message.to_string();
        let arguments = ["notify", "explain", "--message", &id, "--user", user];
        let all = [&arguments[..], &["--data-dir", data]].concat();
        let output = netbit(server.path(), &all, &[]).await;
        text.push_str(&format!("{}\n", transcript(&arguments, &output)));
    }
    assert_text("notify_explain", &mask(&text, &[TIME]));
    server.stop().await;
}
