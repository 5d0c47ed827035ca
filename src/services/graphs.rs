//! Commit-graphs: what browsing a long history needs, written soon after a push that brought one.
//!
//! Packing writes them too, but only every `limits.maintenance_pushes`. Invariant: one is written at a time, and at most
//! [`WAITING_MAX`] repositories wait for theirs, each once; one that finds no place is served by the packing.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{ServiceError, Services};
use crate::core::shares::Holder;
use crate::domain::ids::{RepositoryId, UserId};
use crate::domain::repository::Repository;
use crate::git::maintenance;
use crate::storage::queries::repositories;

/// Repositories that wait for their graph.
const WAITING_MAX: usize = 100;
/// Those of one owner: pushes to many repositories leave places to others.
const WAITING_EACH_MAX: usize = 20;
/// A repository of fewer bytes has a history that needs no graph.
const MISSED_BYTES_MIN: i64 = 256 * 1024;

/// Which graphs are being written.
#[derive(Debug)]
pub(super) struct Graphs {
    /// The one turn to write.
    running: Semaphore,
    waiting: Arc<ArcSwap<Waiting>>,
    stopping: CancellationToken,
}

/// The repositories that wait, with their owners.
#[derive(Debug, Clone, Default)]
struct Waiting(Vec<(RepositoryId, UserId)>);

impl Waiting {
    /// With one more; `None` when it waits already or there is no place.
    fn with(&self, repository: RepositoryId, owner: UserId) -> Option<Self> {
        let waits = self.0.iter().any(|(waiting, _)| *waiting == repository);
        let of_owner = self.0.iter().filter(|(_, other)| *other == owner).count();
        let has_place = self.0.len() < WAITING_MAX && of_owner < WAITING_EACH_MAX;
        (has_place && !waits).then(|| Self([self.0.as_slice(), &[(repository, owner)]].concat()))
    }

    fn without(&self, repository: RepositoryId) -> Self {
        Self(self.0.iter().copied().filter(|(waiting, _)| *waiting != repository).collect())
    }
}

/// The place of a repository that waits, until it is dropped: before its graph is written.
///
/// git reads the refs at the beginning of a write. A push that settles while its repository waits will be in the graph; one
/// that settles later takes a place of its own.
#[derive(Debug)]
struct Place {
    waiting: Arc<ArcSwap<Waiting>>,
    repository: RepositoryId,
}

impl Place {
    fn take(waiting: &Arc<ArcSwap<Waiting>>, repository: RepositoryId, owner: UserId) -> Option<Self> {
        let before = waiting.rcu(|now| now.with(repository, owner).map_or_else(|| now.clone(), Arc::new));
        before.with(repository, owner).map(|_| Self { waiting: waiting.clone(), repository })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.waiting.rcu(|now| now.without(self.repository));
    }
}

impl Graphs {
    pub(super) fn new() -> Self {
        Self { running: Semaphore::new(1), waiting: Arc::default(), stopping: CancellationToken::new() }
    }

    /// Ends the one that is being written: git replaces the file when it is whole.
    pub(super) fn close(&self) {
        self.stopping.cancel();
    }
}

impl Services {
    /// Writes the graph of a repository in the background, unless it waits for that already.
    pub(super) fn write_graph_soon(self: &Arc<Self>, repository: &Repository, owner: UserId) {
        let graphs = &self.hosting.graphs;
        let Some(place) = Place::take(&graphs.waiting, repository.id, owner) else { return };
        let (services, repository) = (self.clone(), repository.clone());
        let stopping = graphs.stopping.clone();
        tokio::spawn(stopping.run_until_cancelled_owned(async move {
            let Ok(_turn) = services.hosting.graphs.running.acquire().await else { return };
            drop(place);
            services.write_graph(&repository, true).await;
        }));
    }

    /// Writes the graphs that repositories of earlier versions lack. Runs once, behind the start.
    pub async fn write_missing_graphs(&self) {
        let all = self.readers.read(Holder::Operator, |db| repositories::in_state(db, repositories::ACTIVE));
        let all = match all.await {
            Ok(all) => all,
            Err(error) => {
                tracing::warn!(%error, "repositories without a commit graph could not be searched for");
                return;
            }
        };
        for repository in all.iter().filter(|repository| repository.size_bytes >= MISSED_BYTES_MIN) {
            let Ok(_turn) = self.hosting.graphs.running.acquire().await else { return };
            self.write_graph(repository, false).await;
        }
    }

    /// Only with the turn. A repository that has `grown` needs another graph, others need one with filters.
    async fn write_graph(&self, repository: &Repository, grown: bool) {
        match self.write_graph_if_needed(repository, grown).await {
            Ok(true) => {
                tracing::info!(repository.id = %repository.id, "the commit graph was written");
            }
            Ok(false) => {}
            // Browsing reads commits instead, and packing tries again.
            Err(error) => {
                tracing::warn!(repository.id = %repository.id, %error, "a commit graph could not be written");
            }
        }
    }

    async fn write_graph_if_needed(
        &self,
        repository: &Repository,
        grown: bool,
    ) -> Result<bool, ServiceError> {
        let Ok(git) = self.hosting.git() else { return Ok(false) };
        let directory = self.hosting.directory(repository).await?;
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

    /// Pushes to one repository took all places; a push during a write needs another graph.
    #[test]
    fn repository_waits_once_until_its_graph_begins() {
        let waiting = Arc::default();
        let take = |repository| Place::take(&waiting, RepositoryId(repository), UserId(1));
        let place = take(1);
        assert!(place.is_some() && take(1).is_none());
        let other = take(2);
        drop(place);
        assert!(take(1).is_some() && take(2).is_none());
        drop(other);
        assert!(waiting.load().0.is_empty());
    }

    #[test]
    fn places_are_bounded_for_each_owner_and_all() {
        let waiting = Arc::default();
        let take = |repository: usize, owner: usize| {
            let [repository, owner] = [repository, owner].map(|id| i64::try_from(id).unwrap());
            Place::take(&waiting, RepositoryId(repository), UserId(owner))
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
