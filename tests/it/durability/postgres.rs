//! PostgreSQL as the database: its server, its connections or their answers fail.
//!
//! The tests run with `NETBIT_TEST_DATABASE=postgres` only. Those that stop PostgreSQL start their
//! own server with `scripts/check/postgres.sh`.

mod load;
mod mutations;
mod nodes;
mod older;
mod outage;
pub(crate) mod private_server;
mod reloads;
mod replicas;

use std::ops::AddAssign;
use std::path::Path;
use std::time::Instant;

use netbit::client::metrics::Scrape;
use netbit::client::{HttpClient, TcpClient, TcpError, saying};
use netbit::domain::ids::ChatId;
use netbit::domain::message::ClientId;
use serde_json::json;

use super::kills::{assert_dense, whole_history};
use crate::harness::{PASSWORD, Process, eventually, postgres, soon, until};
use private_server::{Locked, PrivateServer, query};

/// COMMITs without an answer, by the outcome that the server read from the log.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
struct UnclearCommits {
    committed: f64,
    rolled_back: f64,
    unknown: f64,
}

impl UnclearCommits {
    async fn of(server: &Process) -> Self {
        let (_, text) = server.operations("/metrics").await;
        let metrics = Scrape::parse(&text);
        let count = |outcome| metrics.sum("netbit_commits_unclear_total", &[("outcome", outcome)]);
        Self { committed: count("committed"), rolled_back: count("rolled_back"), unknown: count("unknown") }
    }
}

impl AddAssign for UnclearCommits {
    fn add_assign(&mut self, other: Self) {
        self.committed += other.committed;
        self.rolled_back += other.rolled_back;
        self.unknown += other.unknown;
    }
}

/// Registers a user, who logs in and makes a group.
async fn alice_in_a_group(server: &Process) -> (HttpClient, ChatId) {
    server.http.register("alice", PASSWORD).await.unwrap();
    let alice = server.http.with_token(server.http.login("alice", PASSWORD).await.unwrap().token);
    let chat = alice.create_group("team", &[]).await.unwrap();
    (alice, chat)
}

/// Asserts that a stopped server did compare its read models with the database. Its exit status
/// shows that they were equal.
fn assert_models_were_compared(log: &Path) {
    let log = std::fs::read_to_string(log).unwrap();
    assert!(!log.contains("could not be compared"), "{log}");
}

/// The answers of four COMMITs are lost, and three COMMITs are not executed. No client notices. One
/// of the lost answers is that of the empty row behind a batch, which confirms the batch.
#[actix_web::test]
async fn unclear_commit_is_answered_as_the_log_shows() {
    if !postgres::is_used() {
        return;
    }
    let points = "commit.unclear=3*off->1*return->2*off->2*return->1*off->1*return->off;\
                  commit.fails=6*off->1*return->3*off->2*return->off";
    let expected = UnclearCommits { committed: 3.0, rolled_back: 3.0, unknown: 0.0 };
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let server = Process::logging(directory.path(), &[("FAILPOINTS", points)], &log).await;
    let (alice, chat) = alice_in_a_group(&server).await;
    let (mut session, _) = TcpClient::open(server.tcp(), alice.token().unwrap()).await.unwrap();
    let mut acknowledged = Vec::new();
    // The server makes some of the commits by itself.
    while acknowledged.len() < 20 || UnclearCommits::of(&server).await != expected {
        let (name, content) = (ClientId::fresh(), format!("message {}", acknowledged.len()));
        let ack = soon(session.request(saying(chat, name, &content))).await.unwrap();
        let again = soon(session.request(saying(chat, name, &content))).await.unwrap();
        assert_eq!(again.duplicate, Some(true));
        assert_eq!((again.message_id, again.seq), (ack.message_id, ack.seq));
        acknowledged.push((ack.message_id.unwrap().0, ack.seq.unwrap(), name, content));
        assert!(acknowledged.len() < 60, "{:?}", UnclearCommits::of(&server).await);
    }
    let stored = whole_history(&alice, chat).await.into_iter();
    let stored: Vec<_> = stored.map(|it| (it.id.0, it.seq, it.client_id, it.content)).collect();
    assert_eq!(stored, acknowledged);
    assert_dense(&alice, chat).await;
    println!("{} acknowledged, {expected:?}", acknowledged.len());
    server.stop().await;
    assert_models_were_compared(&log);
}

/// A transaction that could not begin was never rolled back, and no later one could begin.
#[actix_web::test]
async fn writes_go_on_when_a_wait_for_a_lock_was_cancelled() {
    if !postgres::is_used() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let server = Process::start(directory.path()).await;
    let (alice, chat) = alice_in_a_group(&server).await;
    let database = postgres::url(directory.path()).unwrap();
    let locked = Locked::new(&database, "commits").await;

    let name = ClientId::fresh();
    let token = alice.token().unwrap().to_owned();
    let tcp = server.tcp();
    let waiting = actix::spawn(async move {
        let (mut session, _) = TcpClient::open(tcp, &token).await.unwrap();
        soon(session.request(saying(chat, name, "once"))).await
    });
    let cancel = "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity \
                  WHERE application_name = 'netbit' AND wait_event_type = 'Lock' \
                  AND datname = current_database()";
    // The server also reads the log without a transaction: such a wait may be cancelled first.
    until(async || {
        query(&database, cancel);
        waiting.is_finished()
    })
    .await;
    drop(locked);
    let Err(TcpError::Refused(nack)) = soon(waiting).await.unwrap() else { panic!() };
    assert_eq!(nack.code.as_deref(), Some("overloaded"), "nothing was executed: {nack:?}");

    let (mut session, _) = TcpClient::open(server.tcp(), alice.token().unwrap()).await.unwrap();
    let ack = soon(session.request(saying(chat, name, "once"))).await.unwrap();
    assert_ne!(ack.duplicate, Some(true));
    assert_eq!(whole_history(&alice, chat).await.len(), 1);
    server.stop().await;
}

/// While PostgreSQL is stopped, writes are refused and can be repeated; the rest of the server
/// answers. Nothing has to be restarted afterwards.
#[actix_web::test]
async fn writes_are_refused_until_postgres_starts_again() {
    if !postgres::is_used() {
        return;
    }
    let (directory, database) = (tempfile::tempdir().unwrap(), PrivateServer::start().await);
    let log = directory.path().join("log");
    let environment = [database.environment(), ("NETBIT_LIMITS__READ_ONLY_PROBE_MS", "200")];
    let server = Process::logging(directory.path(), &environment, &log).await;
    let (alice, chat) = alice_in_a_group(&server).await;
    alice.post_message(chat, "before").await.unwrap();
    let (mut session, _) = TcpClient::open(server.tcp(), alice.token().unwrap()).await.unwrap();
    let contents = async || {
        let stored = whole_history(&alice, chat).await.into_iter();
        stored.map(|message| message.content).collect::<Vec<_>>()
    };

    database.crash().await;
    let path = format!("/api/chats/{chat}/messages");
    let name = uuid::Uuid::from_bytes(ClientId::fresh().0);
    let body = json!({"client_id": name, "content": "repeated"});
    // The first write waits for a new connection; the next ones are refused at once.
    for _ in 0..3 {
        let begun = Instant::now();
        let refused = soon(alice.post(&path, &body)).await.unwrap();
        assert_eq!((refused.status, refused.code()), (503, "overloaded"), "{}", refused.body);
        assert!(refused.header("retry-after").is_some(), "{:?}", refused.headers);
        println!("refused after {:?}", begun.elapsed());
        assert_eq!(contents().await, ["before"], "cached messages are read");
        let (status, metrics) = server.operations("/metrics").await;
        assert_eq!(status, 200);
        assert!(metrics.contains("\nnetbit_read_only 1\n"), "{metrics}");
    }
    let Err(TcpError::Refused(nack)) = soon(session.say(chat, "refused")).await else { panic!() };
    assert_eq!(nack.code.as_deref(), Some("overloaded"));

    database.start_again().await;
    let begun = Instant::now();
    let answer = eventually(async || {
        let answer = alice.post(&path, &body).await.unwrap();
        (answer.status != 503).then_some(answer)
    });
    assert_eq!(answer.await.status, 201);
    println!("written {:?} after the start of PostgreSQL", begun.elapsed());
    assert!(soon(session.say(chat, "after")).await.unwrap().success, "the session has stayed");
    assert_eq!(contents().await, ["before", "repeated", "after"]);
    let (_, metrics) = server.operations("/metrics").await;
    assert!(metrics.contains("\nnetbit_read_only 0\n"), "{metrics}");
    assert_dense(&alice, chat).await;
    server.stop().await;
    assert_models_were_compared(&log);
}
