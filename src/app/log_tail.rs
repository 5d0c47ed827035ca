//! Reads the commits of other nodes: when PostgreSQL notifies of one, when a refusal waits for it,
//! and at intervals.
//!
//! Notifications are hints. Without them a commit of another node is applied [`POLL`] later.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, interval, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::actors::cache::{LogReader, LogRequest};
use crate::actors::writer::WriterHandle;
use crate::core::database::Postgres;
use crate::core::database::postgres::{Listener, Purpose, Server};
use crate::storage::commit_log::CHANNEL;
use crate::storage::nodes;

/// Interval at which the log is read without a notification.
const POLL: Duration = Duration::from_millis(300);
/// Minimum time between two reads for refusals.
const READ_PAUSE: Duration = Duration::from_millis(50);
/// Interval at which this node records that it runs.
const RECORD_EVERY: Duration = Duration::from_secs(5);

/// This node among those of the database.
#[derive(Debug, Clone)]
pub(super) struct ThisNode {
    pub(super) name: String,
    pub(super) number: i16,
}

/// The task that reads the log.
pub(super) struct LogTail {
    pub(super) server: Arc<Server>,
    pub(super) node: ThisNode,
    pub(super) writer: WriterHandle,
    pub(super) log: LogReader,
    pub(super) requests: Receiver<LogRequest>,
}

impl LogTail {
    /// Starts the task; it ends when `until` is cancelled.
    pub(super) fn spawn(self, until: &CancellationToken) {
        actix::spawn(record_running(self.server.clone(), self.node.clone(), self.log.clone(), until.clone()));
        actix::spawn(until.clone().run_until_cancelled_owned(self.run()));
    }

    async fn run(mut self) {
        let mut listener: Option<Listener> = None;
        let mut waiting: Vec<LogRequest> = Vec::new();
        let mut last_read = Instant::now();
        loop {
            if listener.is_none() {
                match self.server.listen(CHANNEL).await {
                    Ok(opened) => listener = Some(opened),
                    Err(error) => debug!(%error, "commits of other nodes are only polled"),
                }
            }
            tokio::select! {
                hinted = hint(&mut listener, self.node.number) => {
                    if !hinted {
                        listener = None;
                    }
                }
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

/// Waits for a notification of another node. Returns `false` when the connection was lost.
async fn hint(listener: &mut Option<Listener>, own: i16) -> bool {
    let Some(listener) = listener else { return std::future::pending().await };
    loop {
        match listener.next().await {
            Some(payload) if payload.parse() == Ok(own) => {}
            Some(_) => {
                // One read finds all commits.
                listener.clear();
                return true;
            }
            None => return false,
        }
    }
}

/// Records that this node runs, and looks for others, until `until` is cancelled.
async fn record_running(server: Arc<Server>, node: ThisNode, log: LogReader, until: CancellationToken) {
    let mut every = interval(RECORD_EVERY);
    let mut connection: Option<Postgres> = None;
    loop {
        let stops = tokio::select! {
            _ = every.tick() => false,
            () = until.cancelled() => true,
        };
        let (server, node, opened) = (server.clone(), node.clone(), connection.take());
        let recorded = tokio::task::spawn_blocking(move || {
            let mut db = match opened {
                Some(db) => db,
                None => server.connect(Purpose::Writer).map_err(|error| error.to_string())?,
            };
            let recorded = if stops {
                nodes::record_stopped(&mut db, node.number).map(|()| Vec::new())
            } else {
                nodes::record_running(&mut db, node.number).and_then(|()| nodes::running(&mut db, &node.name))
            };
            recorded.map(|others| (db, others)).map_err(|error| error.to_string())
        });
        match recorded.await {
            Ok(Ok((db, others))) => {
                connection = Some(db);
                if log.others_run() == others.is_empty() {
                    let others: Vec<_> = others.iter().map(|other| other.name.as_str()).collect();
                    info!(others = others.join(", "), "the nodes of this database have changed");
                }
                log.set_others_run(!others.is_empty());
            }
            Ok(Err(error)) => warn!(error, "the nodes of this database cannot be read"),
            Err(error) => warn!(%error, "the nodes of this database cannot be read"),
        }
        if stops {
            return;
        }
    }
}
