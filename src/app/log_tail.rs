//! Reads the commits of other nodes: when PostgreSQL notifies of one, when a refusal waits for it,
//! and at intervals.
//!
//! Notifications are hints. Without them a commit of another node is applied [`POLL`] later.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::actors::cache::{LogReader, LogRequest};
use crate::actors::writer::WriterHandle;
use crate::core::actor::{FATAL_EXIT_CODE, FatalSignal};
use crate::core::database::Postgres;
use crate::core::database::postgres::{Purpose, Server};
use crate::core::saturate;
use crate::storage::commit_log::CHANNEL;
use crate::storage::nodes::{self, Node};

/// Interval at which the log is read without a notification.
const POLL: Duration = Duration::from_millis(300);
/// Minimum time between two reads for refusals.
const READ_PAUSE: Duration = Duration::from_millis(50);
/// Pause before the next try to listen.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);
/// Interval at which this node records that it runs.
const RECORD_EVERY: Duration = Duration::from_secs(5);

/// This node among those of the database.
#[derive(Debug, Clone)]
pub(super) struct ThisNode {
    pub(super) name: String,
    pub(super) number: i16,
    pub(super) instance: String,
}

/// The task that reads the log.
pub(super) struct LogTail {
    pub(super) server: Arc<Server>,
    pub(super) node: ThisNode,
    pub(super) writer: WriterHandle,
    pub(super) log: LogReader,
    pub(super) requests: Receiver<LogRequest>,
    /// The number of running nodes.
    pub(super) nodes: Gauge,
}

impl LogTail {
    /// Starts the task; it ends when `until` is cancelled.
    pub(super) fn spawn(self, until: &CancellationToken, fatal: FatalSignal) {
        let recorder = Recorder {
            server: self.server.clone(),
            node: self.node.clone(),
            log: self.log.clone(),
            nodes: self.nodes.clone(),
        };
        actix::spawn(recorder.run(until.clone(), fatal));
        actix::spawn(until.clone().run_until_cancelled_owned(self.run()));
    }

    async fn run(mut self) {
        let mut waiting: Vec<LogRequest> = Vec::new();
        let mut last_read = Instant::now();
        // Connecting may take long, and must not delay the requests.
        let (hints, mut hinted) = channel(1);
        let listening = (self.server.clone(), self.log.clone(), self.node.number);
        let listening = actix::spawn(listen(listening, hints));
        let _ends_with_this_task = AbortOnDrop(listening);
        loop {
            tokio::select! {
                Some(()) = hinted.recv() => {}
                Some(request) = self.requests.recv() => {
                    waiting.push(request);
                    sleep_until(last_read + READ_PAUSE).await;
                }
                () = sleep(POLL) => {}
            }
            while let Ok(request) = self.requests.try_recv() {
                waiting.push(request);
            }
            last_read = Instant::now();
            let read = self.writer.read_log().await;
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

/// Sends a hint for each notification of another node than `own`, while there is room. Never
/// returns.
async fn listen((server, log, own): (Arc<Server>, LogReader, i16), hints: Sender<()>) {
    loop {
        match server.listen(CHANNEL).await {
            Ok(mut listener) => {
                while let Some(payload) = listener.next().await {
                    if payload.parse() != Ok(own) {
                        // Sooner than the nodes are read again.
                        log.set_others_run(true);
                        // One read finds all commits so far.
                        hints.try_send(()).ok();
                    }
                }
            }
            Err(error) => debug!(%error, "commits of other nodes are only polled"),
        }
        sleep(LISTEN_AGAIN).await;
    }
}

/// Records that this node runs, and reads which others do.
struct Recorder {
    server: Arc<Server>,
    node: ThisNode,
    log: LogReader,
    nodes: Gauge,
}

impl Recorder {
    /// Runs until `until` is cancelled. Raises `fatal` if another process has taken the name.
    async fn run(self, until: CancellationToken, fatal: FatalSignal) {
        let mut every = interval(RECORD_EVERY);
        let mut connection: Option<Postgres> = None;
        loop {
            let stops = tokio::select! {
                _ = every.tick() => false,
                () = until.cancelled() => true,
            };
            let (server, node, opened) = (self.server.clone(), self.node.clone(), connection.take());
            let recorded = tokio::task::spawn_blocking(move || record(&server, &node, opened, stops)).await;
            match recorded {
                Ok(Ok((db, Some(others)))) => {
                    connection = Some(db);
                    self.found(&others);
                }
                Ok(Ok((_, None))) if stops => return,
                Ok(Ok((_, None))) => {
                    error!(
                        name = self.node.name,
                        "another process runs under the name of this node; stopping"
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

    fn found(&self, others: &[Node]) {
        if self.log.others_run() == others.is_empty() {
            let others: Vec<_> = others.iter().map(|other| other.name.as_str()).collect();
            info!(others = others.join(", "), "the nodes of this database have changed");
        }
        self.log.set_others_run(!others.is_empty());
        self.nodes.set(saturate::to_i64(others.len() + 1));
    }
}

/// Returns the connection, and the other nodes. `None`: this process has the name no longer.
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
        match nodes::record_running(&mut db, node.number, &node.instance) {
            Ok(true) => nodes::running(&mut db, &node.name).map(Some),
            Ok(false) => Ok(None),
            Err(error) => Err(error),
        }
    };
    recorded.map(|others| (db, others)).map_err(|error| error.to_string())
}
