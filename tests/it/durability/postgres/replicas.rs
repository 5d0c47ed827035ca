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

/// A wrong URL was found only at the first read of old messages, which may be days later.
#[actix_web::test]
async fn hosts_other_than_standbys_are_named_after_the_start() {
    if !postgres::is_used() {
        return;
    }
    let (directory, primary) = (tempfile::tempdir().unwrap(), PrivateServer::start().await);
    // Another server of NetBit, on another database of the same PostgreSQL.
    query(&primary.url, "CREATE DATABASE other");
    let (base, _) = primary.url.rsplit_once('/').unwrap();
    let other = tempfile::tempdir().unwrap();
    let of_other = format!("{base}/other");
    Process::with(other.path(), &[("NETBIT_DATABASE", &of_other)]).await.stop().await;
    let standby = primary.standby().await;
    let address = |url: &str| url.rsplit_once('/').unwrap().0.rsplit_once('@').unwrap().1.to_owned();
    let (user, _) = standby.url.rsplit_once('@').unwrap();
    let (right, of_primary) = (address(&standby.url), address(&primary.url));
    let log = directory.path().join("log");
    let logged = async |replicas: &str, count: usize| {
        let environment =
            [primary.environment(), ("NETBIT_DATABASE_REPLICAS", replicas), ("NETBIT_LOG__LEVEL", "info")];
        let server = Process::logging(directory.path(), &environment, &log).await;
        until(async || std::fs::read_to_string(&log).unwrap().matches("the read replica ").count() == count)
            .await;
        server.stop().await;
        std::fs::read_to_string(&log).unwrap()
    };
    let database = primary.url.rsplit_once('/').unwrap().1;
    let text = logged(&format!("{user}@127.0.0.1:1,{right},{of_primary}/{database}"), 3).await;
    let line = |place: &str| {
        let of_replica = |line: &&str| line.contains("the read replica ") && line.contains(place);
        text.lines().find(of_replica).unwrap_or_else(|| panic!("{place} is not in {text}")).to_owned()
    };
    assert!(line(&right).contains("is a standby of the database"), "{text}");
    assert!(line(&of_primary).contains("it accepts writes"), "{text}");
    assert!(line("127.0.0.1:1/").contains("cannot connect to PostgreSQL"), "{text}");
    let text = logged(&format!("{user}@{right}/other"), 1).await;
    assert!(text.contains("is a standby of another one"), "{text}");
}
