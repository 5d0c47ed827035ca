//! Notifications of what happens in chats. Those of pushes are with the tests of git.

use diesel::RunQueryDsl;
use netbit::core::config::Synchronous;
use netbit::core::database::open_writer;
use netbit::domain::ids::ChatId;
use serde_json::{Value, json};

use crate::harness::{Person, TestServer, assert_problem};

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
async fn told(person: &Person) -> Vec<(String, String)> {
    let answer = person.get("/api/notifications?unread=true").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let text = |one: &Value, field: &str| one[field].as_str().unwrap().to_owned();
    let items = answer.body["items"].as_array().unwrap().clone();
    assert_eq!(person.post("/api/notifications/read", json!({})).await.status, 204);
    items.iter().map(|one| (text(one, "kind"), text(one, "text"))).collect()
}

fn one(kind: &str, text: &str) -> Vec<(String, String)> {
    vec![(kind.into(), text.into())]
}

async fn reply(person: &Person, chat: ChatId, to: &Value, content: &str) {
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

#[actix_web::test]
async fn everybody_is_named_in_small_chats_only_so_that_a_message_stays_a_small_command() {
    let server = TestServer::with_limits(|limits| limits.notifications_per_command = 2).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let carol = server.user("carol").await;
    let small = alice.group(&[&bob]).await;
    let big = alice.group(&[&bob, &carol]).await;
    told(&bob).await;
    alice.say(small, "@all").await;
    assert_eq!(told(&bob).await.len(), 1);
    alice.say(big, "@all and @carol").await;
    assert_eq!((told(&bob).await.len(), told(&carol).await[0].0.as_str()), (0, "mention"));
    server.stop().await;
}

/// Twelve of these notified bob or carol, or nobody, before there was one grammar.
#[actix_web::test]
async fn mention_in_code_quote_or_link_notifies_no_member() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let jo = server.user("jo").await;
    let team = alice.group(&[&bob, &jo]).await;
    told(&bob).await;
    told(&jo).await;
    for silent in [
        "`@all`",
        "run `x @bob`",
        "```\n@bob @all\n```",
        "> @bob said so\nyes",
        "https://example.org/@bob",
        "[@bob](https://example.org)",
        "@bob\u{e9} @joANNA x@all",
    ] {
        alice.say(team, silent).await;
        assert_eq!((told(&bob).await, told(&jo).await), (vec![], vec![]), "{silent}");
    }
    for loud in ["@Bob, look", "`x` @bob", "> x\n@BOB.", "(@bob)", "\u{2014}@bob\u{ff0c}"] {
        alice.say(team, loud).await;
        assert_eq!(told(&bob).await, one("mention", "alice mentioned you in team"), "{loud}");
    }
    alice.say(team, "@ALL!").await;
    assert_eq!((told(&bob).await.len(), told(&jo).await.len()), (1, 1));
    server.stop().await;
}

/// 60 names without a member behind them hid those who came after.
#[actix_web::test]
async fn unknown_names_do_not_hide_members() {
    let server = TestServer::with_limits(|limits| limits.mentions_per_message = 2).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let (carol, dora) = (server.user("carol").await, server.user("dora").await);
    let stranger = server.user("eve").await;
    let team = alice.group(&[&bob, &carol, &dora]).await;
    for person in [&bob, &carol, &dora] {
        told(person).await;
    }
    let unknown: String = (0..600).map(|n| format!("@x{n} ")).collect();
    alice.say(team, &format!("{unknown} @eve @dora @dora @bob @carol")).await;
    assert_eq!(told(&dora).await.len(), 1);
    assert_eq!(told(&bob).await.len(), 1);
    assert_eq!(told(&carol).await, [], "the third member is beyond the limit");
    assert_eq!(told(&stranger).await, [], "not in the chat");
    server.stop().await;
}

/// `bob-` could be registered, and `@bob-` named bob.
#[actix_web::test]
async fn older_name_that_ends_in_punctuation_can_be_mentioned() {
    let server = TestServer::start().await;
    for name in ["bob-", "bob_", "bob."] {
        let body = json!({"username": name, "password": crate::harness::PASSWORD});
        assert_problem(&server.http.post("/api/users/register", &body).await.unwrap(), 422, "validation");
    }
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let older = server.user("older").await;
    let team = alice.group(&[&bob, &older]).await;
    let server = server
        .restart(|config| {
            let mut db = open_writer(&config.data_dir.0.join("netbit.db"), Synchronous::Full).unwrap();
            let renamed = "UPDATE users SET username = 'bob_' WHERE username = 'older'";
            assert_eq!(diesel::sql_query(renamed).execute(&mut db).unwrap(), 1);
        })
        .await;
    let alice = server.login("alice").await;
    let (bob, older) = (server.login("bob").await, server.login("bob_").await);
    told(&bob).await;
    told(&older).await;
    for (text, of_bob, of_older) in [("@bob_, look", 0, 1), ("@bob-", 1, 0), ("@bob_. and _@Bob", 1, 1)] {
        alice.say(team, text).await;
        assert_eq!((told(&bob).await.len(), told(&older).await.len()), (of_bob, of_older), "{text}");
    }
    server.stop().await;
}
