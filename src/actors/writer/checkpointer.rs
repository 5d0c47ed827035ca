//! The checkpointer: moves the write-ahead log into the database, off the path of every answer.
//!
//! A helper thread with a connection of its own. It runs a PASSIVE checkpoint (which waits for nobody) after every
//! `limits.checkpoint_bytes` of log, and keeps the high-water mark beside the database. Only when readers have kept
//! the log from shrinking beyond `limits.wal_bytes` does the writer itself run a RESTART, between two batches.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
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

/// SQLite's page size, and a frame's header in the log.
const FRAME_BYTES: u64 = 4096 + 24;
/// How often the high-water mark is renewed while there are commits. An older copy of the database that is put in place
/// within this time of a commit is recognised by the next mark only.
const MARK_EVERY: Duration = Duration::from_secs(5);

/// Pages that a commit touches, whatever is in it.
const COMMIT_PAGES: u64 = 4;
/// Pages that a command touches, as long as nothing is known: those of a table and its indexes.
const COMMAND_PAGES: u64 = 3;

/// What writer and checkpointer tell each other.
#[derive(Debug)]
pub struct WalSizeEstimator {
    /// Estimated bytes since the last checkpoint.
    since_checkpoint: AtomicU64,
    /// Bytes of log that were found the last time.
    log_bytes: AtomicU64,
    /// Bytes of log that a command was found to take: less in large batches, whose commands touch the same pages.
    command_bytes: AtomicU64,
    /// Commands since the log was counted.
    commands: AtomicU64,
    /// Checkpoints so far: only behind one can the log begin anew.
    checkpoints: AtomicU64,
    /// What [`WalSizeEstimator::counted`] found the last time, and behind how many checkpoints.
    last_count: AtomicU64,
    last_count_at: AtomicU64,
    /// Below this length of the log the writer does not try again to restart it.
    restart_above: AtomicU64,
    commit_no: AtomicI64,
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
        }
    }
}

impl WalSizeEstimator {
    /// A commit of `commands` commands. Answers the bytes, as is estimated, that no checkpoint has moved yet.
    pub fn committed(&self, commit_no: i64, commands: usize) -> u64 {
        self.commit_no.store(commit_no, Relaxed);
        let commands = u64::try_from(commands).unwrap_or(0);
        self.commands.fetch_add(commands, Relaxed);
        let bytes = COMMIT_PAGES * FRAME_BYTES + commands * self.command_bytes.load(Relaxed);
        self.since_checkpoint.fetch_add(bytes, Relaxed) + bytes
    }

    /// The estimate is checked before anything is done about it. The next one learns from it, unless there was a checkpoint
    /// since the last time: then it may be another log. Answers the bytes that no checkpoint has moved yet.
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

    /// Whether the log is longer than it may be, and by `wal_bytes` longer than when a reader prevented a restart.
    pub fn restart_is_due(&self, wal_bytes: u64) -> bool {
        let log = self.log_bytes.load(Relaxed);
        if log <= wal_bytes {
            self.restart_above.store(wal_bytes, Relaxed);
        }
        log > wal_bytes && log > self.restart_above.load(Relaxed)
    }

    /// A reader holds an old snapshot: another attempt at once would delay all writes for nothing.
    pub fn restart_failed(&self, wal_bytes: u64) {
        self.restart_above.store(self.log_bytes.load(Relaxed) + wal_bytes, Relaxed);
    }

    /// A checkpoint has found so many bytes of log.
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

/// The running thread. [`Checkpointer::stop`] ends and joins it.
#[derive(Debug)]
pub struct Checkpointer {
    wake: SyncSender<()>,
    thread: JoinHandle<()>,
}

/// One row of `PRAGMA wal_checkpoint`.
#[derive(QueryableByName)]
struct Checkpointed {
    #[diesel(sql_type = Integer)]
    log: i32,
}

impl Checkpointer {
    pub fn start(
        database: &Path,
        data_dir: Arc<DataDir>,
        epoch: i64,
        estimator: Arc<WalSizeEstimator>,
        metrics: CommitMetrics,
    ) -> Result<Self, database::DatabaseError> {
        let mut db = database::open_reader(database)?;
        diesel::connection::SimpleConnection::batch_execute(&mut db, "PRAGMA query_only = OFF;")?;
        let (wake, woken) = sync_channel(1);
        let thread = std::thread::spawn(move || {
            let mut marked = i64::MIN;
            loop {
                let last = match woken.recv_timeout(MARK_EVERY) {
                    Ok(()) => {
                        passive(&mut db, &estimator, &metrics);
                        false
                    }
                    Err(RecvTimeoutError::Timeout) => false,
                    Err(RecvTimeoutError::Disconnected) => true,
                };
                let commit_no = estimator.commit_no.load(Relaxed);
                if commit_no > marked {
                    match data_dir.write_high_water(HighWater { epoch, commit_no }) {
                        Ok(()) => marked = commit_no,
                        Err(error) => warn!(%error, "the high-water mark could not be written"),
                    }
                }
                if last {
                    return;
                }
            }
        });
        Ok(Self { wake, thread })
    }

    /// For the writer: wakes the thread; if it is awake already, that is as good.
    pub fn waker(&self) -> SyncSender<()> {
        self.wake.clone()
    }

    /// Ends the thread once every waker is gone.
    pub fn stop(self) {
        drop(self.wake);
        if self.thread.join().is_err() {
            warn!("the checkpointer had panicked");
        }
    }
}

fn passive(db: &mut SqliteConnection, estimator: &WalSizeEstimator, metrics: &CommitMetrics) {
    let begun = Instant::now();
    estimator.since_checkpoint.store(0, Relaxed);
    fail_points::reach(fail_points::BEFORE_CHECKPOINT);
    match diesel::sql_query("PRAGMA wal_checkpoint(PASSIVE)").get_result::<Checkpointed>(db) {
        Ok(row) => estimator.checkpointed(u64::try_from(row.log).unwrap_or(0) * FRAME_BYTES),
        Err(error) => warn!(%error, "a checkpoint failed; the next one will try again"),
    }
    fail_points::reach(fail_points::AFTER_CHECKPOINT);
    metrics.checkpoint_seconds.observe(begun.elapsed().as_secs_f64());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_that_somebody_was_in_the_way_of_is_tried_again_when_the_log_is_longer_by_as_much() {
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
    fn the_estimate_learns_what_a_command_takes_from_one_log_and_nothing_across_a_checkpoint() {
        let estimator = WalSizeEstimator::default();
        let frames = |count: u64| count * FRAME_BYTES;
        assert_eq!(estimator.committed(1, 100), frames(4 + 300));
        // 304 pages were expected, 100 are there, of which 40 were moved.
        assert_eq!(estimator.counted(&WalPages { log: 100, checkpointed: 40 }), frames(60));
        assert_eq!(
            estimator.committed(2, 100) - frames(60),
            frames(4 + 300),
            "the first count compares with nothing"
        );
        assert_eq!(estimator.counted(&WalPages { log: 200, checkpointed: 40 }), frames(160));
        assert_eq!(
            estimator.committed(3, 100) - frames(160),
            frames(4 + 200),
            "100 grew by 100: halfway from 3 to 1"
        );
        // The log began anew behind it, and is a little longer now than it was: 210 pages, not 10.
        estimator.checkpointed(frames(200));
        assert_eq!(estimator.counted(&WalPages { log: 210, checkpointed: 0 }), frames(210));
        assert_eq!(estimator.log_bytes.load(Relaxed), frames(210));
        assert_eq!(
            estimator.committed(4, 100) - frames(210),
            frames(4 + 200),
            "nothing is learnt of another log"
        );
    }
}
