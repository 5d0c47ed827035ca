//! A read replica answers for history, unless it is behind or gone.

use netbit::client::HttpClient;
use netbit::client::metrics::Scrape;
use netbit::domain::ids::ChatId;
use serde_json::json;

use super::alice_in_a_group;
use super::private_server::{PrivateServer, query};
use crate::harness::{Process, postgres, until};

/// Messages in memory: older ones are read from the database.
const WINDOW: &str = "5";

/// Returns how many reads had this outcome at replicas.
async fn reads(server: &Process, outcome: &str) -> f64 {
    let (_, text) = server.operations("/metrics").await;
    Scrape::parse(&text).sum("netbit_replica_reads_total", &[("outcome", outcome)])
}

async fn send(user: &HttpClient, chat: ChatId, numbers: std::ops::Range<i64>) {
    for number in numbers {
        let path = format!("/api/chats/{chat}/messages");
        let sent = user.post(&path, &json!({"content": number.to_string()})).await.unwrap();
        assert_eq!(sent.status, 201, "{}", sent.body);
    }
}

/// Asserts that the newest of these messages are shown. They are older than those in memory.
async fn assert_shown(user: &HttpClient, chat: ChatId, numbers: std::ops::Range<i64>) {
    // The first event of a chat is the join of its owner.
    let path = format!("/api/chats/{chat}/messages?before_seq={}&limit=10", numbers.end + 2);
    let page = user.get(&path).await.unwrap();
    assert_eq!(page.status, 200, "{}", page.body);
    let shown = page.body["items"].as_array().unwrap().iter();
    let shown: Vec<_> = shown.map(|item| item["content"].as_str().unwrap().to_owned()).collect();
    assert_eq!(shown, numbers.map(|number| number.to_string()).collect::<Vec<_>>());
}

#[actix_web::test]
async fn replica_answers_for_history_while_it_is_current() {
    if !postgres::is_used() {
        return;
    }
    let (directory, primary) = (tempfile::tempdir().unwrap(), PrivateServer::start().await);
    let standby = primary.standby().await;
    let environment =
        [primary.environment(), ("NETBIT_DATABASE_REPLICAS", &standby.url), ("NETBIT_CACHE__WINDOW", WINDOW)];
    let server = Process::with(directory.path(), &environment).await;
    let (alice, chat) = alice_in_a_group(&server).await;
    send(&alice, chat, 0..30).await;
    until(async || {
        assert_shown(&alice, chat, 10..20).await;
        reads(&server, "answered").await > 0.0
    })
    .await;

    query(&standby.url, "SELECT pg_wal_replay_pause()");
    until(async || query(&standby.url, "SELECT pg_get_wal_replay_pause_state()") == "paused").await;
    send(&alice, chat, 30..60).await;
    let answered = reads(&server, "answered").await;
    until(async || {
        // The replica lacks all of these messages.
        assert_shown(&alice, chat, 40..50).await;
        reads(&server, "behind").await > 0.0
    })
    .await;
    assert!((reads(&server, "answered").await - answered).abs() < 0.5, "an old replica has answered");

    query(&standby.url, "SELECT pg_wal_replay_resume()");
    until(async || {
        assert_shown(&alice, chat, 40..50).await;
        reads(&server, "answered").await > answered
    })
    .await;

    standby.crash().await;
    until(async || {
        assert_shown(&alice, chat, 10..20).await;
        reads(&server, "failed").await > 0.0
    })
    .await;
}
