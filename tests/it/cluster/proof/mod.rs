//! Three nodes lose and double nothing, whatever fails.
//!
//! Three processes write to a private server of PostgreSQL, each in a network namespace of its own.
//! Clients write, read and follow their chats; they change the node at any time, resend unanswered
//! messages at another node, and continue there with their cursors. Nodes, links and the database
//! fail meanwhile. The judge checks at the end:
//!
//! * An acknowledged message is stored once, at the place of its acknowledgement.
//! * A refused message is not stored.
//! * Every client and every node has the same events as the database.
//! * The seqs of a chat and the numbers of commits have no gaps.
//! * A user who was removed from a chat saw nothing that was committed later.
//!
//! Without settings, each fault happens once, in the order of the seed. Settings:
//!
//! | Variable | Meaning |
//! |---|---|
//! | `NETBIT_PROOF_SECONDS` | random faults for so long (default: each fault once) |
//! | `NETBIT_PROOF_SEED` | the first seed (default 1) |
//! | `NETBIT_PROOF_SEEDS` | the number of trials, with consecutive seeds (default 1) |
//! | `NETBIT_PROOF_FAULTS` | the names of faults, separated by commas (default: all) |
//! | `NETBIT_PROOF_NETWORK` | `proxies`: no network namespaces |
//! | `NETBIT_PROOF_BINARY` | the program of the nodes. A release has no fail points: name the faults, without `KilledInCommit` |

mod client;
mod database;
mod faults;
mod namespaces;
mod network;
mod nodes;
mod promotion;
mod proxies;
mod removals;
mod trial;
mod world;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::seq::SliceRandom;

use crate::durability::history::setting;
use crate::harness::{postgres, until};
use database::Replication;
use faults::Fault;
use network::Link;
use trial::Trial;

/// Acknowledged messages before the first fault.
const FIRST_MESSAGES: u64 = 100;
/// The longest freeze or cut: short without settings.
const FAULT_MS_MAX: u64 = 5_000;
const SHORT_FAULT_MS_MAX: u64 = 3_000;

async fn run_trial(seed: u64, seconds: Option<u64>, faults: &[Fault], points: &'static str) -> String {
    let replication =
        if faults.contains(&Fault::Promoted) { Replication::Synchronous } else { Replication::None };
    let fault_ms_max = if seconds.is_some() { FAULT_MS_MAX } else { SHORT_FAULT_MS_MAX };
    let mut trial = Trial::start(seed, fault_ms_max, replication, points).await;
    let mut faults = faults.to_vec();
    if !trial.network.cuts(Link::Clients) {
        faults.retain(|fault| *fault != Fault::ClientsCut);
    }
    let world = trial.world.clone();
    until(async || world.acknowledged_by_all() >= FIRST_MESSAGES).await;
    let mut schedule = faults.clone();
    schedule.shuffle(&mut trial.chance);
    let (begun, mut silences) = (Instant::now(), BTreeMap::<_, Vec<_>>::new());
    loop {
        let fault = match seconds {
            Some(seconds) if begun.elapsed() < Duration::from_secs(seconds) => {
                faults::draw(&mut trial.chance, &faults)
            }
            None if !schedule.is_empty() => schedule.remove(0),
            _ => break,
        };
        let silence = trial.inject(fault).await;
        silences.entry(fault).or_default().push(silence);
        trial.check_clients().await;
        tokio::time::sleep(Duration::from_millis(trial.chance.random_range(0..500))).await;
    }
    trial.judge(&silences).await
}

#[actix_web::test]
async fn three_nodes_lose_and_double_nothing_under_faults() {
    if !postgres::is_used() {
        return;
    }
    let faults = std::env::var("NETBIT_PROOF_FAULTS").map(|list| Fault::named(&list));
    let faults = faults.unwrap_or_else(|_| Fault::ALL.to_vec());
    let seconds = std::env::var("NETBIT_PROOF_SECONDS").ok().map(|_| setting("NETBIT_PROOF_SECONDS", 0));
    let first = setting("NETBIT_PROOF_SEED", 1);
    for seed in first..first + setting("NETBIT_PROOF_SEEDS", 1) {
        println!("NETBIT_PROOF_SEED={seed}");
        println!("seed {seed}: {}", run_trial(seed, seconds, &faults, "").await);
    }
}

/// The primary key of the log refuses a transaction that did not read the newest row. The commit
/// lock only saves such attempts.
#[actix_web::test]
async fn nodes_without_the_commit_lock_lose_and_double_nothing() {
    if !postgres::is_used() {
        return;
    }
    let faults = [Fault::Terminated, Fault::Killed, Fault::Frozen];
    println!("without the lock: {}", run_trial(1, None, &faults, "commit.without_lock=return").await);
}
