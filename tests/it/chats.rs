//! Chats and their participants, over REST.

use serde_json::{Value, json};

use crate::harness::{Person, TestServer, assert_problem, database};

#[actix_web::test]
async fn direct_chat_exists_once_per_pair() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let first = alice.post("/api/chats", json!({"kind": "direct", "participants": ["bob"]})).await;
    assert_eq!(first.status, 201);
    let again = bob.post("/api/chats", json!({"kind": "direct", "participants": ["alice"]})).await;
    assert_eq!((again.status, &again.body["id"]), (200, &first.body["id"]));
    assert_eq!((&first.body["peer"], &again.body["peer"]), (&json!("bob"), &json!("alice")));
    assert_eq!(alice.get("/api/chats").await.body["items"][0]["peer"], "bob");
    for bad in [json!([]), json!(["alice"]), json!(["bob", "carol"])] {
        assert_problem(
            &alice.post("/api/chats", json!({"kind": "direct", "participants": bad})).await,
            422,
            "validation",
        );
    }
    let path = format!("/api/chats/{}/participants/alice", first.body["id"]);
    assert_problem(&alice.delete(&path).await, 403, "forbidden");
    server.stop().await;
}

#[actix_web::test]
async fn group_is_hidden_from_users_who_are_not_in_it() {
    let server = TestServer::start().await;
    let (alice, eve) = (server.user("alice").await, server.user("eve").await);
    let chat = alice.group(&[]).await;
    for path in ["", "/messages", "/events", "/participants"] {
        let existing = eve.get(&format!("/api/chats/{chat}{path}")).await;
        let missing = eve.get(&format!("/api/chats/999{path}")).await;
        assert_problem(&existing, 404, "not_found");
        assert_eq!(existing.body["detail"], missing.body["detail"]);
        for id in [chat.0, 999] {
            let anonymous = server.http.get(&format!("/api/chats/{id}{path}")).await.unwrap();
            assert_problem(&anonymous, 401, "unauthenticated");
        }
    }
    assert_problem(&eve.say(chat, "hello").await, 404, "not_found");
    assert_problem(
        &eve.put(&format!("/api/chats/{chat}/participants/eve"), json!({})).await,
        404,
        "not_found",
    );
    assert_problem(
        &eve.patch(&format!("/api/chats/{chat}"), json!({"name": "mine"})).await,
        404,
        "not_found",
    );
    assert_problem(&eve.post(&format!("/api/chats/{chat}/read"), json!({})).await, 404, "not_found");
    assert_eq!(eve.get("/api/chats").await.body["items"], json!([]));
    server.stop().await;
}

#[actix_web::test]
async fn roles_are_granted_by_higher_roles_and_last_owner_stays() {
    let server = TestServer::start().await;
    let (alice, bob, carol) =
        (server.user("alice").await, server.user("bob").await, server.user("carol").await);
    let chat = alice.group(&[&bob]).await;
    let person = |name: &str| format!("/api/chats/{chat}/participants/{name}");

    assert_problem(&bob.put(&person("carol"), json!({})).await, 403, "forbidden");
    assert_problem(&bob.put(&person("bob"), json!({"role": "admin"})).await, 403, "forbidden");
    assert_eq!(alice.put(&person("bob"), json!({"role": "admin"})).await.status, 204);
    assert_eq!(bob.put(&person("carol"), json!({})).await.status, 201);
    assert_problem(&bob.put(&person("carol"), json!({"role": "owner"})).await, 403, "forbidden");
    assert_problem(&bob.delete(&person("alice")).await, 403, "forbidden");
    assert_problem(&alice.put(&person("carol"), json!({"role": "reader"})).await, 422, "validation");
    assert_problem(&alice.put(&person("nosuch"), json!({})).await, 404, "not_found");

    assert_problem(&alice.delete(&person("alice")).await, 409, "conflict");
    assert_problem(&alice.put(&person("alice"), json!({"role": "member"})).await, 409, "conflict");
    assert_eq!(alice.put(&person("carol"), json!({"role": "owner"})).await.status, 204);
    assert_eq!(alice.delete(&person("alice")).await.status, 204);
    assert_problem(&alice.get(&format!("/api/chats/{chat}")).await, 404, "not_found");
    assert_problem(&alice.say(chat, "am I still here?").await, 404, "not_found");

    let people = carol.get(&format!("/api/chats/{chat}/participants")).await.body;
    let roles: Vec<_> = people["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| (p["username"].clone(), p["role"].clone()))
        .collect();
    assert_eq!(roles, [(json!("bob"), json!("admin")), (json!("carol"), json!("owner"))]);
    server.stop().await;
}

#[actix_web::test]
async fn channel_is_joinable_by_all_users_and_readers_cannot_post() {
    let server = TestServer::start().await;
    let (alice, bob, carol) =
        (server.user("alice").await, server.user("bob").await, server.user("carol").await);
    let channel = alice.post("/api/chats", json!({"kind": "channel", "name": "News"})).await.body["id"]
        .as_i64()
        .unwrap();
    let taken = bob.post("/api/chats", json!({"kind": "channel", "name": "news"})).await;
    assert_problem(&taken, 409, "conflict");

    let found = bob.get("/api/chats?joinable=true").await.body;
    assert_eq!((&found["items"][0]["id"], &found["items"][0]["name"]), (&json!(channel), &json!("News")));
    let seen = bob.get(&format!("/api/chats/{channel}")).await;
    assert_eq!((seen.status, &seen.body["participants"]), (200, &json!([])), "but not its participants");
    assert_problem(&bob.get(&format!("/api/chats/{channel}/messages")).await, 403, "forbidden");

    assert_eq!(bob.put(&format!("/api/chats/{channel}/participants/bob"), json!({})).await.status, 201);
    assert_eq!(bob.say(netbit::domain::ids::ChatId(channel), "hello").await.status, 201);
    let reader = format!("/api/chats/{channel}/participants/carol");
    assert_problem(&carol.put(&reader, json!({"role": "owner"})).await, 403, "forbidden");
    assert_eq!(carol.put(&reader, json!({"role": "reader"})).await.status, 201);
    assert_eq!(carol.contents(netbit::domain::ids::ChatId(channel)).await, ["hello"]);
    assert_problem(&carol.say(netbit::domain::ids::ChatId(channel), "psst").await, 403, "forbidden");
    assert_eq!(bob.get("/api/chats?joinable=true").await.body["items"], json!([]));
    server.stop().await;
}

#[actix_web::test]
async fn archived_chat_is_read_only_until_it_is_reopened() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    let path = format!("/api/chats/{chat}");
    assert_problem(&bob.patch(&path, json!({"archived": true})).await, 403, "forbidden");
    let changed = alice.patch(&path, json!({"archived": true, "name": "old team"})).await.body;
    assert_eq!((&changed["archived"], &changed["name"]), (&json!(true), &json!("old team")));
    assert_problem(&bob.say(chat, "too late").await, 403, "forbidden");
    assert_eq!(bob.contents(chat).await, Vec::<String>::new());
    alice.patch(&path, json!({"archived": false})).await;
    assert_eq!(bob.say(chat, "back again").await.status, 201);
    let kinds: Vec<Value> = alice.get(&format!("{path}/events")).await.body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["kind"].clone())
        .collect();
    assert_eq!(kinds, ["join", "join", "rename", "archive", "archive", "message"]);
    server.stop().await;
}

#[actix_web::test]
async fn change_without_effect_makes_no_event() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    let before = alice.get(&format!("/api/chats/{chat}")).await.body["last_seq"].clone();
    alice.patch(&format!("/api/chats/{chat}"), json!({"name": "team", "archived": false})).await;
    assert_eq!(
        alice.put(&format!("/api/chats/{chat}/participants/bob"), json!({"role": "member"})).await.status,
        204
    );
    assert_eq!(alice.get(&format!("/api/chats/{chat}")).await.body["last_seq"], before);
    server.stop().await;
}

#[actix_web::test]
async fn list_pages_continue_after_the_last_item() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    for _ in 0..5 {
        alice.group(&[]).await;
    }
    let (mut path, mut seen) = ("/api/chats?limit=2".to_owned(), Vec::new());
    loop {
        let page = alice.get(&path).await;
        seen.extend(page.body["items"].as_array().unwrap().iter().map(|chat| chat["id"].as_i64().unwrap()));
        let Some(link) = page.header("link") else {
            assert_eq!(page.body.get("next"), None);
            break;
        };
        let (target, rel) = link.split_once(">; ").unwrap();
        assert_eq!(rel, "rel=\"next\"");
        path = target.trim_start_matches('<').to_owned();
    }
    assert_eq!(seen, [1, 2, 3, 4, 5]);
    for bad in ["limit=0", "limit=101", "limit=-1", "limit=1000000000", "limit=x", "cursor=x"] {
        assert_problem(&alice.get(&format!("/api/chats?{bad}")).await, 400, "bad_request");
    }
    server.stop().await;
}

#[actix_web::test]
async fn unread_counts_messages_and_reading_only_goes_forward() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    for n in 0..3 {
        alice.say(chat, &format!("message {n}")).await;
    }
    let unread = async || bob.get("/api/chats").await.body["items"][0]["unread_count"].as_i64().unwrap();
    let read = async |body| bob.post(&format!("/api/chats/{chat}/read"), body).await;
    assert_eq!(unread().await, 3, "joins do not count");
    assert_eq!(read(json!({"read_seq": 4})).await.body["read_seq"], 4);
    assert_eq!(unread().await, 1);
    assert_eq!(read(json!({"read_seq": 1})).await.body["read_seq"], 4);
    assert_problem(&read(json!({"read_seq": 99})).await, 422, "validation");
    assert_eq!(read(json!({})).await.body["read_seq"], 5);
    assert_eq!(unread().await, 0);
    server.stop().await;
}

#[actix_web::test]
async fn invalid_new_chat_is_refused() {
    let server = TestServer::with_limits(|limits| limits.create_participants = 2).await;
    let alice = server.user("alice").await;
    for bad in [
        json!({"kind": "group"}),
        json!({"kind": "group", "name": ""}),
        json!({"kind": "group", "name": "a\u{7}b"}),
        json!({"kind": "group", "name": "a\u{202e}b"}),
        json!({"kind": "group", "name": "x".repeat(81)}),
        json!({"kind": "group", "name": "x", "participants": ["nosuch"]}),
        json!({"kind": "group", "name": "x", "participants": ["a", "b", "c"]}),
        json!({"kind": "party", "name": "x"}),
        json!({"kind": "direct", "name": "x", "participants": ["alice"]}),
        json!({"kind": "group", "name": "x", "owner": "eve"}),
    ] {
        assert_problem(&alice.post("/api/chats", bad).await, 422, "validation");
    }
    assert_eq!(alice.get("/api/chats").await.body["items"], json!([]));
    server.stop().await;
}

#[actix_web::test]
async fn participants_per_chat_and_chats_per_user_are_limited() {
    let server = TestServer::with_limits(|limits| {
        (limits.participants_per_chat, limits.chats_per_user) = (2, 2);
    })
    .await;
    let (alice, _bob, _carol) =
        (server.user("alice").await, server.user("bob").await, server.user("carol").await);
    let chat = alice.group(&[]).await;
    assert_eq!(alice.put(&format!("/api/chats/{chat}/participants/bob"), json!({})).await.status, 201);
    assert_problem(
        &alice.put(&format!("/api/chats/{chat}/participants/carol"), json!({})).await,
        409,
        "conflict",
    );
    alice.group(&[]).await;
    assert_problem(
        &alice.post("/api/chats", json!({"kind": "group", "name": "third"})).await,
        409,
        "conflict",
    );
    server.stop().await;
}

/// Regression: leaving and joining again turned a reader into a member, and undid a removal.
#[actix_web::test]
async fn rejoining_a_channel_grants_no_higher_role() {
    let server = TestServer::start().await;
    let (alice, bob, carol) =
        (server.user("alice").await, server.user("bob").await, server.user("carol").await);
    let made = alice.post("/api/chats", json!({"kind": "channel", "name": "News"})).await;
    let channel = format!("/api/chats/{}", made.body["id"]);
    let person = |name: &str| format!("{channel}/participants/{name}");

    bob.put(&person("bob"), json!({})).await;
    alice.put(&person("bob"), json!({"role": "reader"})).await;
    assert_eq!(bob.delete(&person("bob")).await.status, 204);
    assert_problem(&bob.put(&person("bob"), json!({})).await, 403, "forbidden");
    assert_eq!(bob.put(&person("bob"), json!({"role": "reader"})).await.status, 201);

    carol.put(&person("carol"), json!({})).await;
    alice.delete(&person("carol")).await;
    assert_problem(&carol.put(&person("carol"), json!({})).await, 403, "forbidden");
    assert_eq!(alice.put(&person("carol"), json!({})).await.status, 201);
    assert_eq!(carol.delete(&person("carol")).await.status, 204);
    alice.patch(&channel, json!({"archived": true})).await;
    assert_problem(&carol.put(&person("carol"), json!({})).await, 403, "forbidden");
    server.stop().await;
}

#[actix_web::test]
async fn chat_changes_are_rate_limited_by_affected_users() {
    let server =
        TestServer::with_limits(|limits| (limits.changes_burst, limits.changes_per_second) = (4, 1)).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let chat = alice.group(&[&bob]).await;
    alice.group(&[&bob]).await;
    let answer = alice.patch(&format!("/api/chats/{chat}"), json!({"name": "other"})).await;
    assert_problem(&answer, 429, "rate_limited");
    assert_eq!(alice.say(chat, "messages have their own rate").await.status, 201);
    assert_eq!(bob.put(&format!("/api/chats/{chat}/participants/bob"), json!({})).await.status, 204);
    server.stop().await;
}

/// Regression: being added to chats by others used up a user's own quota.
#[actix_web::test]
async fn memberships_by_others_do_not_use_up_a_users_chat_quota() {
    let server = TestServer::with_limits(|limits| limits.chats_per_user = 3).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    for _ in 0..3 {
        alice.group(&[&bob]).await;
    }
    let carol = server.user("carol").await;
    assert_eq!(
        carol.post("/api/chats", json!({"kind": "direct", "participants": ["bob"]})).await.status,
        201
    );
    assert_eq!(bob.get("/api/chats").await.body["items"].as_array().unwrap().len(), 4);
    server.stop().await;
}

/// Regression: two channels `café` existed, one with a precomposed and one with a combining accent.
#[actix_web::test]
async fn channel_name_is_unique_across_unicode_forms() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let make = async |person: &Person, name: &str| {
        person.post("/api/chats", json!({"kind": "channel", "name": name})).await
    };
    let first = make(&alice, "cafe\u{301}").await;
    assert_eq!((first.status, &first.body["name"]), (201, &json!("caf\u{e9}")));
    for same in ["caf\u{e9}", "cafe\u{301}", "CAFE\u{301}", " Caf\u{c9} "] {
        assert_problem(&make(&alice, same).await, 409, "conflict");
    }
    let other = make(&alice, "other").await.body["id"].clone();
    let renamed = alice.patch(&format!("/api/chats/{other}"), json!({"name": "cafe\u{301}"})).await;
    assert_problem(&renamed, 409, "conflict");
    for blank in ["\u{3164}", "\u{200d}", " \u{2800}"] {
        assert_problem(&make(&alice, blank).await, 422, "validation");
        let group = json!({"kind": "group", "name": blank});
        assert_problem(&alice.post("/api/chats", group).await, 422, "validation");
    }
    // A channel of an earlier version keeps its name, and no other channel can get it.
    let directory = server.stop_and_keep().await;
    let mut db = database::writer(directory.path());
    let old = "UPDATE chats SET name = 'nai\u{308}ve', channel_key = 'nai\u{308}ve' WHERE name = 'other'";
    db.batch_execute(old);
    drop(db);
    let server = TestServer::on(directory).await;
    let alice = server.login("alice").await;
    assert_eq!(alice.get(&format!("/api/chats/{other}")).await.body["name"], "nai\u{308}ve");
    for same in ["na\u{ef}ve", "nai\u{308}ve", "NA\u{cf}VE"] {
        assert_problem(&make(&alice, same).await, 409, "conflict");
    }
    server.stop().await;
}
