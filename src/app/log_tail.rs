//! Reads the commits of other nodes: when PostgreSQL notifies of one, when a request waits for it,
//! and when a comparison at intervals finds one.
//!
//! Notifications are hints. Without them a commit of another node is applied [`POLL`] later.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI16, Ordering::Relaxed};
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::log_link::{Chores, LogLink};
use crate::actors::cache::{CacheHandle, CaughtUp, LogReader, LogRequest};
use crate::actors::commit::NewestCommit;
use crate::actors::writer::WriterHandle;
use crate::cluster::NodeFeed;
use crate::core::actor::{FATAL_EXIT_CODE, FatalSignal};
use crate::core::database::Postgres;
use crate::core::database::postgres::{Purpose, Server};
use crate::core::saturate;
use crate::storage::nodes::{self, Node};

/// Interval at which several nodes compare their state with the log.
pub(super) const POLL: Duration = Duration::from_millis(300);
/// The same for a node that is alone with its database: it only finds that commits are missing.
pub(super) const POLL_ALONE: Duration = Duration::from_secs(2);
/// Minimum time between two reads for refusals.
const READ_PAUSE: Duration = Duration::from_millis(50);
/// Interval at which this node records that it runs.
const RECORD_EVERY: Duration = Duration::from_secs(5);
/// Minimum time between two readings of the size of the database, for which PostgreSQL reads the
/// sizes of its files.
const MEASURE_EVERY: Duration = Duration::from_secs(60);

/// This node among those of the database.
#[derive(Debug, Clone)]
pub(super) struct ThisNode {
    pub(super) name: String,
    pub(super) number: i16,
    pub(super) instance: String,
    /// The URL for other nodes; empty if it is unknown.
    pub(super) address: String,
}

/// The task that reads the log.
pub(super) struct LogTail {
    pub(super) server: Arc<Server>,
    pub(super) node: ThisNode,
    pub(super) writer: WriterHandle,
    pub(super) cache: CacheHandle,
    pub(super) newest: NewestCommit,
    pub(super) chores: Chores,
    /// The interval of comparisons.
    pub(super) poll: Duration,
    /// The version of events that all running nodes read.
    pub(super) format: Arc<AtomicI16>,
    pub(super) log: LogReader,
    pub(super) requests: Receiver<LogRequest>,
    pub(super) nodes: NodeFeed,
    /// Hints of the bus.
    pub(super) hints: Receiver<()>,
    /// The number of running nodes.
    pub(super) count: Gauge,
    /// The size of the database.
    pub(super) database_bytes: Gauge,
}

impl LogTail {
    /// Starts the task; it ends when `log_ends` is cancelled. The node counts as running until
    /// `stops` is cancelled.
    pub(super) fn spawn(
        self,
        (stops, log_ends): (&CancellationToken, &CancellationToken),
        fatal: FatalSignal,
    ) {
        let Self {
            server,
            node,
            writer,
            cache,
            newest,
            chores,
            poll,
            format,
            log,
            requests,
            nodes,
            hints,
            count,
            database_bytes,
        } = self;
        let recorder = Recorder {
            server: server.clone(),
            node: node.clone(),
            log: log.clone(),
            writer: writer.clone(),
            format,
            others: Vec::new(),
            nodes,
            count,
            database_bytes,
            measured: None,
        };
        actix::spawn(recorder.run(stops.clone(), fatal));
        let (number, stops) = (node.number, stops.clone());
        let tail = Tail { server, number, writer, cache, newest, chores, poll, log, requests, hints, stops };
        actix::spawn(log_ends.clone().run_until_cancelled_owned(tail.run()));
    }
}

/// Reads the log.
struct Tail {
    server: Arc<Server>,
    /// The number of this node.
    number: i16,
    writer: WriterHandle,
    cache: CacheHandle,
    newest: NewestCommit,
    chores: Chores,
    poll: Duration,
    log: LogReader,
    requests: Receiver<LogRequest>,
    hints: Receiver<()>,
    stops: CancellationToken,
}

impl Tail {
    async fn run(mut self) {
        let mut waiting: Vec<LogRequest> = Vec::new();
        let mut last_read = Instant::now();
        // Connecting may take long, and must not delay the requests.
        let (hints, mut hinted) = channel(1);
        let is_up = Arc::new(AtomicBool::new(false));
        let link = LogLink {
            server: self.server.clone(),
            own: self.number,
            newest: self.newest.clone(),
            cache: self.cache.clone(),
            chores: self.chores.clone(),
            log: self.log.clone(),
            poll: self.poll,
            is_up: is_up.clone(),
            hints,
            stops: self.stops.clone(),
        };
        let _ends_with_this_task = AbortOnDrop(actix::spawn(link.run()));
        loop {
            tokio::select! {
                Some(()) = hinted.recv() => {}
                Some(()) = self.hints.recv() => {}
                Some(request) = self.requests.recv() => {
                    waiting.push(request);
                    sleep_until(last_read + READ_PAUSE).await;
                }
                // The link compares, as long as it works.
                () = sleep(self.poll) => if is_up.load(Relaxed) { continue },
            }
            while let Ok(request) = self.requests.try_recv() {
                waiting.push(request);
            }
            last_read = Instant::now();
            let read = self.writer.read_log().await;
            if read.is_ok() {
                let commit_no = self.newest.published().commit_no;
                self.cache.caught_up(CaughtUp { commit_no, at: last_read.into_std() });
            }
            for request in waiting.drain(..) {
                if read.is_ok() {
                    request.send(()).ok();
                }
            }
        }
    }
}

/// Ends a task with its owner.
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Records that this node runs, and reads which others do.
struct Recorder {
    server: Arc<Server>,
    node: ThisNode,
    log: LogReader,
    writer: WriterHandle,
    format: Arc<AtomicI16>,
    /// The other nodes that were found last.
    others: Vec<Node>,
    nodes: NodeFeed,
    count: Gauge,
    database_bytes: Gauge,
    /// When the size of the database was read last.
    measured: Option<Instant>,
}

impl Recorder {
    /// Runs until `until` is cancelled. Raises `fatal` if another process has taken the name.
    async fn run(mut self, until: CancellationToken, fatal: FatalSignal) {
        let mut every = interval(RECORD_EVERY);
        let mut connection: Option<Postgres> = None;
        loop {
            let stops = tokio::select! {
                _ = every.tick() => false,
                () = self.nodes.requested() => false,
                () = until.cancelled() => true,
            };
            let (server, node, opened) = (self.server.clone(), self.node.clone(), connection.take());
            let recorded = tokio::task::spawn_blocking(move || record(&server, &node, opened, stops)).await;
            match recorded {
                Ok(Ok((db, Some(all)))) => {
                    self.found(all);
                    connection = self.measure(db).await;
                }
                Ok(Ok((_, None))) if stops => return,
                Ok(Ok((_, None))) => {
                    error!(
                        name = self.node.name,
                        "another process runs under the name of this node; stopping: give each node another \
                         cluster.name, or stop the other process"
                    );
                    return fatal.raise(FATAL_EXIT_CODE);
                }
                Ok(Err(error)) => warn!(error, "the nodes of this database cannot be read"),
                Err(error) => warn!(%error, "the nodes of this database cannot be read"),
            }
            if stops {
                return;
            }
        }
    }

    /// Reads the size of the database, if it is due. Returns the connection, unless it was lost.
    async fn measure(&mut self, mut db: Postgres) -> Option<Postgres> {
        if self.measured.is_some_and(|at| at.elapsed() < MEASURE_EVERY) {
            return Some(db);
        }
        self.measured = Some(Instant::now());
        let read = move || {
            let bytes = nodes::database_bytes(&mut db);
            (db, bytes)
        };
        let (db, bytes) = tokio::task::spawn_blocking(read).await.ok()?;
        match bytes {
            Ok(bytes) => {
                self.database_bytes.set(bytes);
            }
            Err(error) => debug!(%error, "the size of the database cannot be read"),
        }
        Some(db)
    }

    fn found(&mut self, all: Vec<Node>) {
        let is_other = |node: &&Node| node.is_running() && node.name != self.node.name;
        let others: Vec<_> = all.iter().filter(is_other).cloned().collect();
        self.log.set_others_run(!others.is_empty());
        self.count.set(saturate::to_i64(others.len() + 1));
        self.format.store(nodes::common_format(&others), Relaxed);
        let known = std::mem::replace(&mut self.others, others);
        if !known.iter().map(|node| node.number).eq(self.others.iter().map(|node| node.number)) {
            let names: Vec<_> = self.others.iter().map(|other| other.name.as_str()).collect();
            info!(others = names.join(", "), "the nodes of this database have changed");
            // A node that ended may have left notifications to write.
            self.writer.wake_fan_outs();
        }
        self.nodes.publish(all);
    }
}

/// Returns the connection, and all nodes. `None`: this process has the name no longer.
fn record(
    server: &Arc<Server>,
    node: &ThisNode,
    opened: Option<Postgres>,
    stops: bool,
) -> Result<(Postgres, Option<Vec<Node>>), String> {
    let mut db = match opened {
        Some(db) => db,
        None => server.connect(Purpose::Writer).map_err(|error| error.to_string())?,
    };
    let recorded = if stops {
        nodes::record_stopped(&mut db, node.number, &node.instance).map(|()| None)
    } else {
        match nodes::record_running(&mut db, node.number, &node.instance, &node.address) {
            Ok(true) => nodes::all_of(&mut db).map(Some),
            Ok(false) => Ok(None),
            Err(error) => Err(error),
        }
    };
    recorded.map(|others| (db, others)).map_err(|error| error.to_string())
}
