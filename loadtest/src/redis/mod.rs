//! The same workload on Redis: streams with `appendfsync always`, the durability of NetBit.
//!
//! Starts `redis-server` from PATH on its own port; without it these scenarios are skipped. One
//! `XADD` per message, plus `PUBLISH` where many sessions receive it. Redis has no users, no
//! permissions and no client ids that make retries idempotent.

mod reply;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::process::Stdio;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::scenario::{Compared, DeliveryTracker, FanOut, Outcome, Pace, Pipelined, Plan, Scenario};
use crate::servers::{SeededServer, Subject};
use crate::wire::{message_content, read_some, write_all};

const READY_WITHIN: Duration = Duration::from_secs(10);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Time limit for the last deliveries, far longer than they take.
const DELIVERED_WITHIN: Duration = Duration::from_secs(30);
/// As in [`FanOut`].
const SENDERS: u64 = 4;
const IN_FLIGHT: u64 = 32;

/// Returns whether `redis-server` can be started.
pub(crate) fn is_installed() -> bool {
    let mut command = std::process::Command::new("redis-server");
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// A scenario that runs on NetBit and on Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RedisComparison {
    Pipelined,
    FanOut { members: usize },
}

impl Scenario for RedisComparison {
    fn name(&self) -> String {
        match self {
            Self::Pipelined => "redis/pipelined".to_owned(),
            Self::FanOut { members } => format!("redis/fan_out/{members}"),
        }
    }

    fn plan(&self) -> Plan {
        let setup = match *self {
            Self::Pipelined => Pipelined::default().plan().setup,
            Self::FanOut { members } => FanOut { members, pace: Pace::Blast }.plan().setup,
        };
        Plan { baseline: "Redis", ..Plan::new(setup, Compared::Rate) }
    }

    async fn round(&self, server: &SeededServer, time: Duration) -> anyhow::Result<Outcome> {
        match (*self, server.subject) {
            (Self::Pipelined, Subject::NetBit) => Pipelined::default().round(server, time).await,
            (Self::Pipelined, Subject::Floor) => pipelined(&Pipelined::default(), time).await,
            (Self::FanOut { members }, Subject::NetBit) => {
                FanOut { members, pace: Pace::Blast }.round(server, time).await
            }
            (Self::FanOut { members }, Subject::Floor) => fan_out(members, time).await,
        }
    }
}

/// A `redis-server` process, killed on drop.
struct Redis {
    address: SocketAddr,
    _child: Child,
    _data: TempDir,
}

impl Redis {
    async fn start() -> anyhow::Result<Self> {
        let data = tempfile::Builder::new().prefix("netbit-loadtest-redis-").tempdir()?;
        let address = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &address.port().to_string(), "--save", ""]);
        command.args(["--appendonly", "yes", "--appendfsync", "always", "--no-appendfsync-on-rewrite", "no"]);
        command.args(["--client-output-buffer-limit", "pubsub 0 0 0"]).arg("--dir").arg(data.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let redis =
            Self { address, _child: command.spawn().context("cannot start redis-server")?, _data: data };
        let last = Instant::now() + READY_WITHIN;
        while TcpStream::connect(redis.address).await.is_err() {
            ensure!(Instant::now() < last, "redis-server does not accept connections");
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(redis)
    }

    async fn open(&self) -> anyhow::Result<RedisConnection> {
        let socket = TcpStream::connect(self.address).await?;
        socket.set_nodelay(true)?;
        Ok(RedisConnection { socket, buffer: Vec::new(), used: 0 })
    }
}

struct RedisConnection {
    socket: TcpStream,
    buffer: Vec<u8>,
    used: usize,
}

impl RedisConnection {
    /// Waits for bytes.
    async fn fill(&mut self) -> anyhow::Result<()> {
        self.buffer.drain(..self.used);
        self.used = 0;
        read_some(&self.socket, &mut self.buffer).await
    }

    /// Returns the texts of the next reply if it is already buffered.
    fn next(&mut self) -> anyhow::Result<Option<Vec<&[u8]>>> {
        let rest = self.buffer.get(self.used..).unwrap_or_default();
        let Some(reply) = reply::first(rest)? else { return Ok(None) };
        self.used += reply.length;
        Ok(Some(reply.texts))
    }

    /// Waits for at least one reply; returns how many arrived.
    async fn replies(&mut self) -> anyhow::Result<u64> {
        let mut count = 0;
        while count == 0 {
            self.fill().await?;
            while self.next()?.is_some() {
                count += 1;
            }
        }
        Ok(count)
    }

    /// Sends a command and returns the text of its reply.
    async fn ask(&mut self, words: &[&[u8]]) -> anyhow::Result<String> {
        let mut out = Vec::new();
        reply::command(words, &mut out);
        write_all(&self.socket, &out).await?;
        loop {
            if let Some(texts) = self.next()? {
                return Ok(String::from_utf8(texts.concat())?);
            }
            self.fill().await?;
        }
    }
}

async fn pipelined(like: &Pipelined, time: Duration) -> anyhow::Result<Outcome> {
    let redis = Redis::start().await?;
    let outcome = Rc::new(RefCell::new(Outcome::new()?));
    outcome.borrow_mut().begin();
    let (end, mut tasks) = (Instant::now() + time, JoinSet::new());
    for sender in 0..u64::try_from(like.senders)? {
        let (connection, in_flight, outcome) = (redis.open().await?, like.in_flight, outcome.clone());
        tasks.spawn_local(add(connection, sender, in_flight, end, outcome));
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Rc::into_inner(outcome).map(RefCell::into_inner).context("a sender is still running")
}

async fn add(
    mut connection: RedisConnection,
    sender: u64,
    in_flight: u64,
    end: Instant,
    outcome: Rc<RefCell<Outcome>>,
) -> anyhow::Result<()> {
    let (mut sent_at, mut out) = (std::collections::VecDeque::new(), Vec::new());
    let (mut sent, stream) = (0, format!("s{sender}"));
    loop {
        let now = Instant::now();
        if now < end {
            while u64::try_from(sent_at.len())? < in_flight {
                sent += 1;
                let content = message_content(sender, sent);
                reply::command(&[b"XADD", stream.as_bytes(), b"*", b"m", content.as_bytes()], &mut out);
                sent_at.push_back(now);
            }
            write_all(&connection.socket, &out).await?;
            out.clear();
        } else if sent_at.is_empty() {
            break;
        }
        let count = connection.replies().await?;
        let (now, mut outcome) = (Instant::now(), outcome.borrow_mut());
        for at in (0..count).filter_map(|_| sent_at.pop_front()) {
            outcome.took(now - at);
        }
        outcome.done(count);
    }
    let length = connection.ask(&[b"XLEN", stream.as_bytes()]).await?;
    outcome.borrow_mut().check(length == sent.to_string(), || {
        format!("stream {stream} holds {length} messages instead of {sent}")
    });
    Ok(())
}

async fn fan_out(members: usize, time: Duration) -> anyhow::Result<Outcome> {
    let redis = Redis::start().await?;
    let tracker = Rc::new(DeliveryTracker::new(members)?);
    let mut receiving = JoinSet::new();
    for _ in 0..members {
        let mut connection = redis.open().await?;
        ensure!(
            connection.ask(&[b"SUBSCRIBE", b"c"]).await?.starts_with("subscribe"),
            "SUBSCRIBE was refused"
        );
        receiving.spawn_local(receive(connection, tracker.clone()));
    }
    tracker.outcome.borrow_mut().begin();
    let (end, mut sending) = (Instant::now() + time, JoinSet::new());
    for sender in 0..SENDERS {
        sending.spawn_local(publish(redis.open().await?, sender, tracker.clone(), end));
    }
    let delivered = async {
        while let Some(done) = sending.join_next().await {
            done??;
        }
        tracker.all_delivered().await
    };
    match tokio::time::timeout(time + DELIVERED_WITHIN, delivered).await {
        Ok(done) => done?,
        Err(_) => bail!("not all messages were delivered in time"),
    }
    receiving.shutdown().await;
    Ok(tracker.outcome.replace(Outcome::new()?))
}

async fn receive(mut connection: RedisConnection, tracker: Rc<DeliveryTracker>) -> anyhow::Result<()> {
    let mut count = 0;
    loop {
        connection.fill().await?;
        while let Some(texts) = connection.next()? {
            count += 1;
            tracker.received(count, texts.last().context("a message without a content")?);
        }
    }
}

/// Adds and publishes each message. A message stays in flight until both replies have arrived.
async fn publish(
    mut connection: RedisConnection,
    sender: u64,
    tracker: Rc<DeliveryTracker>,
    end: Instant,
) -> anyhow::Result<()> {
    let (mut sent, mut replies, mut out) = (0, 0, Vec::new());
    let backlog: &Semaphore = &tracker.backlog;
    loop {
        let mut say = |sent: u64| {
            let content = message_content(sender, sent);
            reply::command(&[b"XADD", b"s", b"*", b"m", content.as_bytes()], &mut out);
            reply::command(&[b"PUBLISH", b"c", content.as_bytes()], &mut out);
        };
        while Instant::now() < end
            && sent - replies / 2 < IN_FLIGHT
            && let Ok(permit) = backlog.try_acquire()
        {
            permit.forget();
            sent += 1;
            say(sent);
        }
        if sent * 2 == replies {
            if Instant::now() >= end {
                return Ok(());
            }
            backlog.acquire().await?.forget();
            sent += 1;
            say(sent);
        }
        write_all(&connection.socket, &out).await?;
        out.clear();
        replies += connection.replies().await?;
    }
}
