//! The connection of this node that listens for commits, compares the newest commit with the
//! published one, and holds the lock of the chores.
//!
//! The comparison does not use the writer, which may be waiting for the commit lock or in a COMMIT.
//! A slow commit of any node therefore does not make the state stale.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::mpsc::Sender;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::actors::cache::{CacheHandle, CaughtUp, LogReader};
use crate::actors::commit::{NewestCommit, Place};
use crate::core::database::postgres::{Listener, PostgresError, Server};
use crate::services::ChoreLock;
use crate::storage::commit_log::{self, CHANNEL, CHORES_LOCK, NEWEST, Newest};

/// Maximum number of notifications that wait. Further ones are dropped: one read finds all commits.
const HINTS_MAX: usize = 64;
/// Pause before the next try to listen.
const LISTEN_AGAIN: Duration = Duration::from_millis(500);
/// Interval at which a node without the lock of the chores tries to take it.
const TAKE_OVER_EVERY: Duration = Duration::from_secs(1);

/// The lock of the chores, and its gauge.
#[derive(Clone)]
pub(super) struct Chores {
    pub(super) lock: ChoreLock,
    /// 1 while this node runs the chores.
    pub(super) gauge: Gauge,
}

impl Chores {
    pub(super) fn set(&self, held: bool) {
        self.lock.set(held);
        self.gauge.set(i64::from(held));
    }
}

/// See the [module](self).
pub(super) struct LogLink {
    pub(super) server: Arc<Server>,
    /// The number of this node.
    pub(super) own: i16,
    pub(super) newest: NewestCommit,
    pub(super) cache: CacheHandle,
    pub(super) chores: Chores,
    pub(super) log: LogReader,
    /// Interval of the comparisons.
    pub(super) poll: Duration,
    /// Whether the connection works. Without it the writer reads the log at intervals.
    pub(super) is_up: Arc<AtomicBool>,
    /// Receives a hint when the writer must read the log, while there is room.
    pub(super) hints: Sender<()>,
    /// Cancelled when the node begins to stop: another one takes the chores.
    pub(super) stops: CancellationToken,
}

impl LogLink {
    /// Never returns.
    pub(super) async fn run(self) {
        loop {
            let ended = match self.server.listen(CHANNEL, HINTS_MAX).await {
                Ok(listener) => self.follow(listener).await,
                Err(error) => Err(error),
            };
            if let Err(error) = ended {
                debug!(%error, "the log of commits is not followed; connecting again");
            }
            self.is_up.store(false, Relaxed);
            self.chores.set(false);
            sleep(LISTEN_AGAIN).await;
        }
    }

    /// Follows the log until the connection ends.
    async fn follow(&self, mut listener: Listener) -> Result<(), PostgresError> {
        let mut every = interval(self.poll);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut take_over = interval(TAKE_OVER_EVERY);
        take_over.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_stopping = false;
        loop {
            tokio::select! {
                () = self.stops.cancelled(), if !is_stopping => {
                    is_stopping = true;
                    if self.chores.lock.is_held() {
                        self.chores.set(false);
                        listener.unlock(CHORES_LOCK).await?;
                    }
                }
                payload = listener.next() => match payload {
                    Some(node) if node.parse() != Ok(self.own) => {
                        // Sooner than the nodes are read again.
                        self.log.set_others_run(true);
                        self.hint();
                    }
                    Some(_) => {}
                    None => return Ok(()),
                },
                _ = every.tick() => self.compare(&listener).await?,
                _ = take_over.tick(), if !is_stopping && !self.chores.lock.is_held() => {
                    if listener.try_lock(CHORES_LOCK).await? {
                        info!("this node runs the chores of the database");
                        self.chores.set(true);
                    }
                }
            }
        }
    }

    /// Reads the newest commit and the epoch. If they are the published ones, the state is current;
    /// else the writer reads the log.
    async fn compare(&self, listener: &Listener) -> Result<(), PostgresError> {
        let at = Instant::now();
        let found = commit_log::newest(&listener.first_row(NEWEST).await?);
        self.is_up.store(true, Relaxed);
        let place = |newest: Newest| {
            let Newest { commit_no, batch, epoch } = newest;
            Place { epoch, commit_no, batch: Some(batch) }
        };
        match found.map(place) {
            Some(place) if place == self.newest.published() => {
                self.cache.caught_up(CaughtUp { commit_no: place.commit_no, at });
            }
            _ => self.hint(),
        }
        Ok(())
    }

    /// One read finds all commits so far: a hint that waits already is enough.
    fn hint(&self) {
        self.hints.try_send(()).ok();
    }
}
