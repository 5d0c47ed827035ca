//! The faults of a trial, drawn by its seed.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use rustix::process::Signal;

use super::network::{CutAt, Link, NODES};
use super::trial::Trial;
use crate::durability::postgres::private_server::{query, terminate_connections};
use crate::harness::{PATIENCE, until};

/// How often a node is frozen until it holds the commit lock.
const FREEZES_MAX: usize = 60;
/// Nodes of a trial die here, between the steps of a commit.
const POINTS: [&str; 3] = ["commit.before", "commit.after", "answer.before"];
/// The answers of some COMMITs are lost, and some COMMITs are not executed.
const UNCLEAR: &str = "commit.unclear=150*off->1*return->400*off->1*return->off;\
                       commit.fails=250*off->1*return->300*off->1*return->off";
/// Two queries this far apart find the same transaction: its node is frozen.
const SAME_TRANSACTION: Duration = Duration::from_millis(50);
const LOCK_HOLDER: &str = "SELECT pid, xact_start, client_addr FROM pg_locks JOIN pg_stat_activity USING (pid) \
                           WHERE locktype = 'advisory' AND granted";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// SIGKILL of a node, and a start a little later.
    Killed,
    /// A node kills itself between the steps of a commit.
    KilledInCommit,
    /// SIGSTOP of a node, and SIGCONT.
    Frozen,
    /// The same, while the node holds the commit lock.
    FrozenWithLock,
    /// The link between a node and the database is cut.
    DatabaseCut,
    /// The link between a node and its clients is cut.
    ClientsCut,
    /// All connections to the database end.
    Terminated,
    /// The database server ends without a checkpoint, and starts again.
    Crashed,
    /// All nodes are stopped and started, one after another.
    Restarted,
    /// The synchronous standby replaces the primary.
    Promoted,
}

impl Fault {
    pub(super) const ALL: [Self; 10] = [
        Self::Killed,
        Self::KilledInCommit,
        Self::Frozen,
        Self::FrozenWithLock,
        Self::DatabaseCut,
        Self::ClientsCut,
        Self::Terminated,
        Self::Crashed,
        Self::Restarted,
        Self::Promoted,
    ];

    /// Returns the faults that a list names: `Killed,Promoted`.
    pub(super) fn named(list: &str) -> Vec<Self> {
        let named = |name: &str| {
            let fault = Self::ALL.into_iter().find(|fault| format!("{fault:?}") == name.trim());
            fault.unwrap_or_else(|| panic!("NETBIT_PROOF_FAULTS: {name} is not one of {:?}", Self::ALL))
        };
        list.split(',').filter(|name| !name.trim().is_empty()).map(named).collect()
    }
}

impl Trial {
    /// Lets a fault happen and end. Returns the longest time for which no client of an unaffected
    /// node got an acknowledgement.
    pub(super) async fn inject(&mut self, fault: Fault) -> Duration {
        let node = self.chance.random_range(0..NODES);
        let long = self.chance.random_range(300..self.fault_ms_max);
        let affected =
            !matches!(fault, Fault::Terminated | Fault::Crashed | Fault::Restarted | Fault::Promoted);
        self.world.measure_silence(affected.then_some(node));
        match fault {
            Fault::Killed => {
                self.kill(node);
                pause(self.chance.random_range(0..1_000)).await;
                self.start_again(node).await;
            }
            Fault::KilledInCommit => self.kill_in_commit(node).await,
            Fault::Frozen => {
                self.nodes[node].signal(Signal::STOP);
                pause(long).await;
                self.nodes[node].signal(Signal::CONT);
            }
            Fault::FrozenWithLock => {
                self.freeze_with_lock(node).await;
                pause(long).await;
                self.nodes[node].signal(Signal::CONT);
            }
            Fault::DatabaseCut => self.cut(node, Link::Database, long).await,
            Fault::ClientsCut => self.cut(node, Link::Clients, long).await,
            Fault::Terminated => {
                terminate_connections(&self.database.url());
                pause(100).await;
            }
            Fault::Crashed => self.database.crash().await,
            Fault::Restarted => {
                for node in 0..NODES {
                    self.world.moved(node, None);
                    self.nodes[node].stop().await;
                    self.start_again(node).await;
                }
            }
            Fault::Promoted => {
                self.database.promote().await;
                self.until_acknowledged(fault).await;
                self.database.add_standby().await;
            }
        }
        self.until_acknowledged(fault).await;
        self.world.longest_silence()
    }

    /// Waits until each node has acknowledged again; with fail points in all nodes, any node.
    async fn until_acknowledged(&mut self, fault: Fault) {
        let before: Vec<_> = (0..NODES).map(|node| self.world.acknowledged_by(node)).collect();
        let begun = std::time::Instant::now();
        loop {
            for node in &mut self.nodes {
                if let Some(code) = node.take_ended().await {
                    panic!("after {fault:?}, node {} ended by itself with {code:?}", node.number);
                }
            }
            let mut acknowledges = (0..NODES).map(|node| self.world.acknowledged_by(node) > before[node]);
            // Without the commit lock, a slow node may be outrun again and again.
            let is_over =
                if self.points.is_empty() { acknowledges.all(|it| it) } else { acknowledges.any(|it| it) };
            if is_over {
                return;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "after {fault:?}, acknowledged by node: {before:?}, then {:?}",
                (0..NODES).map(|node| self.world.acknowledged_by(node)).collect::<Vec<_>>()
            );
            pause(5).await;
        }
    }

    fn kill(&mut self, node: usize) {
        self.world.moved(node, None);
        self.nodes[node].kill();
    }

    /// Starts a node that is down, often with COMMITs whose outcome is unclear.
    async fn start_again(&mut self, node: usize) {
        let points = if self.chance.random_range(0..2) == 0 { UNCLEAR } else { self.points };
        self.start_with(node, points).await;
    }

    async fn kill_in_commit(&mut self, node: usize) {
        let point = POINTS[self.chance.random_range(0..POINTS.len())];
        let nth = self.chance.random_range(3..60);
        self.kill(node);
        let url = self.database.url_of(&self.network, node);
        let points = format!("{point}={nth}*off->return");
        // A node also commits while it starts, and may end then.
        if self.nodes[node].start(&self.network, &url, &points).await.is_ok() {
            self.is_at(node);
            let nodes = &mut self.nodes;
            until(async || !nodes[node].runs()).await;
            self.world.moved(node, None);
            let code = self.nodes[node].take_ended().await;
            assert_eq!(code, Some(None), "the node kills itself");
        }
        self.start_again(node).await;
    }

    /// Freezes a node at a moment at which it holds the commit lock, if there is one soon.
    async fn freeze_with_lock(&mut self, node: usize) {
        let (url, address) = (self.database.url(), self.network.seen_as(node));
        let holder = async || {
            let url = url.clone();
            tokio::task::spawn_blocking(move || query(&url, LOCK_HOLDER)).await.unwrap()
        };
        for _ in 0..FREEZES_MAX {
            self.nodes[node].signal(Signal::STOP);
            let before = holder().await;
            let is_of_node = match &address {
                Some(address) => before.ends_with(&format!("|{address}")),
                None => !before.is_empty(),
            };
            if is_of_node {
                tokio::time::sleep(SAME_TRANSACTION).await;
                if holder().await == before {
                    self.frozen_with_lock += 1;
                    return;
                }
            }
            self.nodes[node].signal(Signal::CONT);
            pause(self.chance.random_range(1..10)).await;
        }
        self.nodes[node].signal(Signal::STOP);
    }

    async fn cut(&mut self, node: usize, link: Link, long: u64) {
        let at = if self.chance.random_range(0..2) == 0 { CutAt::Far } else { CutAt::Near };
        self.network.cut(node, link, at);
        pause(long).await;
        self.network.mend(node, link);
    }
}

async fn pause(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

/// Draws the next fault.
pub(super) fn draw(chance: &mut StdRng, faults: &[Fault]) -> Fault {
    faults[chance.random_range(0..faults.len())]
}
