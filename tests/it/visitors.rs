//! The users who show that they are at a file or a comparison.

use serde_json::{Value, json};

use crate::harness::{Person, TestServer, assert_problem, soon};

const VISITORS: &str = "/api/projects/alice/hello/repos/web/visitors";

async fn visit(person: &Person, place: &str) -> Vec<i64> {
    let seen = person.post(VISITORS, json!({"place": place})).await;
    assert_eq!(seen.status, 200, "{}", seen.body);
    ids(&seen.body)
}

fn ids(body: &Value) -> Vec<i64> {
    body["items"].as_array().unwrap().iter().map(|item| item["user_id"].as_i64().unwrap()).collect()
}

#[actix_web::test]
async fn members_at_one_place_see_each_other() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let eve = server.user("eve").await;
    alice.hello_web("private").await;
    alice.member("hello", "bob", "reader").await;
    assert_eq!(visit(&alice, "src/main.rs").await, [0_i64; 0]);
    assert_eq!(visit(&bob, "main...fix").await, [0_i64; 0]);
    assert_eq!(visit(&bob, "src/main.rs").await, [alice.id.0]);
    assert_eq!(visit(&alice, "src/main.rs").await, [bob.id.0]);
    let left = bob.post(VISITORS, json!({"place": "src/main.rs", "stays": false})).await;
    assert_eq!(ids(&left.body), [alice.id.0]);
    assert_eq!(visit(&alice, "src/main.rs").await, [0_i64; 0]);
    assert_eq!(visit(&alice, "main...fix").await, [bob.id.0]);
    // A user who is invisible is at no place.
    let (mut session, _) = bob.tcp_welcomed().await;
    let status = |status: &str| netbit::protocol::packet::MessagePacket {
        packet_type: "Status".into(),
        status: Some(status.into()),
        ..Default::default()
    };
    assert!(soon(session.ask(status("invisible"))).await.unwrap().success);
    assert_eq!(visit(&alice, "main...fix").await, [0_i64; 0]);
    // The choice outlasts the session, until another session is visible.
    drop(session);
    assert_eq!(visit(&bob, "main...fix").await, [alice.id.0]);
    assert_eq!(visit(&alice, "main...fix").await, [0_i64; 0]);
    let (mut session, _) = bob.tcp_welcomed().await;
    assert!(soon(session.ask(status("online"))).await.unwrap().success);
    assert_eq!(visit(&bob, "main...fix").await, [alice.id.0]);
    assert_eq!(visit(&alice, "main...fix").await, [bob.id.0]);

    assert_problem(&eve.post(VISITORS, json!({"place": "x"})).await, 404, "not_found");
    assert_eq!(alice.patch("/api/projects/alice/hello", json!({"visibility": "public"})).await.status, 200);
    assert_problem(&eve.post(VISITORS, json!({"place": "x"})).await, 403, "forbidden");
    for place in [String::new(), "x".repeat(5000)] {
        assert_problem(&alice.post(VISITORS, json!({"place": place})).await, 422, "validation");
    }
    server.stop().await;
}

/// Regression: they stayed listed until their place expired.
#[actix_web::test]
async fn removed_and_deactivated_members_are_not_listed() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.admin("alice").await, server.user("bob").await);
    let carol = server.user("carol").await;
    alice.hello_web("private").await;
    for name in ["bob", "carol"] {
        alice.member("hello", name, "reader").await;
    }
    visit(&bob, "README").await;
    visit(&carol, "README").await;
    assert_eq!(visit(&alice, "README").await, [bob.id.0, carol.id.0]);
    assert_eq!(alice.delete("/api/projects/alice/hello/members/bob").await.status, 204);
    assert_eq!(visit(&alice, "README").await, [carol.id.0]);
    let off = alice.patch("/api/admin/users/carol", json!({"active": false})).await;
    assert_eq!(off.status, 200, "{}", off.body);
    assert_eq!(visit(&alice, "README").await, [0_i64; 0]);
    server.stop().await;
}
