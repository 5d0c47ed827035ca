//! The server without a step that keeps it right: the tests of the other files would find it.

use netbit::client::{HttpClient, TcpClient, saying};
use netbit::domain::ids::ChatId;
use netbit::domain::message::ClientId;

use super::alice_in_a_group;
use super::private_server::query;
use crate::durability::kills::whole_history;
use crate::harness::{PASSWORD, Process, postgres, soon};

struct Fixture {
    directory: tempfile::TempDir,
    server: Process,
    alice: HttpClient,
    chat: ChatId,
}

impl Fixture {
    async fn start(points: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let server = Process::with(directory.path(), &[("FAILPOINTS", points)]).await;
        let (alice, chat) = alice_in_a_group(&server).await;
        Self { directory, server, alice, chat }
    }
}

/// A server that takes an unclear COMMIT for a commit acknowledges messages that are not stored.
#[actix_web::test]
async fn assumed_commits_lose_acknowledged_messages() {
    if !postgres::is_used() {
        return;
    }
    let points = "commit.fails=8*off->1*return->off;commit.believed=return";
    let Fixture { directory, mut server, alice, chat } = Fixture::start(points).await;
    let (mut session, _) = TcpClient::open(server.tcp(), alice.token().unwrap()).await.unwrap();
    let mut acknowledged = Vec::new();
    // The server ends when the next transaction does not find the commit.
    for n in 0..20 {
        let content = format!("message {n}");
        let answer = soon(session.request(saying(chat, ClientId::fresh(), &content))).await;
        if answer.is_err() {
            break;
        }
        acknowledged.push(content);
    }
    server.kill();
    let server = Process::start(directory.path()).await;
    let alice = server.http.with_token(server.http.login("alice", PASSWORD).await.unwrap().token);
    let stored = whole_history(&alice, chat).await.into_iter().map(|message| message.content);
    let stored: Vec<_> = stored.collect();
    assert_ne!(stored, acknowledged, "an acknowledged message is lost");
    server.stop().await;
}

/// A server that does not read its own newest commit back leaves a hole in the log when an older
/// database replaces its own.
#[actix_web::test]
async fn ignored_loss_of_commits_leaves_a_hole_in_the_log() {
    if !postgres::is_used() {
        return;
    }
    let fixture = Fixture::start("commit.lost_ignored=return").await;
    fixture.alice.post_message(fixture.chat, "one").await.unwrap();
    let database = postgres::url(fixture.directory.path()).unwrap();
    query(&database, "DELETE FROM commits WHERE commit_no = (SELECT max(commit_no) FROM commits)");
    soon(fixture.alice.post_message(fixture.chat, "two")).await.unwrap();
    let is_dense = "SELECT count(*) = max(commit_no) - min(commit_no) + 1 FROM commits";
    assert_eq!(query(&database, is_dense), "f", "the log has a hole");
    let mut server = fixture.server;
    server.kill();
}
