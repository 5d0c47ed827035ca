//! Reloads the read models from the database: after a gap between commits, and after a panic.
//!
//! A snapshot that cannot be read is read again: the pool may be busy, or PostgreSQL away. Queries
//! wait meanwhile; on several nodes they are refused once the state is too old.

use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use super::{CacheActor, DeferredQuery};
use crate::actors::cache::messages::{CaughtUp, SnapshotRead};
use crate::actors::cache::read_models::ReadModels;
use crate::actors::commit::{Committed, Place};
use crate::actors::hub::LaneItem;
use crate::core::actor::FATAL_EXIT_CODE;
use crate::core::shares::Holder;
use crate::storage::readers::ReadError;
use crate::storage::snapshot;

/// Pause before the next try to read a snapshot.
const READ_AGAIN: Duration = Duration::from_millis(500);
/// The process ends if no snapshot could be read for this long.
const RELOAD_MAX: Duration = Duration::from_secs(600);

/// Whether the read models are valid.
pub(super) enum Reload {
    No,
    /// A snapshot is being read; commits and queries wait.
    Running {
        commits: Vec<Committed>,
        queries: Vec<DeferredQuery>,
        /// The last report of the newest commit.
        caught_up: Option<CaughtUp>,
        since: Instant,
        /// Whether another snapshot follows the one that is being read.
        again: bool,
    },
}

impl CacheActor {
    pub(super) fn start_reload(&mut self, commits: Vec<Committed>) {
        info!("the read models are reloaded from the database");
        let (queries, since) = (Vec::new(), Instant::now());
        self.reload = Reload::Running { commits, queries, caught_up: None, since, again: false };
        self.counters.reloads.inc();
        self.read_snapshot(Duration::ZERO);
    }

    /// Requests another snapshot: the commits to come may not follow the one that is being read. It
    /// is read after that one, so that at most one is in memory.
    pub(super) fn restart_reload(&mut self) {
        if let Reload::Running { commits, again, .. } = &mut self.reload {
            // The next snapshot has them.
            commits.clear();
            *again = true;
        }
        self.counters.reloads.inc();
    }

    fn read_snapshot(&mut self, pause: Duration) {
        self.reloads += 1;
        let reload = self.reloads;
        let (own, readers, cache) =
            (self.own.clone(), self.sources.readers.clone(), self.sources.cache.clone());
        actix::spawn(async move {
            tokio::time::sleep(pause).await;
            let read = readers
                .read(Holder::Operator, move |db| snapshot::load(db, cache.window, cache.max_bytes))
                .await;
            own.snapshot_read(reload, read.map(Box::new));
        });
    }

    /// Reads a snapshot again later, unless that failed for long or cannot help.
    fn snapshot_unread(&mut self, error: &ReadError) {
        let Reload::Running { queries, since, .. } = &mut self.reload else { return };
        // On SQLite, the file itself cannot be read.
        let is_final =
            self.sources.log.is_none() && matches!(error, ReadError::Database(_) | ReadError::Task(_));
        if is_final || since.elapsed() >= RELOAD_MAX {
            error!(%error, "the read models cannot be loaded from the database; stopping");
            return self.fatal.raise(FATAL_EXIT_CODE);
        }
        warn!(%error, "the read models cannot be loaded from the database; trying again");
        let waiting = std::mem::take(queries);
        self.read_snapshot(READ_AGAIN);
        // They wait again, or are refused.
        for deferred in waiting {
            deferred(self);
        }
    }

    /// Reads a snapshot again that was requested during the last one.
    fn snapshot_outdated(&mut self) {
        let Reload::Running { since, .. } = &self.reload else { return };
        if since.elapsed() >= RELOAD_MAX {
            error!("commits arrive faster than the read models can be loaded; stopping");
            return self.fatal.raise(FATAL_EXIT_CODE);
        }
        self.read_snapshot(Duration::ZERO);
    }

    pub(super) fn snapshot_read(&mut self, SnapshotRead { reload, snapshot }: SnapshotRead) {
        // Requested before a panic or another reload: it may be older than events published since.
        if reload != self.reloads {
            return;
        }
        let is_old = match &mut self.reload {
            Reload::Running { again, .. } => std::mem::take(again),
            Reload::No => false,
        };
        let snapshot = match snapshot {
            Ok(_) if is_old => return self.snapshot_outdated(),
            Ok(snapshot) => *snapshot,
            Err(error) => return self.snapshot_unread(&error),
        };
        if let Some(newest) = &self.sources.newest {
            newest.show(Place { epoch: snapshot.epoch, commit_no: snapshot.commit_no, batch: None });
        }
        let running = std::mem::replace(&mut self.reload, Reload::No);
        let Reload::Running { commits, queries, caught_up, .. } = running else { return };
        let cache = &self.sources.cache;
        let fresh = ReadModels::load(snapshot, cache.window, cache.max_bytes);
        self.models.replace_with(fresh);
        // Commits of the meantime were never pushed: sessions must catch up.
        self.deliver_to_all(vec![LaneItem::Lost]);
        self.changes.note_all();
        self.schedule_changes();
        let waiting: Vec<_> =
            self.awaiting_window.drain().flat_map(|(_, deferred)| deferred).chain(queries).collect();
        for committed in commits {
            self.apply(committed);
            if let Reload::Running { .. } = self.reload {
                // The snapshot was read after this commit was published and does not contain it:
                // the database has lost a commit.
                error!("a batch does not follow the snapshot that was read after it; stopping");
                return self.fatal.raise(FATAL_EXIT_CODE);
            }
        }
        if let Some(caught_up) = caught_up {
            self.caught_up(caught_up);
        }
        for deferred in waiting {
            deferred(self);
        }
        self.count_bytes();
    }

    /// Returns `what`, unless the read models are being loaded: then it is parked, and `then` runs
    /// on it afterwards.
    pub(in crate::actors::cache) fn defer_while_reloading<T: Send + 'static>(
        &mut self,
        what: T,
        then: fn(&mut Self, T),
    ) -> Option<T> {
        match &mut self.reload {
            Reload::No => Some(what),
            Reload::Running { queries, .. } => {
                queries.push(Box::new(move |cache| then(cache, what)));
                None
            }
        }
    }
}
