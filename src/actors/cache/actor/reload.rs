//! Reloads the read models from the database: after a gap between commits, and after a panic.

use tracing::{error, info};

use super::{CacheActor, DeferredQuery};
use crate::actors::cache::messages::{CaughtUp, SnapshotRead};
use crate::actors::cache::read_models::ReadModels;
use crate::actors::commit::Committed;
use crate::actors::hub::LaneItem;
use crate::core::actor::FATAL_EXIT_CODE;
use crate::core::shares::Holder;
use crate::storage::snapshot;

/// Whether the read models are valid.
pub(super) enum Reload {
    No,
    /// A snapshot is being read; commits and queries wait.
    Running {
        commits: Vec<Committed>,
        queries: Vec<DeferredQuery>,
        /// The last report of the newest commit.
        caught_up: Option<CaughtUp>,
    },
}

impl CacheActor {
    pub(super) fn start_reload(&mut self, commits: Vec<Committed>) {
        info!("the read models are reloaded from the database");
        self.counters.reloads.inc();
        self.reload = Reload::Running { commits, queries: Vec::new(), caught_up: None };
        self.reloads += 1;
        let reload = self.reloads;
        let (own, readers, cache) =
            (self.own.clone(), self.sources.readers.clone(), self.sources.cache.clone());
        actix::spawn(async move {
            let read = readers
                .read(Holder::Operator, move |db| snapshot::load(db, cache.window, cache.max_bytes))
                .await;
            own.snapshot_read(reload, read.map(Box::new));
        });
    }

    pub(super) fn snapshot_read(&mut self, SnapshotRead { reload, snapshot }: SnapshotRead) {
        // Requested before a panic: it may be older than events published since.
        if reload != self.reloads {
            return;
        }
        let Reload::Running { commits, queries, caught_up } = std::mem::replace(&mut self.reload, Reload::No)
        else {
            return;
        };
        let snapshot = match snapshot {
            Ok(snapshot) => *snapshot,
            Err(error) => {
                error!(%error, "the read models cannot be loaded from the database; stopping");
                return self.fatal.raise(FATAL_EXIT_CODE);
            }
        };
        let cache = &self.sources.cache;
        let fresh = ReadModels::load(snapshot, cache.window, cache.max_bytes);
        self.models.replace_with(fresh);
        // Commits of the meantime were never pushed: sessions must catch up.
        self.deliver_to_all(vec![LaneItem::Lost]);
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
