//! The position of a chat at a time.

use netbit::domain::ids::ChatId;

use crate::harness::{Person, TestServer, assert_problem, database};

/// The position at so many seconds after 2026-11-24T09:00:00Z.
async fn at(person: &Person, chat: ChatId, second: u32) -> i64 {
    let time = format!("2026-11-24T09:00:{second:02}.000Z");
    let found = person.get(&format!("/api/chats/{chat}/seq?at={time}")).await;
    assert_eq!(found.status, 200, "{}", found.body);
    found.body["seq"].as_i64().unwrap()
}

/// Sets the time of each event, in seconds after 9:00, while the server is stopped. `times` is an
/// SQL expression.
async fn dated(server: TestServer, times: &str) -> TestServer {
    let directory = server.stop_and_keep().await;
    let mut db = database::writer(directory.path());
    for table in ["messages", "chat_events"] {
        let sql = format!("UPDATE {table} SET created_at = 1795510800000 + 1000 * ({times})");
        db.execute(&sql);
    }
    drop(db);
    TestServer::on(directory).await
}

#[actix_web::test]
async fn seq_at_time_is_the_first_event_from_then_on() {
    let server = TestServer::start().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let eve = server.user("eve").await;
    let team = alice.group(&[&bob]).await;
    for n in 0..3 {
        alice.say(team, &format!("message {n}")).await;
    }
    let last = alice.get(&format!("/api/chats/{team}")).await.body["last_seq"].as_i64().unwrap();
    assert_eq!(last, 5, "two joins and three messages");
    drop((alice, bob, eve));
    let server = dated(server, "seq * 10").await;
    let (alice, eve) = (server.login("alice").await, server.login("eve").await);
    for (second, seq) in [(0, 1), (10, 1), (11, 2), (20, 2), (25, 3), (40, 4), (41, 5), (50, 5), (59, 5)] {
        assert_eq!(at(&alice, team, second).await, seq, "second {second}");
    }
    let path = format!("/api/chats/{team}/seq");
    assert_problem(&eve.get(&format!("{path}?at=2026-11-24T09:00:00Z")).await, 404, "not_found");
    assert_problem(
        &server.http.get(&format!("{path}?at=2026-11-24T09:00:00Z")).await.unwrap(),
        401,
        "unauthenticated",
    );
    for bad in ["", "?at=yesterday", "?at=2026-11-24"] {
        assert_problem(&alice.get(&format!("{path}{bad}")).await, 400, "bad_request");
    }
    assert_eq!(alice.get(&format!("{path}?at=2026-11-24T10:00:25%2B01:00")).await.body["seq"], 3);
    for (end, seq) in [("9999-12-31T23:59:59Z", 5), ("-009999-01-01T00:00:00Z", 1)] {
        assert_eq!(alice.get(&format!("{path}?at={end}")).await.body["seq"], seq, "{end}");
    }
    server.stop().await;
}

/// A clock that was set back by an hour and more.
#[actix_web::test]
async fn seq_at_time_begins_a_later_part_when_the_clock_fell() {
    let server = TestServer::start().await;
    let alice = server.user("alice").await;
    let team = alice.group(&[]).await;
    for n in 0..7 {
        alice.say(team, &format!("message {n}")).await;
    }
    drop(alice);
    let server = dated(server, "CASE WHEN seq <= 4 THEN seq * 10 ELSE (seq - 4) * 10 END").await;
    let alice = server.login("alice").await;
    let time = |seq: i64| if seq <= 4 { seq * 10 } else { (seq - 4) * 10 };
    for second in [5, 15, 25, 35] {
        let seq = at(&alice, team, second).await;
        assert!(time(seq) >= i64::from(second), "second {second}: {seq}");
        assert!(seq == 1 || time(seq - 1) < i64::from(second), "second {second}: {seq}");
    }
    server.stop().await;
}
