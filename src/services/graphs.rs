//! Commit-graphs: what browsing a long history needs, written soon after a push that brought one.
//!
//! Packing writes them too, but only every `limits.maintenance_pushes`. Invariant: one is written at a time, and at most
//! [`WAITING_MAX`] pushes wait for theirs; one that finds no place is served by the packing.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{ServiceError, Services};
use crate::core::shares::Holder;
use crate::domain::ids::RepositoryId;
use crate::domain::repository::Repository;
use crate::git::maintenance;
use crate::storage::queries::repositories;

/// Pushes that wait for their graph.
const WAITING_MAX: usize = 100;
/// A repository of fewer bytes has a history that needs no graph.
const MISSED_BYTES_MIN: i64 = 256 * 1024;

/// Which graphs are being written.
#[derive(Debug)]
pub(super) struct Graphs {
    /// The one turn to write.
    running: Semaphore,
    /// Replaced by the holder of the turn only.
    begun: ArcSwap<Begun>,
    waiting: Arc<Semaphore>,
    stopping: CancellationToken,
}

/// When the last writes began, the newest first: those of [`WAITING_MAX`] repositories, as many as can wait.
///
/// git reads the refs at the beginning of a write. A push that settles during it is not in the graph.
#[derive(Debug, Clone, Default)]
struct Begun(VecDeque<(RepositoryId, Instant)>);

impl Begun {
    fn add(&mut self, repository: RepositoryId, at: Instant) {
        self.0.retain(|(known, _)| *known != repository);
        self.0.truncate(WAITING_MAX - 1);
        self.0.push_front((repository, at));
    }

    fn has_later(&self, repository: RepositoryId, since: Instant) -> bool {
        self.0.iter().any(|(known, at)| *known == repository && *at > since)
    }
}

impl Graphs {
    pub(super) fn new() -> Self {
        Self {
            running: Semaphore::new(1),
            begun: ArcSwap::default(),
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
            stopping: CancellationToken::new(),
        }
    }

    /// Ends the one that is being written: git replaces the file when it is whole.
    pub(super) fn close(&self) {
        self.stopping.cancel();
    }
}

impl Services {
    /// Writes the graph of a repository in the background, unless a push that came later has seen to it.
    pub(super) fn write_graph_soon(self: &Arc<Self>, repository: &Repository) {
        let graphs = &self.hosting.graphs;
        let Ok(waits) = graphs.waiting.clone().try_acquire_owned() else { return };
        let (services, repository, since) = (self.clone(), repository.clone(), Instant::now());
        let stopping = graphs.stopping.clone();
        tokio::spawn(stopping.run_until_cancelled_owned(async move {
            let _waits = waits;
            services.write_graph(&repository, Some(since)).await;
        }));
    }

    /// Writes the graphs that repositories of earlier versions lack. Runs once, behind the start.
    pub async fn write_missing_graphs(&self) {
        let all = self.readers.read(Holder::Operator, |db| repositories::in_state(db, repositories::ACTIVE));
        let all = match all.await {
            Ok(all) => all,
            Err(error) => {
                tracing::warn!(%error, "repositories without a commit graph could not be looked for");
                return;
            }
        };
        for repository in all.iter().filter(|repository| repository.size_bytes >= MISSED_BYTES_MIN) {
            self.write_graph(repository, None).await;
        }
    }

    /// `since`: a write that began later is enough; without it, any graph with filters is.
    async fn write_graph(&self, repository: &Repository, since: Option<Instant>) {
        let Ok(_turn) = self.hosting.graphs.running.acquire().await else { return };
        match self.write_graph_in_turn(repository, since).await {
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

    async fn write_graph_in_turn(
        &self,
        repository: &Repository,
        since: Option<Instant>,
    ) -> Result<bool, ServiceError> {
        let Ok(git) = self.hosting.git() else { return Ok(false) };
        let graphs = &self.hosting.graphs;
        let directory = self.hosting.directory(repository).await?;
        let is_enough = match since {
            Some(since) => graphs.begun.load().has_later(repository.id, since),
            None => maintenance::has_whole_graph(&directory).unwrap_or(false),
        };
        if is_enough {
            return Ok(false);
        }
        let mut begun = Begun::clone(&graphs.begun.load());
        begun.add(repository.id, Instant::now());
        graphs.begun.store(Arc::new(begun));
        maintenance::write_graph(git, &directory).await?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn push_during_a_write_needs_another_graph() {
        let (mut begun, start) = (Begun::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        let [one, other] = [1, 2].map(RepositoryId);
        begun.add(one, after(10));
        assert!(begun.has_later(one, after(9)));
        assert!(!begun.has_later(one, after(11)) && !begun.has_later(other, after(9)));
        begun.add(one, after(12));
        assert!(begun.has_later(one, after(11)));
        for number in 0..WAITING_MAX as i64 {
            begun.add(RepositoryId(number + 10), after(20));
        }
        assert!(!begun.has_later(one, after(11)) && begun.0.len() == WAITING_MAX);
    }
}
