//! Threads: the users who are notified of their replies.

use netbit::domain::ids::ChatId;
use netbit::protocol::packet::MessagePacket;
use serde_json::{Value, json};

use crate::harness::{Person, TestServer, assert_problem, soon};
use crate::notifications::{await_notifications, reply, single, take_notifications};

async fn first_of(person: &Person, chat: ChatId) -> Value {
    person.say(chat, "what do we do?").await.body["id"].clone()
}

/// Returns the newest message of the chat.
async fn newest(person: &Person, chat: ChatId) -> Value {
    let page = person.get(&format!("/api/chats/{chat}/messages?limit=1")).await.body;
    page["items"][0]["id"].clone()
}

/// Regression: carol replied to bob in alice's thread, and alice was not notified.
#[actix_web::test]
async fn participants_of_a_thread_are_notified_of_replies() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let (carol, dora) = (server.user("carol").await, server.user("dora").await);
    let team = alice.group(&[&bob, &carol, &dora]).await;
    for person in [&bob, &carol, &dora] {
        take_notifications(person).await;
    }
    let first = first_of(&alice, team).await;
    reply(&bob, team, &first, "wait").await;
    assert_eq!(take_notifications(&alice).await, single("reply", "bob replied to you in team"));
    let of_bob = newest(&bob, team).await;
    reply(&carol, team, &of_bob, "no, act").await;
    assert_eq!(
        take_notifications(&alice).await,
        single("thread", "carol wrote in a thread that you follow in team")
    );
    assert_eq!(take_notifications(&bob).await, single("reply", "carol replied to you in team"));
    assert_eq!((take_notifications(&carol).await, take_notifications(&dora).await), (vec![], vec![]));
    // A user who is also mentioned is not notified twice.
    reply(&carol, team, &of_bob, "@alice, what do you say?").await;
    assert_eq!(take_notifications(&alice).await, single("mention", "carol mentioned you in team"));
    assert_eq!(take_notifications(&bob).await.len(), 1);
    // The notification level of the chat applies to threads.
    alice.put(&format!("/api/chats/{team}/notify"), json!({"level": "mentions"})).await;
    reply(&carol, team, &of_bob, "well?").await;
    assert_eq!((take_notifications(&alice).await.len(), take_notifications(&bob).await.len()), (0, 1));
    // A user who left the chat is not notified.
    bob.delete(&format!("/api/chats/{team}/participants/bob")).await;
    reply(&carol, team, &first, "so?").await;
    assert_eq!((take_notifications(&alice).await, take_notifications(&bob).await), (vec![], vec![]));
    server.stop().await;
}

#[actix_web::test]
async fn muted_thread_notifies_of_mentions_only() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let (carol, stranger) = (server.user("carol").await, server.user("eve").await);
    let team = alice.group(&[&bob, &carol]).await;
    for person in [&bob, &carol] {
        take_notifications(person).await;
    }
    let first = first_of(&alice, team).await;
    reply(&bob, team, &first, "one").await;
    let of_bob = newest(&bob, team).await;
    take_notifications(&alice).await;
    let path = format!("/api/chats/{team}/messages/{of_bob}/follow");
    assert_eq!(alice.delete(&path).await.status, 204);
    reply(&bob, team, &first, "two").await;
    assert_eq!(take_notifications(&alice).await, []);
    // The thread stays muted when its user writes in it, and after a restart.
    reply(&alice, team, &of_bob, "three").await;
    take_notifications(&bob).await;
    let server = server.restart(|_| ()).await;
    let (alice, bob) = (server.login("alice").await, server.login("bob").await);
    let (carol, stranger) = (server.login("carol").await, server.login(&stranger.name).await);
    reply(&bob, team, &first, "four").await;
    assert_eq!(take_notifications(&alice).await, []);
    reply(&bob, team, &first, "five, @alice").await;
    assert_eq!(take_notifications(&alice).await.len(), 1);

    // The thread is followed again over a session, also by a user who never wrote in it.
    let follow = |remove| MessagePacket {
        packet_type: "Follow".into(),
        chat_id: Some(team),
        message_id: first.as_i64().map(netbit::domain::ids::MessageId),
        remove: Some(remove),
        ..MessagePacket::default()
    };
    let (mut session, mut other) = (alice.tcp().await, carol.tcp().await);
    assert!(soon(session.ask(follow(false))).await.unwrap().success);
    assert!(soon(other.ask(follow(false))).await.unwrap().success);
    reply(&bob, team, &first, "six").await;
    assert_eq!(
        (take_notifications(&alice).await[0].0.as_str(), take_notifications(&carol).await[0].0.as_str()),
        ("reply", "thread")
    );
    assert!(soon(other.ask(follow(true))).await.unwrap().success);
    reply(&bob, team, &first, "seven").await;
    assert_eq!((take_notifications(&alice).await.len(), take_notifications(&carol).await.len()), (1, 0));

    assert_problem(&stranger.put(&path, json!({})).await, 404, "not_found");
    assert_problem(
        &alice.put(&format!("/api/chats/{team}/messages/999/follow"), json!({})).await,
        404,
        "not_found",
    );
    let refused = soon(session.ask(MessagePacket { chat_id: None, ..follow(false) })).await.unwrap();
    assert_eq!(refused.code.as_deref(), Some("bad_request"));
    server.stop().await;
}

/// More users than a message notifies by itself: the replies are notified in slices, mentioned
/// users first.
#[actix_web::test]
async fn thread_with_many_followers_notifies_each_once() {
    let server = TestServer::with_limits(|limits| {
        limits.notifications_per_message = 1;
        limits.notifications_per_command = 2;
    })
    .await;
    let alice = server.user("alice").await;
    let mut people = Vec::new();
    for n in 0..5 {
        people.push(server.user(&format!("p{n}")).await);
    }
    let team = alice.group(&people.iter().collect::<Vec<_>>()).await;
    let first = first_of(&alice, team).await;
    for person in &people {
        reply(person, team, &first, "me, too").await;
    }
    await_notifications(&server, &alice).await;
    for person in people.iter().chain([&alice]) {
        take_notifications(person).await;
    }
    let of_last = newest(&alice, team).await;
    reply(&people[0], team, &of_last, "@p1 @p2 and @alice").await;
    await_notifications(&server, &alice).await;
    let mut kinds = Vec::new();
    for person in people.iter().chain([&alice]) {
        kinds.push(
            take_notifications(person).await.into_iter().map(|(kind, _)| kind).collect::<Vec<_>>().join(" "),
        );
    }
    assert_eq!(kinds, ["", "mention", "mention", "thread", "reply", "mention"]);
    server.stop().await;
}
