//! The stop of the server: a list of steps, each with its share of the time.

use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use super::{RunningApp, StartError, blocking};
use crate::actors::search::IndexComparison;
use crate::core::config::Synchronous;
use crate::core::database::Source;
use crate::core::telemetry::chain;
use crate::core::{control_socket, database};
use crate::services::Services;

/// Maximum time of each step of a stop, in hundredths of `limits.shutdown_ms`.
pub(super) const HTTP_SHARE: u32 = 25;
const PUSH_SHARE: u32 = 15;
const DRAIN_SHARE: u32 = 20;
const GOODBYE_SHARE: u32 = 20;
const BUS_SHARE: u32 = 5;
const VERIFY_SHARE: u32 = 10;
const INDEX_SHARE: u32 = 5;
/// Time that the last checkpoint waits for other processes that read the database.
const LAST_CHECKPOINT_WAIT: Duration = Duration::from_millis(500);

/// One step of a stop.
#[derive(Debug, Clone)]
pub struct StopStep {
    pub name: &'static str,
    pub took: Duration,
    /// Whether the step did not finish within its share of the time.
    pub cut: bool,
}

/// The result of a stop.
#[derive(Debug)]
pub struct StopReport {
    pub steps: Vec<StopStep>,
    /// Number of differences of the cache, and of the search index, from the database. Any value
    /// other than 0 is a defect.
    pub differences: usize,
}

impl RunningApp {
    /// Stops the server within `limits.shutdown_ms`, after `limits.drain_ms`. No acknowledged
    /// message is lost, and every session receives a `Goodbye`.
    pub async fn shutdown(self) -> StopReport {
        let limits = &self.config.limits;
        let total = Duration::from_millis(limits.shutdown_ms);
        let share = |hundredths: u32| total * hundredths / 100;
        let mut stop = Stopping { steps: Vec::new() };

        self.readiness.begin_stop();
        stop.mark("not ready");
        if limits.drain_ms > 0 {
            let drained = tokio::time::sleep(Duration::from_millis(limits.drain_ms));
            stop.step("drain", Duration::MAX, drained).await;
        }
        let begun = Instant::now();
        self.control.stop(true).await;
        drop(std::fs::remove_file(control_socket::path(self.data_dir.path())));
        self.tcp.stop_accepting();
        self.chores.cancel();
        stop.mark("stop accepting");
        self.services.git.close();
        self.services.files.close();
        stop.step("settle pushes", share(PUSH_SHARE), self.services.git.pushes_settled()).await;
        // The replies of these sessions need the writer, which is drained after HTTP.
        self.sessions.end_web_sessions();
        // Stops accepting and finishes requests in progress.
        stop.step("finish HTTP", share(HTTP_SHARE), self.http.stop(true)).await;
        stop.step("drain the writer", share(DRAIN_SHARE), self.services.writer.drain()).await;
        stop.step("close sessions", share(GOODBYE_SHARE), self.sessions.end_sessions()).await;
        // Until now, requests and sessions could depend on the commits of other nodes.
        self.log_tail.cancel();
        if let Some(bus) = self.bus {
            stop.step("leave the bus", share(BUS_SHARE), bus.leave()).await;
        }
        // Other nodes go on to commit: the database is newer than the cache.
        let is_alone = !self.log.others_run();
        let verified = async { if is_alone { verify(&self.services).await } else { 0 } };
        let differences = stop.step("verify the cache", share(VERIFY_SHARE), verified).await.unwrap_or(0);
        let compared = async { if is_alone { verify_index(&self.services).await } else { 0 } };
        let differences = differences
            + stop.step("verify the search index", share(INDEX_SHARE), compared).await.unwrap_or(0);

        let (threads, search_thread, checkpointer) = (self.threads, self.search_thread, self.checkpointer);
        drop((self.services, self.sessions));
        let (database, synchronous) = (self.database, self.config.storage.synchronous);
        let last = blocking(move || {
            for thread in threads.iter().chain(&search_thread) {
                thread.stop();
            }
            for thread in threads {
                if thread.join().is_err() {
                    warn!("a thread panicked");
                }
            }
            // The writer has stopped, and with it the last waker of the checkpointer is dropped.
            checkpointer.stop();
            let checkpointed = last_checkpoint(&database, synchronous);
            // The fsync of a large index takes long, and the index can be built again.
            if search_thread.is_some_and(|thread| thread.join().is_err()) {
                warn!("the thread of the search panicked");
            }
            checkpointed
        });
        let left = total.saturating_sub(begun.elapsed());
        if let Some(Err(error)) = stop.step("join and checkpoint", left, last).await {
            warn!(%error, "the last checkpoint failed; the next start repeats it");
        }
        self.ops.stop(false).await;
        stop.mark("operations");
        drop(self.data_dir);
        StopReport { steps: stop.steps, differences }
    }
}

fn last_checkpoint(database: &Source, synchronous: Synchronous) -> Result<(), StartError> {
    let Some(path) = database.file() else { return Ok(()) };
    let mut db = database::open_writer(path, synchronous)?;
    database::wait_for_locks(&mut db, LAST_CHECKPOINT_WAIT)?;
    if !database::checkpoint_truncate(&mut db)? {
        warn!("another process reads the database: the WAL is not empty; the next start empties it");
    }
    Ok(())
}

struct Stopping {
    steps: Vec<StopStep>,
}

impl Stopping {
    fn mark(&mut self, name: &'static str) {
        info!(step = name, "stopping: {name}");
        self.steps.push(StopStep { name, took: Duration::ZERO, cut: false });
    }

    async fn step<T>(
        &mut self,
        name: &'static str,
        within: Duration,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let begun = Instant::now();
        let done = tokio::time::timeout(within, work).await;
        let (took, cut) = (begun.elapsed(), done.is_err());
        if cut {
            warn!(step = name, ?took, "stopping: {name} did not finish in time");
        } else {
            info!(step = name, ?took, "stopping: {name}");
        }
        self.steps.push(StopStep { name, took, cut });
        done.ok()
    }
}

/// Compares the read models with a fresh load. Returns the number of differences.
async fn verify(services: &Services) -> usize {
    let differences = match services.compare_with_database().await {
        Ok(Some(differences)) => differences,
        Ok(None) => {
            warn!("the cache could not be compared with the database: commits were written meanwhile");
            return 0;
        }
        Err(error) => {
            let error = chain(&error);
            warn!(error = %error, "the cache could not be compared with the database");
            return 0;
        }
    };
    for difference in differences.iter().take(10) {
        error!(difference, "the cache differs from the database");
    }
    differences.len()
}

/// Compares the search index of a small server with the database. Returns the number of
/// differences.
async fn verify_index(services: &Services) -> usize {
    let IndexComparison::Differences(differences) = services.compare_search_index().await else { return 0 };
    for difference in differences.iter().take(10) {
        error!(difference, "the search index differs from the database");
    }
    differences.len()
}
