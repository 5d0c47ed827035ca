//! What the server does for repositories by itself: finish what a crash interrupted, pack, remove what was deleted.

use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Notify;

use super::{ServiceError, Services};
use crate::actors::cache::RepositoryById;
use crate::actors::writer::CommandError;
use crate::actors::writer::commands::{AbandonRepository, FinishDeletion, RecordMaintenance};
use crate::core::actor::Who;
use crate::core::shares::Holder;
use crate::domain::repository::{Repository, StorageKey};
use crate::git::store::StoreError;
use crate::git::{leftovers, maintenance};
use crate::protocol::code::Code;
use crate::storage::queries::repositories;
use crate::storage::unfinished::Unfinished;

/// Repositories packed in one round.
const PACKED_PER_ROUND: i64 = 10;

/// How often remains of killed pushes are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);

/// Wakes the background before its time.
#[derive(Debug, Default)]
pub(super) struct Bell(Notify);

impl Bell {
    pub(super) fn ring(&self) {
        self.0.notify_one();
    }

    async fn rung(&self) {
        self.0.notified().await;
    }
}

impl Services {
    /// At start, before requests are served: ends children of a killed server, removes the locks that they left, and rolls
    /// half made repositories back. Interrupted pushes are settled behind ready ([`Services::tend_repositories`]): a push
    /// to one of their repositories settles the earlier one first.
    pub async fn reconcile(&self, unfinished: Unfinished) -> Result<(), ServiceError> {
        let store = self.hosting.store.clone();
        let touched = self
            .on_disk(move || {
                let touched = leftovers::end_leftovers(&store);
                if let Err(error) = store.empty_tmp() {
                    tracing::warn!(%error, "the folder for new repositories could not be emptied");
                }
                touched
            })
            .await?;
        let mut keys: Vec<StorageKey> = leftovers::keys(&touched).collect();
        for repository in &unfinished.pushed {
            if let Ok(repository) = self.cache.ask_anonymously(RepositoryById(*repository)).await {
                keys.push(repository.storage_key);
            }
        }
        let store = self.hosting.store.clone();
        self.on_disk(move || {
            for key in keys {
                if let Err(error) = store.remove_locks(key) {
                    tracing::warn!(%error, "a repository could not be freed of the locks of an interrupted push");
                }
            }
        })
        .await?;
        self.roll_back(unfinished.creations).await
    }

    /// Nobody was told that these exist.
    async fn roll_back(&self, half_made: Vec<Repository>) -> Result<(), ServiceError> {
        for repository in half_made {
            let (store, key) = (self.hosting.store.clone(), repository.storage_key);
            let discarded = self.on_disk(move || store.discard(key)).await?;
            let command = AbandonRepository { repository: repository.id };
            // A full disk is no reason not to serve what there is: the next start tries again.
            match discarded {
                Ok(()) => match self.writer.execute(Who::Server, command).await {
                    Ok(()) | Err(CommandError::ReadOnly) => {}
                    Err(error) => return Err(error.into()),
                },
                Err(error) => tracing::warn!(%error, "a half made repository could not be removed"),
            }
        }
        Ok(())
    }

    /// Runs for as long as the server does.
    pub async fn tend_repositories(&self) {
        let every = Duration::from_millis(self.limits.maintenance_ms);
        let mut swept = None;
        // What a crash interrupted comes first: members wait for its event.
        if let Err(error) = self.settle_leftovers().await {
            tracing::warn!(%error, "settling the pushes of the last run failed; it is tried again later");
        }
        loop {
            if swept.is_none_or(|at: Instant| at.elapsed() > SWEEP_EVERY) {
                // At first, what an earlier run left; later, what no push that runs now can be using.
                let oldest = Duration::from_millis(self.limits.git_total_ms) * 2;
                let before = match swept.replace(Instant::now()) {
                    None => self.hosting.started_at,
                    Some(_) => SystemTime::now().checked_sub(oldest).unwrap_or(SystemTime::UNIX_EPOCH),
                };
                if let Err(error) = self.sweep_repositories(before).await {
                    tracing::warn!(%error, "looking for remains of killed pushes failed");
                }
            }
            for (what, outcome) in [
                ("settling pushes", self.settle_leftovers().await.map(drop)),
                ("removing repositories", self.finish_deletions().await),
                ("packing repositories", self.pack_repositories().await),
            ] {
                if let Err(error) = outcome {
                    tracing::warn!(%error, "{what} failed; it is tried again later");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(every) => {}
                () = self.hosting.bell.rung() => {}
            }
        }
    }

    /// Killing a receive-pack leaves a whole pack behind; it is removed when no push can be as old as that.
    async fn sweep_repositories(&self, before: SystemTime) -> Result<(), ServiceError> {
        let all = self
            .readers
            .read(Holder::Operator, |db| repositories::in_state(db, repositories::ACTIVE))
            .await?;
        let store = self.hosting.store.clone();
        self.on_disk(move || {
            for repository in all {
                if let Err(error) = store.sweep(repository.storage_key, before) {
                    tracing::debug!(repository.id = %repository.id, %error, "a repository could not be swept");
                }
            }
        })
        .await
    }

    /// The right to remove and to pack, unless a backup has it: then it is done another time.
    async fn tending(&self) -> Result<Option<std::fs::File>, ServiceError> {
        let store = self.hosting.store.clone();
        let right = self.on_disk(move || store.tending(false)).await?.map_err(StoreError::from)?;
        if right.is_none() {
            tracing::info!("a backup is being taken: nothing is packed or removed meanwhile");
        }
        Ok(right)
    }

    async fn finish_deletions(&self) -> Result<(), ServiceError> {
        let Some(_right) = self.tending().await? else { return Ok(()) };
        let gone = self
            .readers
            .read(Holder::Operator, |db| repositories::in_state(db, repositories::DELETING))
            .await?;
        for repository in gone {
            let (store, key) = (self.hosting.store.clone(), repository.storage_key);
            if let Err(error) = self.on_disk(move || store.discard(key)).await? {
                tracing::warn!(repository.id = %repository.id, %error, "a repository could not be removed");
                continue;
            }
            self.writer.execute(Who::Server, FinishDeletion { repository: repository.id }).await?;
        }
        let store = self.hosting.store.clone();
        self.on_disk(move || store.empty_trash()).await?.map_err(StoreError::from)?;
        Ok(())
    }

    async fn pack_repositories(&self) -> Result<(), ServiceError> {
        if self.hosting.git.is_none() {
            return Ok(());
        }
        let at_least = self.limits.maintenance_pushes;
        let needy = self
            .readers
            .read(Holder::Operator, move |db| repositories::unpacked(db, at_least, PACKED_PER_ROUND))
            .await?;
        for repository in needy {
            let Some(_right) = self.tending().await? else { return Ok(()) };
            if let Err(error) = self.pack(&repository).await {
                // The others are not to wait for it; it comes last from now on, until it is pushed to again.
                tracing::warn!(repository.id = %repository.id, %error, "a repository could not be packed");
                let command =
                    RecordMaintenance { repository: repository.id, size_bytes: repository.size_bytes };
                self.writer.execute(Who::Server, command).await?;
            }
        }
        Ok(())
    }

    /// Packs one repository and notes its size.
    async fn pack(&self, repository: &Repository) -> Result<(), ServiceError> {
        let git = self.hosting.git()?;
        let directory = self.hosting.directory(repository).await?;
        let before = u64::try_from(repository.size_bytes).unwrap_or(0);
        maintenance::run(git, &directory, before).await?;
        let (store, key) = (self.hosting.store.clone(), repository.storage_key);
        let size = self.on_disk(move || store.size_bytes(key)).await??;
        let size_bytes = i64::try_from(size).unwrap_or(i64::MAX);
        let command = RecordMaintenance { repository: repository.id, size_bytes };
        self.writer.execute(Who::Server, command).await?;
        tracing::info!(repository.id = %repository.id, size_bytes, "a repository was packed");
        Ok(())
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ServiceError> {
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(|error| ServiceError::new(Code::Internal, error.to_string()))
    }
}
