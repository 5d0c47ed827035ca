//! The checkpointer: moves the write-ahead log into the database, so that no answer waits for it.
//!
//! A helper thread with a separate connection. It runs a PASSIVE checkpoint, which waits for no
//! reader or writer, after every `limits.checkpoint_bytes` of log. It also keeps the high-water
//! mark next to the database. If readers keep the log from shrinking below `limits.wal_bytes`, the
//! writer itself runs a RESTART checkpoint, between two batches.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_types::Integer;
use diesel::sqlite::SqliteConnection;
use tracing::warn;

use super::metrics::CommitMetrics;
use crate::core::data_dir::{DataDir, HighWater};
use crate::core::database::{self, WalPages};
use crate::core::fail_points;

/// Bytes of a frame in the log: SQLite's page size and the frame header.
const FRAME_BYTES: u64 = 4096 + 24;
/// Interval at which the high-water mark is written while there are commits. An older copy of the
/// database that is restored within this time after a commit is recognised only by the next mark.
const MARK_EVERY: Duration = Duration::from_secs(5);

/// Pages that each commit touches.
const COMMIT_PAGES: u64 = 4;
/// Pages that a command is assumed to touch before the first count: a table and its indexes.
const COMMAND_PAGES: u64 = 3;

/// Estimates the length of the log between checkpoints; shared by the writer and the checkpointer.
#[derive(Debug)]
pub struct WalSizeEstimator {
    /// Estimated bytes since the last checkpoint.
    since_checkpoint: AtomicU64,
    /// Bytes of log at the last count or checkpoint.
    log_bytes: AtomicU64,
    /// Bytes of log for each command, as counted. Fewer in large batches, whose commands touch the
    /// same pages.
    command_bytes: AtomicU64,
    /// Commands since the log was counted.
    commands: AtomicU64,
    /// Number of checkpoints. The log can start again from its beginning only after a checkpoint.
    checkpoints: AtomicU64,
    /// Bytes of log at the last [`WalSizeEstimator::counted`], and the number of checkpoints then.
    last_count: AtomicU64,
    last_count_at: AtomicU64,
    /// The writer tries again to restart the log only above this length.
    restart_above: AtomicU64,
    commit_no: AtomicI64,
    /// Whether the database lacks commits that the writer knows.
    is_database_lost: AtomicBool,
}

impl Default for WalSizeEstimator {
    fn default() -> Self {
        Self {
            since_checkpoint: AtomicU64::default(),
            log_bytes: AtomicU64::default(),
            command_bytes: AtomicU64::new(COMMAND_PAGES * FRAME_BYTES),
            commands: AtomicU64::default(),
            checkpoints: AtomicU64::default(),
            last_count: AtomicU64::default(),
            last_count_at: AtomicU64::new(u64::MAX),
            restart_above: AtomicU64::default(),
            commit_no: AtomicI64::default(),
            is_database_lost: AtomicBool::default(),
        }
    }
}

impl WalSizeEstimator {
    /// Records a commit of `commands` commands. Returns the estimated bytes that no checkpoint has
    /// moved yet.
    pub fn committed(&self, commit_no: i64, commands: usize) -> u64 {
        self.commit_no.store(commit_no, Relaxed);
        let commands = u64::try_from(commands).unwrap_or(0);
        self.commands.fetch_add(commands, Relaxed);
        let bytes = COMMIT_PAGES * FRAME_BYTES + commands * self.command_bytes.load(Relaxed);
        self.since_checkpoint.fetch_add(bytes, Relaxed) + bytes
    }

    /// Records that the database lacks commits: the next mark requests a new epoch.
    pub fn database_lost(&self) {
        self.is_database_lost.store(true, Relaxed);
    }

    /// Records the measured length of the log, before a checkpoint is requested. Adapts the
    /// estimate, unless there was a checkpoint since the last count: the log may then have started
    /// again. Returns the bytes that no checkpoint has moved yet.
    pub fn counted(&self, pages: &WalPages) -> u64 {
        let bytes = |pages: i32| u64::try_from(pages).unwrap_or(0) * FRAME_BYTES;
        let (log, unmoved) = (bytes(pages.log), bytes(pages.log.saturating_sub(pages.checkpointed)));
        let (checkpoints, commands) = (self.checkpoints.load(Relaxed), self.commands.swap(0, Relaxed));
        let same_log = self.last_count_at.swap(checkpoints, Relaxed) == checkpoints;
        let grown = log.saturating_sub(self.last_count.swap(log, Relaxed));
        if same_log && commands > 0 {
            let found = (grown / commands).clamp(1, COMMAND_PAGES * FRAME_BYTES);
            self.command_bytes.store(found.midpoint(self.command_bytes.load(Relaxed)), Relaxed);
        }
        self.log_bytes.store(log, Relaxed);
        self.since_checkpoint.store(unmoved, Relaxed);
        unmoved
    }

    /// Returns whether the log exceeds `wal_bytes`. After a failed restart, it must have grown by
    /// another `wal_bytes`.
    pub fn restart_is_due(&self, wal_bytes: u64) -> bool {
        let log = self.log_bytes.load(Relaxed);
        if log <= wal_bytes {
            self.restart_above.store(wal_bytes, Relaxed);
        }
        log > wal_bytes && log > self.restart_above.load(Relaxed)
    }

    /// Records that a reader holds an old snapshot: another attempt at once would only delay all
    /// writes.
    pub fn restart_failed(&self, wal_bytes: u64) {
        self.restart_above.store(self.log_bytes.load(Relaxed) + wal_bytes, Relaxed);
    }

    /// Records a checkpoint that found `log_bytes` of log.
    fn checkpointed(&self, log_bytes: u64) {
        self.log_bytes.store(log_bytes, Relaxed);
        self.checkpoints.fetch_add(1, Relaxed);
    }

    pub fn restarted(&self) {
        self.checkpoints.fetch_add(1, Relaxed);
        self.log_bytes.store(0, Relaxed);
        self.since_checkpoint.store(0, Relaxed);
    }
}

/// Maximum time for which a caller waits for the mark.
const MARK_MAX: Duration = Duration::from_secs(2);

enum Request {
    Checkpoint,
    /// Writes the high-water mark, then sends the answer.
    Mark(SyncSender<()>),
}

/// Requests work from the thread. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CheckpointerWaker(SyncSender<Request>);

impl CheckpointerWaker {
    /// Requests a checkpoint. Returns false if another request waits already.
    pub fn checkpoint(&self) -> bool {
        self.0.try_send(Request::Checkpoint).is_ok()
    }

    /// Writes the high-water mark. Returns when it is on disk, or after [`MARK_MAX`]. Called before
    /// the process ends without a stop.
    pub fn mark(&self) {
        let (answer, answered) = sync_channel(1);
        let is_written =
            self.0.send(Request::Mark(answer)).is_ok() && answered.recv_timeout(MARK_MAX).is_ok();
        if !is_written {
            warn!("the high-water mark was not written in time");
        }
    }
}

/// Handle of the thread. [`Checkpointer::stop`] ends and joins it.
#[derive(Debug)]
pub struct Checkpointer {
    wake: CheckpointerWaker,
    thread: JoinHandle<()>,
}

/// One row of `PRAGMA wal_checkpoint`.
#[derive(QueryableByName)]
struct Checkpointed {
    #[diesel(sql_type = Integer)]
    log: i32,
}

impl Checkpointer {
    /// Starts the thread. Without a file, it only keeps the high-water mark.
    pub fn start(
        database: Option<&PathBuf>,
        data_dir: Arc<DataDir>,
        epoch: i64,
        estimator: Arc<WalSizeEstimator>,
        metrics: CommitMetrics,
    ) -> Result<Self, database::DatabaseError> {
        let mut db = database.map(|path| database::open_reader(path)).transpose()?;
        if let Some(db) = &mut db {
            diesel::connection::SimpleConnection::batch_execute(db, "PRAGMA query_only = OFF;")?;
        }
        let (wake, woken) = sync_channel(1);
        let thread = std::thread::spawn(move || {
            let mut marked = None;
            loop {
                let (mut waiting, mut last) = (None, false);
                match woken.recv_timeout(MARK_EVERY) {
                    Ok(Request::Checkpoint) => {
                        if let Some(db) = &mut db {
                            passive(db, &estimator, &metrics);
                        }
                    }
                    Ok(Request::Mark(answer)) => waiting = Some(answer),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => last = true,
                }
                let (commit_no, lost) =
                    (estimator.commit_no.load(Relaxed), estimator.is_database_lost.load(Relaxed));
                if marked != Some((commit_no, lost)) {
                    match data_dir.write_high_water(HighWater { epoch, commit_no, lost }) {
                        Ok(()) => marked = Some((commit_no, lost)),
                        Err(error) => warn!(%error, "the high-water mark could not be written"),
                    }
                }
                if let Some(answer) = waiting {
                    answer.try_send(()).ok();
                }
                if last {
                    return;
                }
            }
        });
        Ok(Self { wake: CheckpointerWaker(wake), thread })
    }

    /// Returns the handle with which the writer requests a checkpoint.
    pub fn waker(&self) -> CheckpointerWaker {
        self.wake.clone()
    }

    /// Ends the thread after all clones of [`Checkpointer::waker`] are dropped.
    pub fn stop(self) {
        drop(self.wake);
        if self.thread.join().is_err() {
            warn!("the checkpointer thread panicked");
        }
    }
}

fn passive(db: &mut SqliteConnection, estimator: &WalSizeEstimator, metrics: &CommitMetrics) {
    let begun = Instant::now();
    estimator.since_checkpoint.store(0, Relaxed);
    fail_points::reach(fail_points::BEFORE_CHECKPOINT);
    match diesel::sql_query("PRAGMA wal_checkpoint(PASSIVE)").get_result::<Checkpointed>(db) {
        Ok(row) => estimator.checkpointed(u64::try_from(row.log).unwrap_or(0) * FRAME_BYTES),
        Err(error) => warn!(%error, "the checkpoint failed; the next one tries again"),
    }
    fail_points::reach(fail_points::AFTER_CHECKPOINT);
    metrics.checkpoint_seconds.observe(begun.elapsed().as_secs_f64());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_restart_is_retried_after_wal_bytes_of_growth() {
        let estimator = WalSizeEstimator::default();
        let due_at = |log: u64| {
            estimator.checkpointed(log);
            estimator.restart_is_due(64)
        };
        assert!(!due_at(64) && due_at(65));
        estimator.restart_failed(64);
        assert!(!due_at(66) && !due_at(129) && due_at(130));
        estimator.restart_failed(64);
        assert!(!due_at(190));
        // The reader is gone, and the log was restarted.
        assert!(!due_at(10) && !due_at(64) && due_at(65));
    }

    #[test]
    fn estimate_adapts_within_one_log_but_not_after_a_checkpoint() {
        let estimator = WalSizeEstimator::default();
        let frames = |count: u64| count * FRAME_BYTES;
        assert_eq!(estimator.committed(1, 100), frames(4 + 300));
        // 304 pages were estimated, 100 are in the log, and 40 of them were moved.
        assert_eq!(estimator.counted(&WalPages { log: 100, checkpointed: 40 }), frames(60));
        assert_eq!(
            estimator.committed(2, 100) - frames(60),
            frames(4 + 300),
            "the first count has nothing to compare with"
        );
        assert_eq!(estimator.counted(&WalPages { log: 200, checkpointed: 40 }), frames(160));
        assert_eq!(
            estimator.committed(3, 100) - frames(160),
            frames(4 + 200),
            "100 grew by 100: halfway from 3 to 1"
        );
        // The log started again after the checkpoint and now has 210 pages: it did not grow by 10.
        estimator.checkpointed(frames(200));
        assert_eq!(estimator.counted(&WalPages { log: 210, checkpointed: 0 }), frames(210));
        assert_eq!(estimator.log_bytes.load(Relaxed), frames(210));
        assert_eq!(
            estimator.committed(4, 100) - frames(210),
            frames(4 + 200),
            "another log does not change the estimate"
        );
    }
}
