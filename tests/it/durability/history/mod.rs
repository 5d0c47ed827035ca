//! A history: many clients over TCP, WebSocket and REST, a server that ends repeatedly in every
//! way, and a judge.
//!
//! Every request and every answer of a client is recorded. The judge checks at the end:
//!
//! * An acknowledged message is stored once, at the place of its acknowledgement.
//! * A refused message is not stored.
//! * Every client saw the same message at the same place.
//! * No read went back in time, not even to before an acknowledgement that another client had.
//! * Every message that a client saw is stored.
//!
//! `NETBIT_HISTORY_KILLS` (default 8), `NETBIT_HISTORY_OPERATIONS` (default 4,000 in total) and
//! `NETBIT_HISTORY_SEED` set the load. The seed decides which client does what, how the server ends
//! and after how many operations. The test prints it.

mod client;
pub(crate) mod record;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use netbit::domain::ids::ChatId;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::kills::{assert_dense, whole_history};
use crate::harness::{PASSWORD, Process, database, soon};
use client::{Client, Over};
use record::Record;

const CHATS: usize = 3;
const CLIENTS: [Over; 12] = [
    Over::Tcp,
    Over::Tcp,
    Over::Tcp,
    Over::Tcp,
    Over::Tcp,
    Over::Tcp,
    Over::Socket,
    Over::Socket,
    Over::Socket,
    Over::Rest,
    Over::Rest,
    Over::Rest,
];

/// The current addresses of the server.
#[derive(Clone)]
struct Server {
    http: String,
    tcp: SocketAddr,
}

/// The state that all clients share.
struct World {
    seed: u64,
    chats: Vec<i64>,
    /// A chat without any of these clients as a member.
    foreign: i64,
    server: RefCell<Option<Server>>,
    record: RefCell<Record>,
    ending: Cell<bool>,
}

/// How the server ends, or which fault it gets.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// SIGKILL from outside, at any time.
    Killed,
    /// SIGTERM: a graceful stop.
    Stopped,
    /// A kill at this fail point, the n-th time it is reached.
    At(&'static str, u32),
    /// The disk fails the n-th commit.
    Error(u32),
    /// The disk is full from the n-th commit on for a while; then the server is killed.
    Full(u32),
}

impl Fault {
    fn draw(chance: &mut StdRng) -> Self {
        const POINTS: [&str; 5] =
            ["commit.before", "commit.after", "answer.before", "checkpoint.before", "checkpoint.after"];
        let nth = chance.random_range(3..40);
        match chance.random_range(0..10) {
            0..3 => Self::Killed,
            3..5 => Self::Stopped,
            5..8 => {
                let point = POINTS[chance.random_range(0..POINTS.len())];
                // There are few checkpoints.
                Self::At(point, if point.starts_with("checkpoint") { nth % 3 } else { nth })
            }
            8 => Self::Error(nth),
            _ => Self::Full(nth),
        }
    }

    fn fail_points(self) -> String {
        match self {
            Self::Killed | Self::Stopped => String::new(),
            Self::At(point, nth) => format!("{point}={nth}*off->return"),
            Self::Error(nth) => format!("commit.fails={nth}*off->return"),
            Self::Full(nth) => format!("commit.full={nth}*off->2*return->off"),
        }
    }
}

pub(crate) fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

async fn start(directory: &std::path::Path, fail_points: &str) -> Process {
    let environment = [
        ("FAILPOINTS", fail_points),
        ("NETBIT_LIMITS__CHECKPOINT_BYTES", "262144"),
        ("NETBIT_LIMITS__READ_ONLY_PROBE_MS", "50"),
        // Longer than any run.
        ("NETBIT_LIMITS__ACCESS_TOKEN_SECONDS", "86400"),
    ];
    Process::with(directory, &environment).await
}

/// A history that is being recorded. Its clients wait until there is a server.
pub(super) struct History {
    world: Rc<World>,
    tokens: Vec<String>,
    clients: Vec<tokio::task::JoinHandle<()>>,
}

impl History {
    /// Registers the users, makes the chats, and starts the clients.
    pub(super) async fn prepare(server: &Process, seed: u64) -> Self {
        let mut tokens = Vec::new();
        for n in 0..CLIENTS.len() {
            server.http.register(&format!("u{n}"), PASSWORD).await.unwrap();
            tokens.push(server.http.login(&format!("u{n}"), PASSWORD).await.unwrap().token);
        }
        server.http.register("hermit", PASSWORD).await.unwrap();
        let hermit = server.http.login("hermit", PASSWORD).await.unwrap().token;
        let foreign = server.http.with_token(hermit).create_group("alone", &[]).await.unwrap();
        let others: Vec<_> = (1..CLIENTS.len()).map(|n| format!("u{n}")).collect();
        let others: Vec<_> = others.iter().map(String::as_str).collect();
        let mut chats = Vec::new();
        for _ in 0..CHATS {
            chats.push(server.http.with_token(&tokens[0]).create_group("team", &others).await.unwrap().0);
        }
        let world = Rc::new(World {
            seed,
            chats,
            foreign: foreign.0,
            server: RefCell::default(),
            record: RefCell::default(),
            ending: Cell::new(false),
        });
        let clients = CLIENTS.into_iter().zip(&tokens).enumerate();
        let clients = clients.map(|(who, (over, token))| {
            actix::spawn(Client::new(who, over, token.clone(), world.clone()).run())
        });
        Self { clients: clients.collect(), world, tokens }
    }

    /// Sets the server that the clients use from now on.
    pub(super) fn moved(&self, server: Option<&Process>) {
        let server = server.map(|server| Server { http: server.address().to_owned(), tcp: server.tcp() });
        *self.world.server.borrow_mut() = server;
    }

    fn operations(&self) -> u64 {
        self.world.record.borrow().operations
    }

    /// Waits until this many operations are done, or until the server has ended by itself.
    pub(super) async fn until(&self, operations: u64, server: &mut Process) {
        let (mut last, mut idle) = (self.operations(), 0);
        while self.operations() < operations && !server.has_ended() {
            tokio::time::sleep(Duration::from_millis(2)).await;
            idle = if self.operations() == last { idle + 1 } else { 0 };
            last = self.operations();
            assert!(idle < 15_000, "no operation completed for a long time");
        }
    }

    /// Waits until every message is answered by the server. Judges the record: it must agree with
    /// the pages of the server, and the seqs of each chat must be dense. Returns a summary.
    pub(super) async fn judge(self, server: &Process) -> String {
        self.moved(Some(server));
        self.world.ending.set(true);
        for client in self.clients {
            soon(client).await.unwrap();
        }
        let http = server.http.with_token(&self.tokens[0]);
        let mut stored = BTreeMap::new();
        for chat in &self.world.chats {
            for message in whole_history(&http, ChatId(*chat)).await {
                stored.insert((*chat, message.seq), (message.id.0, message.content));
            }
            assert_dense(&http, ChatId(*chat)).await;
        }
        let record = self.world.record.borrow();
        record.judge(&stored);
        format!(
            "{} operations, {} acknowledged, {} refused, {} stored: 0 lost, 0 doubled, 0 out of order",
            record.operations,
            record.acknowledged,
            record.refused,
            stored.len()
        )
    }
}

#[actix_web::test]
async fn nothing_acknowledged_is_lost_doubled_or_moved_by_any_end() {
    let (kills, operations) =
        (setting("NETBIT_HISTORY_KILLS", 8), setting("NETBIT_HISTORY_OPERATIONS", 4_000));
    let seed = setting("NETBIT_HISTORY_SEED", 1);
    println!("NETBIT_HISTORY_SEED={seed}");
    let directory = tempfile::tempdir().unwrap();
    let mut server = start(directory.path(), "").await;
    let history = History::prepare(&server, seed).await;
    server.kill();

    let mut chance = StdRng::seed_from_u64(seed);
    let each = operations / kills.max(1);
    let mut kinds = BTreeMap::<_, u32>::new();
    for kill in 0..kills {
        let fault = Fault::draw(&mut chance);
        server = start(directory.path(), &fault.fail_points()).await;
        history.moved(Some(&server));
        let enough = (kill + 1) * each + chance.random_range(0..each.max(2) / 2);
        history.until(enough, &mut server).await;
        let by_itself = server.has_ended();
        history.moved(None);
        match fault {
            Fault::Stopped => {
                server.terminate();
                assert_eq!(server.end().await, Some(0), "a graceful stop exits with 0");
            }
            Fault::Error(_) if by_itself => assert_eq!(server.end().await, Some(74)),
            _ => server.kill(),
        }
        let word = format!("{fault:?}");
        let word = word.split(['(', ',']).next().unwrap_or_default().to_owned();
        *kinds.entry((word, by_itself)).or_default() += 1;
    }
    server = start(directory.path(), "").await;
    let judged = history.judge(&server).await;
    println!("{kills} ends {kinds:?}, {judged}");
    server.kill();
    database::assert_integrity(directory.path());
}
