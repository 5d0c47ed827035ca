//! The database is older than what the server has acknowledged: commits are missing.
//!
//! The server then ends instead of answering from memory. The next start sets a new epoch and ends
//! all logins, because the ids of lost rows are assigned a second time.

use std::path::Path;
use std::process::{Command, Stdio};

use netbit::client::{HttpClient, TcpClient};
use netbit::domain::ids::ChatId;

use super::private_server::{query, terminate_connections};
use crate::durability::kills::{assert_dense, whole_history};
use crate::harness::postgres::psql;
use crate::harness::{PASSWORD, Process, postgres, soon};

const ANOTHER_BATCH: &str = "UPDATE commits SET batch = '\\x00' \
                             WHERE commit_no = (SELECT max(commit_no) FROM commits)";
const TWO_MORE_COMMITS: &str = "INSERT INTO commits (commit_no, batch, node, effect, format, events, created_at) \
                                SELECT max(commit_no) + more, '\\x01', 0, 0, 1, '', 0 \
                                FROM commits, generate_series(1, 2) AS more GROUP BY more";

/// A server with a user who is in a chat.
struct Fixture {
    directory: tempfile::TempDir,
    server: Process,
    database: String,
    alice: HttpClient,
    refresh_token: String,
    chat: ChatId,
}

impl Fixture {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let server = Process::start(directory.path()).await;
        server.http.register("alice", PASSWORD).await.unwrap();
        let account = server.http.login("alice", PASSWORD).await.unwrap();
        let alice = server.http.with_token(account.token);
        let chat = alice.create_group("team", &[]).await.unwrap();
        let database = postgres::url(directory.path()).unwrap();
        Self { directory, server, database, alice, refresh_token: account.refresh_token, chat }
    }

    async fn say(&self, content: &str) {
        self.alice.post_message(self.chat, content).await.unwrap();
    }

    async fn epoch(&self) -> i64 {
        epoch(&self.server, &self.alice).await
    }

    /// The server ends at the next write. The next start recognises the database.
    async fn assert_server_ends_and_resets(mut self, epoch_before: i64, contents: &[&str]) {
        let answer = soon(self.alice.post_message(self.chat, "into the wrong database")).await;
        assert!(answer.is_err(), "acknowledged: {answer:?}");
        assert_eq!(self.server.end().await, Some(75));

        self.server = Process::start(self.directory.path()).await;
        let old = self.server.http.with_token(self.alice.token().unwrap());
        assert_eq!(old.get("/api/chats").await.unwrap().status, 401, "the old access token is void");
        assert!(self.server.http.refresh(&self.refresh_token).await.is_err(), "the login has ended");
        let account = self.server.http.login("alice", PASSWORD).await.unwrap();
        self.alice = self.server.http.with_token(account.token);
        assert_ne!(self.epoch().await, epoch_before);
        self.say("after").await;
        let stored = whole_history(&self.alice, self.chat).await;
        let stored: Vec<_> = stored.iter().map(|message| message.content.as_str()).collect();
        assert_eq!(stored, contents);
        assert_dense(&self.alice, self.chat).await;
        self.server.stop().await;
    }
}

async fn epoch(server: &Process, http: &HttpClient) -> i64 {
    let (_, welcome) = soon(TcpClient::open(server.tcp(), http.token().unwrap())).await.unwrap();
    welcome.epoch.unwrap()
}

#[actix_web::test]
async fn server_ends_when_the_newest_commit_is_missing() {
    if !postgres::is_used() {
        return;
    }
    let fixture = Fixture::start().await;
    let epoch = fixture.epoch().await;
    fixture.say("one").await;
    query(&fixture.database, "DELETE FROM commits WHERE commit_no = (SELECT max(commit_no) FROM commits)");
    fixture.assert_server_ends_and_resets(epoch, &["one", "after"]).await;
}

/// Another server has written to an older copy: the position of the database is not lower.
#[actix_web::test]
async fn server_ends_when_its_newest_commit_is_another() {
    if !postgres::is_used() {
        return;
    }
    for statements in [&[ANOTHER_BATCH][..], &[ANOTHER_BATCH, TWO_MORE_COMMITS]] {
        let fixture = Fixture::start().await;
        let epoch = fixture.epoch().await;
        fixture.say("one").await;
        for statement in statements {
            query(&fixture.database, statement);
        }
        fixture.assert_server_ends_and_resets(epoch, &["one", "after"]).await;
    }
}

#[actix_web::test]
async fn server_ends_when_an_older_dump_is_restored() {
    if !postgres::is_used() {
        return;
    }
    let fixture = Fixture::start().await;
    let epoch = fixture.epoch().await;
    fixture.say("in the dump").await;
    let dump = fixture.directory.path().join("dump.sql");
    let mut command = Command::new("pg_dump");
    command.arg("-d").arg(&fixture.database).arg("-f").arg(&dump).stdin(Stdio::null());
    assert!(command.status().unwrap().success());
    for content in ["lost", "lost too"] {
        fixture.say(content).await;
    }
    restore(&fixture.database, &dump);
    fixture.assert_server_ends_and_resets(epoch, &["in the dump", "after"]).await;
}

/// Replaces the content of the database. The connections end, as with a real restore.
fn restore(database: &str, dump: &Path) {
    let statements = ["DROP SCHEMA public CASCADE", "CREATE SCHEMA public"].map(str::to_owned);
    psql(database, &statements).unwrap();
    let mut command = Command::new("psql");
    command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", database]).arg("-f").arg(dump);
    assert!(command.stdin(Stdio::null()).stdout(Stdio::null()).status().unwrap().success());
    terminate_connections(database);
}
