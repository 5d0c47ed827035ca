//! Under load, connections are ended, PostgreSQL crashes, and the server is killed.
//!
//! `NETBIT_HISTORY_ROUNDS` (default 2), `NETBIT_HISTORY_OPERATIONS` (default 2,000 in total) and
//! `NETBIT_HISTORY_SEED` set the load.

use std::path::Path;

use super::private_server::{PrivateServer, query, terminate_connections};
use super::{UnclearCommits, assert_models_were_compared};
use crate::durability::history::{History, setting};
use crate::harness::{Process, postgres};

/// The faults of a round. After the last one, the server is killed.
const FAULTS: [Fault; 4] = [Fault::Terminated, Fault::Terminated, Fault::Crashed, Fault::Terminated];
/// In each round, the answers of two COMMITs are lost, and two COMMITs are not executed.
const FAIL_POINTS: &str = "commit.unclear=20*off->1*return->20*off->1*return->off;\
                           commit.fails=30*off->1*return->20*off->1*return->off";

#[derive(Debug, Clone, Copy)]
enum Fault {
    /// All connections of the server end.
    Terminated,
    /// PostgreSQL ends without a checkpoint, and starts again.
    Crashed,
}

async fn start(directory: &Path, database: &PrivateServer, points: &str) -> Process {
    let environment = [
        database.environment(),
        ("FAILPOINTS", points),
        ("NETBIT_LIMITS__READ_ONLY_PROBE_MS", "50"),
        // Longer than any run.
        ("NETBIT_LIMITS__ACCESS_TOKEN_SECONDS", "86400"),
    ];
    Process::logging(directory, &environment, &directory.join("log")).await
}

#[actix_web::test]
async fn nothing_is_lost_or_doubled_when_postgres_fails_under_load() {
    if !postgres::is_used() {
        return;
    }
    let (rounds, operations) =
        (setting("NETBIT_HISTORY_ROUNDS", 2), setting("NETBIT_HISTORY_OPERATIONS", 2_000));
    let seed = setting("NETBIT_HISTORY_SEED", 1);
    println!("NETBIT_HISTORY_SEED={seed}");
    let (directory, database) = (tempfile::tempdir().unwrap(), PrivateServer::start().await);
    let mut server = start(directory.path(), &database, "").await;
    let history = History::prepare(&server, seed).await;
    let steps = rounds * (u64::try_from(FAULTS.len()).unwrap() + 1);
    let (mut step, mut ended, mut crashes) = (0, 0, 0);
    let mut unclear = UnclearCommits::default();
    for _ in 0..rounds {
        server.kill();
        server = start(directory.path(), &database, FAIL_POINTS).await;
        history.moved(Some(&server));
        for fault in FAULTS {
            step += 1;
            history.until(step * operations / steps, &mut server).await;
            match fault {
                Fault::Terminated => ended += terminate_connections(&database.url),
                Fault::Crashed => {
                    database.crash().await;
                    database.start_again().await;
                    crashes += 1;
                }
            }
        }
        step += 1;
        history.until(step * operations / steps, &mut server).await;
        unclear += UnclearCommits::of(&server).await;
        assert!(!server.has_ended(), "the server ended by itself");
        history.moved(None);
    }
    server.kill();
    server = start(directory.path(), &database, "").await;
    let judged = history.judge(&server).await;
    let log = "SELECT count(*) = max(commit_no) - min(commit_no) + 1 FROM commits";
    assert_eq!(query(&database.url, log), "t", "the log of commits is dense");
    println!(
        "{rounds} kills, {crashes} crashes of PostgreSQL, {ended} ended connections, {unclear:?}, {judged}"
    );
    server.stop().await;
    assert_models_were_compared(&directory.path().join("log"));
}
