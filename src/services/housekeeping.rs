//! Background work on repositories: settles what a crash interrupted, packs, and removes deleted
//! repositories.

use std::time::{Duration, Instant, SystemTime};

use super::blocking::blocking;
use super::{ServiceError, Services};
use crate::actors::cache::RepositoryById;
use crate::actors::writer::CommandError;
use crate::actors::writer::commands::{AbandonRepository, FinishDeletion, RecordMaintenance};
use crate::core::actor::Caller;
use crate::core::shares::Holder;
use crate::core::telemetry::chain;
use crate::domain::repository::{Repository, StorageKey};
use crate::git::store::StoreError;
use crate::git::{maintenance, orphans};
use crate::storage::queries::repositories;
use crate::storage::unfinished::Unfinished;

/// Maximum number of repositories packed in one round.
const PACKED_PER_ROUND: i64 = 10;

/// Interval of the search for leftover files of killed pushes.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);

impl Services {
    /// Cleans up after a killed server. Runs at start, before requests are served.
    ///
    /// It ends child processes of the killed server, removes their locks, and rolls back
    /// half-created repositories. Interrupted pushes are settled in the background after the server
    /// is ready ([`Services::maintain_repositories`]). A push to such a repository settles the
    /// earlier push first.
    pub async fn reconcile(&self, unfinished: Unfinished) -> Result<(), ServiceError> {
        let store = self.git.store.clone();
        let touched = blocking(move || {
            let touched = orphans::kill_orphans(&store);
            if let Err(error) = store.empty_tmp() {
                tracing::warn!(error = %chain(&error), "cannot empty the folder for new repositories");
            }
            touched
        })
        .await?;
        let mut keys: Vec<StorageKey> = orphans::keys(&touched).collect();
        // In a folder that nodes share, another one may use them since.
        if let Some(node) = self.git.node.clone().filter(|_| !keys.is_empty()) {
            let read = move |db: &mut _| repositories::stored_elsewhere(db, &node);
            let elsewhere = self.readers.read(Holder::Operator, read).await?;
            keys.retain(|key| elsewhere.iter().all(|(other, _)| other.storage_key != *key));
        }
        for repository in &unfinished.pushed {
            if let Ok(repository) = self.cache.ask_anonymously(RepositoryById(*repository)).await
                && self.git.stores(&repository)
            {
                keys.push(repository.storage_key);
            }
        }
        self.remove_locks(keys).await?;
        let creations = match self.git.node {
            // They may have been adopted since.
            Some(_) if !unfinished.creations.is_empty() => {
                let read = |db: &mut _| repositories::in_state(db, repositories::CREATING);
                self.readers.read(Holder::Operator, read).await?
            }
            _ => unfinished.creations,
        };
        self.roll_back(self.stored_here(creations)).await
    }

    /// Removes the locks that killed processes left in these directories. The caller knows that no
    /// process uses them.
    pub(super) async fn remove_locks(&self, keys: Vec<StorageKey>) -> Result<(), ServiceError> {
        let store = self.git.store.clone();
        blocking(move || {
            for key in keys {
                if let Err(error) = store.remove_locks(key) {
                    tracing::warn!(error = %chain(&error), "cannot remove the locks of an interrupted push");
                }
            }
        })
        .await
    }

    /// Removes half-created repositories. No client has received their creation.
    async fn roll_back(&self, half_made: Vec<Repository>) -> Result<(), ServiceError> {
        for repository in half_made {
            let (store, key) = (self.git.store.clone(), repository.storage_key);
            let discarded = blocking(move || store.discard(key)).await?;
            let command = AbandonRepository { repository: repository.id };
            // A full disk must not keep the server from starting: the next start tries again.
            match discarded {
                Ok(()) => match self.writer.execute(Caller::Server, command).await {
                    Ok(()) | Err(CommandError::ReadOnly | CommandError::DatabaseAway) => {}
                    Err(error) => return Err(error.into()),
                },
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "cannot remove a half-created repository")
                }
            }
        }
        Ok(())
    }

    /// Runs maintenance until the server stops.
    pub async fn maintain_repositories(&self) {
        let every = Duration::from_millis(self.limits.maintenance_ms);
        let mut swept = None;
        // Interrupted pushes come first: members wait for their event.
        if let Err(error) = self.settle_unfinished_pushes().await {
            tracing::warn!(error = %chain(&error), "settling the pushes of the last run failed; it will be retried");
        }
        loop {
            if swept.is_none_or(|at: Instant| at.elapsed() > SWEEP_EVERY) {
                // The first sweep removes files of an earlier run; later sweeps only files that no
                // running push can use.
                let oldest = Duration::from_millis(self.limits.git_total_ms) * 2;
                let before = match swept.replace(Instant::now()) {
                    None => self.git.started_at,
                    Some(_) => SystemTime::now().checked_sub(oldest).unwrap_or(SystemTime::UNIX_EPOCH),
                };
                if let Err(error) = self.sweep_repositories(before).await {
                    tracing::warn!(error = %chain(&error), "cannot search for leftover files of killed pushes");
                }
            }
            for (what, outcome) in [
                ("settling pushes", self.settle_unfinished_pushes().await.map(drop)),
                ("removing repositories", self.finish_deletions().await),
                ("packing repositories", self.pack_repositories().await),
            ] {
                if let Err(error) = outcome {
                    tracing::warn!(error = %chain(&error), "{what} failed; it will be retried");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(every) => {}
                () = self.git.maintenance_due.notified() => {}
            }
        }
    }

    /// Removes the packs that killed receive-pack processes left, once no running push can be that
    /// old.
    async fn sweep_repositories(&self, before: SystemTime) -> Result<(), ServiceError> {
        let all = self
            .readers
            .read(Holder::Operator, |db| repositories::in_state(db, repositories::ACTIVE))
            .await?;
        let store = self.git.store.clone();
        let stored = self.stored_here(all);
        blocking(move || {
            for repository in stored {
                if let Err(error) = store.sweep(repository.storage_key, before) {
                    tracing::debug!(repository.id = %repository.id, error = %chain(&error), "cannot remove leftover files of a repository");
                }
            }
        })
        .await
    }

    /// Acquires the lock to remove and to pack. Returns `None` while a backup holds it; the work is
    /// then done later.
    async fn maintenance_lock(&self) -> Result<Option<std::fs::File>, ServiceError> {
        let store = self.git.store.clone();
        let lock = blocking(move || store.maintenance_lock(false)).await?.map_err(StoreError::from)?;
        if lock.is_none() {
            tracing::info!("a backup is running: packing and removal are postponed");
        }
        Ok(lock)
    }

    /// Keeps the repositories whose storage node is this node.
    fn stored_here(&self, mut repositories: Vec<Repository>) -> Vec<Repository> {
        repositories.retain(|repository| self.git.stores(repository));
        repositories
    }

    async fn finish_deletions(&self) -> Result<(), ServiceError> {
        let Some(_lock) = self.maintenance_lock().await? else { return Ok(()) };
        let gone = self
            .readers
            .read(Holder::Operator, |db| repositories::in_state(db, repositories::DELETING))
            .await?;
        for repository in self.stored_here(gone) {
            let (store, key) = (self.git.store.clone(), repository.storage_key);
            if let Err(error) = blocking(move || store.discard(key)).await? {
                tracing::warn!(repository.id = %repository.id, error = %chain(&error), "cannot remove a repository");
                continue;
            }
            while self.writer.execute(Caller::Server, FinishDeletion { repository: repository.id }).await? {}
        }
        let store = self.git.store.clone();
        blocking(move || store.empty_trash()).await?.map_err(StoreError::from)?;
        Ok(())
    }

    async fn pack_repositories(&self) -> Result<(), ServiceError> {
        if self.git.program.is_none() {
            return Ok(());
        }
        let (at_least, node) = (self.limits.maintenance_pushes, self.git.node.clone());
        let needy = self
            .readers
            .read(Holder::Operator, move |db| {
                repositories::unpacked(db, node.as_ref(), at_least, PACKED_PER_ROUND)
            })
            .await?;
        for repository in needy {
            let Some(_lock) = self.maintenance_lock().await? else { return Ok(()) };
            if let Err(error) = self.pack(&repository).await {
                // The failed repository must not delay the others: it comes last from now on, until
                // the next push to it.
                tracing::warn!(repository.id = %repository.id, error = %chain(&error), "a repository could not be packed");
                let command =
                    RecordMaintenance { repository: repository.id, size_bytes: repository.size_bytes };
                self.writer.execute(Caller::Server, command).await?;
            }
        }
        Ok(())
    }

    /// Packs one repository and records its size.
    async fn pack(&self, repository: &Repository) -> Result<(), ServiceError> {
        let git = self.git.program()?;
        let directory = self.git.directory(repository).await?;
        let before = u64::try_from(repository.size_bytes).unwrap_or(0);
        maintenance::run(git, &directory, before).await?;
        let (store, key) = (self.git.store.clone(), repository.storage_key);
        let size = blocking(move || store.size_bytes(key)).await??;
        let size_bytes = i64::try_from(size).unwrap_or(i64::MAX);
        let command = RecordMaintenance { repository: repository.id, size_bytes };
        self.writer.execute(Caller::Server, command).await?;
        tracing::info!(repository.id = %repository.id, size_bytes, "a repository was packed");
        Ok(())
    }
}
