//! The stop: a list of steps, each with its share of the time.

use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use super::{RunningApp, blocking};
use crate::core::{control_socket, database};
use crate::services::Services;

/// What each part of a stop may take at most, in hundredths of `limits.shutdown_ms`.
pub(super) const HTTP_SHARE: u32 = 25;
const PUSH_SHARE: u32 = 15;
const DRAIN_SHARE: u32 = 20;
const GOODBYE_SHARE: u32 = 20;
const VERIFY_SHARE: u32 = 10;
/// How long the last checkpoint waits for other processes that read the database.
const LAST_CHECKPOINT_WAIT: Duration = Duration::from_millis(500);

/// One step of a stop.
#[derive(Debug, Clone)]
pub struct Step {
    pub name: &'static str,
    pub took: Duration,
    /// It did not finish within its share of the time.
    pub cut: bool,
}

/// How a stop went.
#[derive(Debug)]
pub struct Stopped {
    pub steps: Vec<Step>,
    /// How many things the cache and the database disagreed on; anything but 0 is a defect.
    pub differences: usize,
}

impl RunningApp {
    /// Takes the server down: nothing acknowledged is lost, everybody is told, at most `limits.shutdown_ms`.
    pub async fn shutdown(self) -> Stopped {
        let total = Duration::from_millis(self.config.limits.shutdown_ms);
        let begun = Instant::now();
        let share = |hundredths: u32| total * hundredths / 100;
        let mut stop = Stopping { steps: Vec::new() };

        self.readiness.set(false);
        stop.mark("not ready");
        self.control.stop(true).await;
        drop(std::fs::remove_file(control_socket::path(self.data_dir.path())));
        self.tcp.stop_accepting();
        self.chores.cancel();
        stop.mark("stop accepting");
        self.services.hosting.close();
        stop.step("settle pushes", share(PUSH_SHARE), self.services.hosting.pushes_settled()).await;
        // Their answers need the writer, which is drained behind HTTP.
        self.sessions.end_web_sessions();
        // Stops accepting and finishes requests that are under way.
        stop.step("finish HTTP", share(HTTP_SHARE), self.http.stop(true)).await;
        stop.step("drain the writer", share(DRAIN_SHARE), self.services.writer.drain()).await;
        stop.step("say goodbye", share(GOODBYE_SHARE), self.sessions.end_sessions()).await;
        let differences =
            stop.step("verify the cache", share(VERIFY_SHARE), verify(&self.services)).await.unwrap_or(0);

        let (threads, checkpointer) = (self.threads, self.checkpointer);
        drop((self.services, self.sessions));
        let (path, synchronous) = (self.data_dir.database(), self.config.storage.synchronous);
        let last = blocking(move || {
            for thread in &threads {
                thread.stop();
            }
            for thread in threads {
                if thread.join().is_err() {
                    warn!("a thread had panicked");
                }
            }
            // The writer is gone, and with it the last waker of the checkpointer.
            checkpointer.stop();
            let mut db = database::open_writer(&path, synchronous)?;
            database::wait_for_locks(&mut db, LAST_CHECKPOINT_WAIT)?;
            if !database::checkpoint_truncate(&mut db)? {
                warn!("somebody else reads the database: the log stays, and the next start will empty it");
            }
            Ok(())
        });
        let left = total.saturating_sub(begun.elapsed());
        if let Some(Err(error)) = stop.step("join and checkpoint", left, last).await {
            warn!(%error, "the last checkpoint failed; the next start will do it");
        }
        self.ops.stop(false).await;
        stop.mark("operations");
        drop(self.data_dir);
        Stopped { steps: stop.steps, differences }
    }
}

struct Stopping {
    steps: Vec<Step>,
}

impl Stopping {
    fn mark(&mut self, name: &'static str) {
        info!(step = name, "stopping: {name}");
        self.steps.push(Step { name, took: Duration::ZERO, cut: false });
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
            warn!(step = name, ?took, "stopping: {name} was cut");
        } else {
            info!(step = name, ?took, "stopping: {name}");
        }
        self.steps.push(Step { name, took, cut });
        done.ok()
    }
}

/// Compares the read models with a fresh load; answers how many things differ.
async fn verify(services: &Services) -> usize {
    let differences = match services.compare_with_database().await {
        Ok(differences) => differences,
        Err(error) => {
            warn!(%error, "the cache could not be compared with the database");
            return 0;
        }
    };
    for difference in differences.iter().take(10) {
        error!(difference, "the cache differs from the database");
    }
    differences.len()
}
