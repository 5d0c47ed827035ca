//! The read models are loaded again while the read of a snapshot takes long or fails.

use netbit::client::metrics::Scrape;

use super::alice_in_a_group;
use super::private_server::{Locked, query};
use crate::durability::kills::whole_history;
use crate::harness::{Process, postgres, soon, until};

/// The encoding of no events.
const NO_EVENTS: &str = "82a66576656e747390a86f7264696e616c7390";
/// A format that no version reads: the read models are loaded again.
const UNKNOWN: i16 = 99;

/// Commits an empty row in the name of another node.
fn commit(database: &str, format: i16) {
    query(
        database,
        &format!(
            "INSERT INTO commits (commit_no, batch, node, effect, format, events, created_at) \
             SELECT max(commit_no) + 1, decode(md5(random()::text), 'hex'), 9, 0, {format}, \
             decode('{NO_EVENTS}', 'hex'), 0 FROM commits; NOTIFY netbit_commits, '9'"
        ),
    );
}

async fn reloads(server: &Process) -> f64 {
    let (_, text) = server.operations("/metrics").await;
    Scrape::parse(&text).sum("netbit_cache_reloads_total", &[])
}

/// Returns once a reader waits for the lock.
async fn until_blocked(database: &str) {
    let blocked = "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
                   AND application_name = 'netbit' AND datname = current_database()";
    until(async || query(database, blocked) == "t").await;
}

/// A reload that was requested during a reload was dropped. The commit after it then did not follow
/// the snapshot, and the process ended.
#[actix_web::test]
async fn reload_during_a_reload_reads_a_later_snapshot() {
    if !postgres::is_used() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let server = Process::start(directory.path()).await;
    let (alice, chat) = alice_in_a_group(&server).await;
    let database = postgres::url(directory.path()).unwrap();
    let locked = Locked::new(&database, "users").await;
    commit(&database, UNKNOWN);
    until_blocked(&database).await;
    commit(&database, UNKNOWN);
    until(async || reloads(&server).await == 2.0).await;
    commit(&database, 1);
    let applied = async || {
        let (_, text) = server.operations("/metrics").await;
        Scrape::parse(&text).sum("netbit_commits_remote_total", &[])
    };
    until(async || applied().await == 3.0).await;
    drop(locked);
    soon(alice.post_message(chat, "after")).await.unwrap();
    assert_eq!(whole_history(&alice, chat).await.len(), 1);
    assert_eq!(reloads(&server).await, 2.0);
    server.stop().await;
}

/// A single failed read of a snapshot ended the process.
#[actix_web::test]
async fn snapshot_is_read_again_after_its_connection_was_lost() {
    if !postgres::is_used() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let server = Process::start(directory.path()).await;
    let (alice, chat) = alice_in_a_group(&server).await;
    let database = postgres::url(directory.path()).unwrap();
    let locked = Locked::new(&database, "users").await;
    commit(&database, UNKNOWN);
    for _ in 0..2 {
        until_blocked(&database).await;
        let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                   WHERE wait_event_type = 'Lock' AND application_name = 'netbit' \
                   AND datname = current_database()";
        query(&database, end);
    }
    until_blocked(&database).await;
    drop(locked);
    soon(alice.post_message(chat, "after")).await.unwrap();
    assert_eq!(whole_history(&alice, chat).await.len(), 1);
    assert_eq!(reloads(&server).await, 1.0);
    server.stop().await;
}
