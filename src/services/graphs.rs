//! Commit-graphs: what browsing a long history needs, written soon after a push that brought one.
//!
//! Packing writes them too, but only every `limits.maintenance_pushes`. Invariant: one is written at a time, and at most
//! [`WAITING_MAX`] pushes wait for theirs; one that finds no place is served by the packing.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{ServiceError, Services};
use crate::core::shares::Holder;
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
    running: Semaphore,
    waiting: Arc<Semaphore>,
    stopping: CancellationToken,
}

impl Graphs {
    pub(super) fn new() -> Self {
        Self {
            running: Semaphore::new(1),
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
        let (services, repository, since) = (self.clone(), repository.clone(), SystemTime::now());
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

    /// `since`: a graph that was written later is enough; without it, any is.
    async fn write_graph(&self, repository: &Repository, since: Option<SystemTime>) {
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
        since: Option<SystemTime>,
    ) -> Result<bool, ServiceError> {
        let Ok(git) = self.hosting.git() else { return Ok(false) };
        let directory = self.hosting.directory(repository).await?;
        let written = maintenance::graph_written_at(&directory);
        if written.is_some_and(|written| since.is_none_or(|since| written > since)) {
            return Ok(false);
        }
        maintenance::write_graph(git, &directory).await?;
        Ok(true)
    }
}
