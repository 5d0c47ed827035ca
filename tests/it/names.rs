//! User names: resolved from ids, and found by prefix.

use netbit::core::config::RegistrationPolicy;
use netbit::domain::ids::UserId;
use netbit::protocol::packet::MessagePacket;
use serde_json::{Value, json};

use crate::harness::{Person, TestServer, assert_problem};

/// Returns the user names in an answer.
fn names(body: &Value) -> Vec<&str> {
    body["items"].as_array().unwrap().iter().map(|user| user["username"].as_str().unwrap()).collect()
}

async fn by_id(reader: &Person, ids: &[UserId]) -> Value {
    let ids: Vec<_> = ids.iter().map(UserId::to_string).collect();
    let found = reader.get(&format!("/api/users?ids={}", ids.join(","))).await;
    assert_eq!(found.status, 200, "{}", found.body);
    found.body
}

fn get_users(ids: &[UserId]) -> MessagePacket {
    MessagePacket { packet_type: "GetUsers".into(), user_ids: Some(ids.to_vec()), ..MessagePacket::default() }
}

/// Carol posts in a group and leaves. Dave is removed and deactivated. Regression: Bob had only
/// their ids.
#[actix_web::test]
async fn reader_resolves_users_who_left_or_were_deactivated() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.admin("alice").await, server.user("bob").await);
    let (carol, dave, eve) =
        (server.user("carol").await, server.user("dave").await, server.user("eve").await);
    let chat = alice.group(&[&bob, &carol, &dave]).await;
    for person in [&carol, &dave] {
        assert_eq!(person.say(chat, "hello").await.status, 201);
    }
    assert_eq!(carol.delete(&format!("/api/chats/{chat}/participants/carol")).await.status, 204);
    assert_eq!(alice.delete(&format!("/api/chats/{chat}/participants/dave")).await.status, 204);
    let out = alice.patch("/api/admin/users/dave", json!({"active": false})).await;
    assert_eq!(out.status, 200);

    let wanted = [alice.id, bob.id, carol.id, dave.id, eve.id, UserId(999)];
    let found = by_id(&bob, &wanted).await;
    assert_eq!(names(&found), ["alice", "bob", "carol", "dave"], "eve shares nothing with bob");
    assert_eq!((&found["items"][3]["active"], &found["items"][2]["active"]), (&json!(false), &Value::Null));
    let (mut session, names_for) = (bob.tcp().await, by_id(&eve, &wanted).await);
    assert_eq!(names(&names_for), ["eve"], "a stranger learns no name from an id");
    let answer = session.ask(get_users(&wanted)).await.unwrap();
    let people: Vec<_> = answer.people.iter().map(|user| (user.username.as_str(), user.active)).collect();
    assert_eq!(people, [("alice", true), ("bob", true), ("carol", true), ("dave", false)]);

    // A user who left reads no new events of the chat, so later members stay unknown. After a
    // return the user resolves all members.
    assert_eq!(alice.put(&format!("/api/chats/{chat}/participants/eve"), json!({})).await.status, 201);
    assert_eq!(names(&by_id(&carol, &wanted).await), ["carol"]);
    assert_eq!(alice.put(&format!("/api/chats/{chat}/participants/carol"), json!({})).await.status, 201);
    assert_eq!(names(&by_id(&carol, &wanted).await), ["alice", "bob", "carol", "dave", "eve"]);

    for bad in ["ids=", "ids=x", "ids=1&prefix=a", "", "ids=1&colour=red"] {
        assert_problem(&bob.get(&format!("/api/users?{bad}")).await, 400, "bad_request");
    }
    let many: Vec<_> = (1..=101).map(UserId).collect();
    let ids: Vec<_> = many.iter().map(UserId::to_string).collect();
    assert_problem(&bob.get(&format!("/api/users?ids={}", ids.join(","))).await, 400, "bad_request");
    let refused = session.ask(get_users(&many)).await.unwrap();
    assert_eq!(refused.code.as_deref(), Some("bad_request"));
    let refused = session.ask(MessagePacket { user_ids: None, ..get_users(&[]) }).await.unwrap();
    assert_eq!(refused.code.as_deref(), Some("bad_request"));
    server.stop().await;
}

/// Users who are not in a public project's channel read it.
#[actix_web::test]
async fn visitor_of_a_public_channel_resolves_its_users() {
    let server = TestServer::start().await;
    let (alice, bob, eve) = (server.user("alice").await, server.user("bob").await, server.user("eve").await);
    let made = alice.post("/api/projects/create", json!({"name": "open", "visibility": "public"})).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let member = "/api/projects/alice/open/members/bob";
    assert_eq!(alice.put(member, json!({"role": "writer"})).await.status, 201);
    assert_eq!(names(&by_id(&eve, &[alice.id, bob.id]).await), ["alice", "bob"]);
    assert_eq!(alice.delete(member).await.status, 204);
    assert_eq!(names(&by_id(&eve, &[alice.id, bob.id]).await), ["alice", "bob"]);
    let hidden = alice.patch("/api/projects/alice/open", json!({"visibility": "private"})).await;
    assert_eq!(hidden.status, 200, "{}", hidden.body);
    assert!(names(&by_id(&eve, &[alice.id, bob.id]).await).is_empty());
    server.stop().await;
}

#[actix_web::test]
async fn prefix_finds_acquaintances_and_an_exact_name() {
    let server = TestServer::start().await;
    let (alice, _) = (server.admin("alice").await, server.user("bo").await);
    for name in ["bob", "bobby", "boris", "carl"] {
        server.user(name).await;
    }
    let find = async |query: &str| {
        let found = alice.get(&format!("/api/users?prefix={query}")).await;
        assert_eq!(found.status, 200, "{}", found.body);
        names(&found.body).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(find("bo").await, ["bo"], "an exact name is found");
    alice.http.create_group("team", &["bobby", "boris"]).await.unwrap();
    assert_eq!(find("Bo").await, ["bo", "bobby", "boris"]);
    assert_eq!(find("bo&limit=1").await, ["bo"]);
    assert_eq!(find("bo&cursor=bo").await, ["bobby", "boris"]);
    assert_eq!(find("alic").await, ["alice"]);
    assert_eq!(alice.patch("/api/admin/users/boris", json!({"active": false})).await.status, 200);
    assert_eq!(find("bo").await, ["bo", "bobby"]);
    server.stop().await;
}

/// Regression: the cursor was the last name that the search scanned, so bisection revealed
/// strangers and deactivated users.
#[actix_web::test]
async fn prefix_search_gives_no_cursor_with_a_strangers_name() {
    let server = TestServer::with_limits(|limits| limits.users_scanned = 1).await;
    let alice = server.admin("alice").await;
    for name in ["zbob", "zcarl", "zdora"] {
        server.user(name).await;
    }
    alice.http.create_group("team", &["zcarl", "zdora"]).await.unwrap();
    assert_eq!(alice.patch("/api/admin/users/zcarl", json!({"active": false})).await.status, 200);
    for query in ["z", "z&cursor=zb", "z&cursor=zbob", "z&limit=1", "z&limit=1&cursor=zc", ""] {
        let page = alice.get(&format!("/api/users?prefix={query}")).await.body;
        let expected = if query.is_empty() { &["alice", "zdora"][..] } else { &["zdora"] };
        assert_eq!((names(&page).as_slice(), &page["next"]), (expected, &Value::Null), "{query}: {page}");
    }
    let first = alice.get("/api/users?prefix=&limit=1").await.body;
    assert_eq!((names(&first), &first["next"]), (vec!["alice"], &json!("alice")));
    let eve = server.user("zeve").await;
    let page = eve.get("/api/users?prefix=z&limit=1").await.body;
    assert_eq!((names(&page), &page["next"]), (vec!["zeve"], &Value::Null));
    server.stop().await;
}

/// Regression: one message compared all chats of a hundred users, and all other messages waited for
/// it.
#[actix_web::test]
async fn lookups_of_many_users_are_split_into_several_messages() {
    let server = TestServer::with_limits(|limits| {
        (limits.chats_compared, limits.memberships_scanned) = (1, 3);
        (limits.lookups_burst, limits.lookups_per_second) = (5, 1);
    })
    .await;
    let (alice, bob, carl, stranger) = (
        server.user("alice").await,
        server.user("bob").await,
        server.user("carl").await,
        server.user("stranger").await,
    );
    alice.group(&[&bob, &carl]).await;
    alice.group(&[&carl]).await;
    let ids = [alice.id, bob.id, carl.id, stranger.id];
    assert_eq!(names(&by_id(&alice, &ids).await), ["alice", "bob", "carl"]);
    let seen = alice.get("/api/presence?users=carl,stranger,bob,alice").await.body;
    let seen: Vec<_> = seen["items"].as_array().unwrap().iter().map(|view| &view["user_id"]).collect();
    assert_eq!(seen, [carl.id, stranger.id, bob.id, alice.id].map(|id| json!(id)).each_ref());
    assert_problem(&alice.get("/api/presence?users=bob,nosuch").await, 404, "not_found");
    // The search scans two memberships of the newer chat and one of the older chat.
    assert_eq!(names(&alice.get("/api/users?prefix=").await.body), ["alice", "carl"]);
    assert_eq!(names(&alice.get("/api/users?prefix=bob").await.body), ["bob"]);
    let path = "/api/users?prefix=bob";
    let mut answer = alice.get(path).await;
    for _ in 0..100 {
        if answer.status == 429 {
            break;
        }
        answer = alice.get(path).await;
    }
    assert_problem(&answer, 429, "rate_limited");
    assert_eq!(bob.get(path).await.status, 200, "others have their own rate");
    server.stop().await;
}

#[actix_web::test]
async fn prefix_finds_every_active_user_when_registration_is_closed() {
    let server = TestServer::start().await;
    for name in ["alice", "bob", "bobby", "boris"] {
        server.user(name).await;
    }
    let server = server
        .restart(|config| {
            config.accounts.registration = RegistrationPolicy::Closed;
            config.limits.users_scanned = 2;
        })
        .await;
    let alice = server.login("alice").await;
    let (mut found, mut path) = (Vec::new(), "/api/users?prefix=bo".to_owned());
    loop {
        let page = alice.get(&path).await.body;
        found.extend(names(&page).into_iter().map(str::to_owned));
        match page["next"].as_str() {
            Some(next) => path = format!("/api/users?prefix=bo&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(found, ["bob", "bobby", "boris"], "the search is split into pages");
    server.stop().await;
}

#[actix_web::test]
async fn prefix_finds_display_names_of_the_same_users() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let (carl, dora) = (server.user("carl").await, server.user("dora").await);
    for (person, name) in [(&bob, "Alan Turing"), (&carl, "Älan"), (&dora, "ALAN")] {
        assert_eq!(person.patch("/api/users/me", json!({"display_name": name})).await.status, 200);
    }
    alice.group(&[&bob, &carl]).await;
    let find = async |person: &Person, query: &str| {
        let page = person.get(&format!("/api/users?prefix={query}")).await.body;
        names(&page).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(find(&alice, "al").await, ["alice", "bob"]);
    assert_eq!(find(&alice, "%C3%84L").await, ["carl"]);
    assert_eq!(find(&alice, "alan").await, ["bob"], "a complete display name finds no stranger");
    let server = server.restart(|config| config.accounts.registration = RegistrationPolicy::Closed).await;
    let (alice, bob) = (server.login("alice").await, server.login("bob").await);
    assert_eq!(find(&alice, "al").await, ["alice", "bob", "dora"]);
    assert_eq!(find(&alice, "al&limit=1").await, ["alice"]);
    assert_eq!(find(&alice, "al&limit=1&cursor=alice").await, ["bob"]);
    assert_eq!(find(&alice, "al&cursor=bob").await, ["dora"]);
    assert_eq!(find(&alice, "turing").await, Vec::<String>::new());
    assert_eq!(bob.patch("/api/users/me", json!({"display_name": "Bob"})).await.status, 200);
    assert_eq!(find(&alice, "al").await, ["alice", "dora"]);
    server.stop().await;
}
