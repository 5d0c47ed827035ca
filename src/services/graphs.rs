//! Writes commit-graphs, which make browsing a long history fast, soon after the push that needs
//! one.
//!
//! Maintenance writes them too, but only every `limits.maintenance_pushes`. Invariant: one graph is
//! written at a time. At most [`WAITING_MAX`] repositories wait, each once; a repository that finds
//! no slot waits for maintenance.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{ServiceError, Services};
use crate::core::shares::Holder;
use crate::core::telemetry::chain;
use crate::domain::ids::{RepositoryId, UserId};
use crate::domain::repository::Repository;
use crate::git::maintenance;
use crate::storage::queries::repositories;

/// Maximum number of repositories that wait for their graph.
const WAITING_MAX: usize = 100;
/// Maximum for one owner, so that pushes to many repositories leave slots to other owners.
const WAITING_EACH_MAX: usize = 20;
/// A smaller repository has a history that needs no graph.
const MISSED_BYTES_MIN: i64 = 256 * 1024;

/// The graphs that wait or are being written.
#[derive(Debug)]
pub(super) struct Graphs {
    /// The only permit to write.
    running: Semaphore,
    waiting: Arc<ArcSwap<WaitingRepositories>>,
    stopping: CancellationToken,
}

/// The waiting repositories, with their owners.
#[derive(Debug, Clone, Default)]
struct WaitingRepositories(Vec<(RepositoryId, UserId)>);

impl WaitingRepositories {
    /// Returns the list with one more repository; `None` when it waits already or no slot is free.
    fn with(&self, repository: RepositoryId, owner: UserId) -> Option<Self> {
        let waits = self.0.iter().any(|(waiting, _)| *waiting == repository);
        let of_owner = self.0.iter().filter(|(_, other)| *other == owner).count();
        let has_slot = self.0.len() < WAITING_MAX && of_owner < WAITING_EACH_MAX;
        (has_slot && !waits).then(|| Self([self.0.as_slice(), &[(repository, owner)]].concat()))
    }

    fn without(&self, repository: RepositoryId) -> Self {
        Self(self.0.iter().copied().filter(|(waiting, _)| *waiting != repository).collect())
    }
}

/// The slot of a waiting repository. It is dropped before the graph is written.
///
/// git reads the refs at the start of a write. A push that settles while its repository waits is
/// included in the graph; a push that settles later takes another slot.
#[derive(Debug)]
struct QueueSlot {
    waiting: Arc<ArcSwap<WaitingRepositories>>,
    repository: RepositoryId,
}

impl QueueSlot {
    fn take(
        waiting: &Arc<ArcSwap<WaitingRepositories>>,
        repository: RepositoryId,
        owner: UserId,
    ) -> Option<Self> {
        let before = waiting.rcu(|now| now.with(repository, owner).map_or_else(|| now.clone(), Arc::new));
        before.with(repository, owner).map(|_| Self { waiting: waiting.clone(), repository })
    }
}

impl Drop for QueueSlot {
    fn drop(&mut self) {
        self.waiting.rcu(|now| now.without(self.repository));
    }
}

impl Graphs {
    pub(super) fn new() -> Self {
        Self { running: Semaphore::new(1), waiting: Arc::default(), stopping: CancellationToken::new() }
    }

    /// Stops the write in progress. This is safe: git replaces the file only when the new one is
    /// complete.
    pub(super) fn close(&self) {
        self.stopping.cancel();
    }
}

impl Services {
    /// Writes the graph of a repository in the background, unless the repository waits already.
    pub(super) fn write_graph_soon(self: &Arc<Self>, repository: &Repository, owner: UserId) {
        let graphs = &self.git.graphs;
        let Some(slot) = QueueSlot::take(&graphs.waiting, repository.id, owner) else { return };
        let (services, repository) = (self.clone(), repository.clone());
        let stopping = graphs.stopping.clone();
        tokio::spawn(stopping.run_until_cancelled_owned(async move {
            let Ok(_permit) = services.git.graphs.running.acquire().await else { return };
            drop(slot);
            services.write_graph(&repository, true).await;
        }));
    }

    /// Writes the graphs that are missing in repositories of earlier versions. Runs once, in the
    /// background after the start.
    pub async fn write_missing_graphs(&self) {
        let all = self.readers.read(Holder::Operator, |db| repositories::in_state(db, repositories::ACTIVE));
        let all = match all.await {
            Ok(all) => all,
            Err(error) => {
                tracing::warn!(error = %chain(&error), "cannot search for repositories without a commit-graph");
                return;
            }
        };
        let stored = all.iter().filter(|repository| self.git.stores(repository));
        for repository in stored.filter(|repository| repository.size_bytes >= MISSED_BYTES_MIN) {
            let Ok(_permit) = self.git.graphs.running.acquire().await else { return };
            self.write_graph(repository, false).await;
        }
    }

    /// Writes the graph; the caller holds the permit. A repository that has `grown` needs a new
    /// graph, others only one with filters.
    async fn write_graph(&self, repository: &Repository, grown: bool) {
        match self.write_graph_if_needed(repository, grown).await {
            Ok(true) => {
                tracing::info!(repository.id = %repository.id, "the commit graph was written");
            }
            Ok(false) => {}
            // Browsing reads the commits instead, and maintenance tries again.
            Err(error) => {
                tracing::warn!(repository.id = %repository.id, error = %chain(&error), "cannot write the commit-graph");
            }
        }
    }

    async fn write_graph_if_needed(
        &self,
        repository: &Repository,
        grown: bool,
    ) -> Result<bool, ServiceError> {
        let Ok(git) = self.git.program() else { return Ok(false) };
        let directory = self.git.directory(repository).await?;
        if !grown && maintenance::has_whole_graph(&directory).unwrap_or(false) {
            return Ok(false);
        }
        maintenance::write_graph(git, &directory).await?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Regression: pushes to one repository took all slots. A push during a write needs another
    /// graph.
    #[test]
    fn repository_waits_once_until_its_graph_is_started() {
        let waiting = Arc::default();
        let take = |repository| QueueSlot::take(&waiting, RepositoryId(repository), UserId(1));
        let slot = take(1);
        assert!(slot.is_some() && take(1).is_none());
        let other = take(2);
        drop(slot);
        assert!(take(1).is_some() && take(2).is_none());
        drop(other);
        assert!(waiting.load().0.is_empty());
    }

    #[test]
    fn waiting_slots_are_bounded_per_owner_and_in_total() {
        let waiting = Arc::default();
        let take = |repository: usize, owner: usize| {
            let [repository, owner] = [repository, owner].map(|id| i64::try_from(id).unwrap());
            QueueSlot::take(&waiting, RepositoryId(repository), UserId(owner))
        };
        let mut places: Vec<_> = (0..WAITING_EACH_MAX).filter_map(|repository| take(repository, 0)).collect();
        assert!(places.len() == WAITING_EACH_MAX && take(WAITING_EACH_MAX, 0).is_none());
        let others = (WAITING_EACH_MAX..WAITING_MAX).filter_map(|repository| take(repository, repository));
        places.extend(others);
        assert!(places.len() == WAITING_MAX && take(WAITING_MAX, WAITING_MAX).is_none());
        drop(places.pop());
        assert!(take(WAITING_MAX, WAITING_MAX).is_some());
    }
}
