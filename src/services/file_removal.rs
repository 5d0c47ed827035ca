//! Removal of files: of deleted messages, without a message in time, and bytes that a crash left.
//!
//! Rows go first. A crash between leaves a blob that no row names, which the sweep finds.

use std::fs::File;
use std::time::{Duration, Instant};

use super::blocking::blocking;
use super::uploads::io_error;
use super::{ServiceError, Services};
use crate::actors::writer::commands::RemoveFiles;
use crate::blobs::Hold;
use crate::core::actor::Caller;
use crate::core::fail_points;
use crate::core::saturate;
use crate::core::shares::Holder;
use crate::core::telemetry::chain;
use crate::domain::file::{BlobHash, StoredFile};
use crate::domain::ids::FileId;
use crate::domain::timestamp::Timestamp;
use crate::storage::queries::files;
use crate::storage::rows::file::Removable;

/// Files of one command.
const REMOVED_PER_COMMAND: i64 = 100;
/// Tries to acquire the lock of removals, and the pause between two.
const LOCK_TRIES: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(100);
/// Interval of the search for bytes without a row.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);
/// Bytes whose rows are searched with one statement.
const SWEPT_PER_READ: usize = 500;
/// After this many lifetimes of an unbound file, any node removes the rows of another.
const LIFETIMES_OF_NODES: i64 = 2;

impl Services {
    /// Removes files until the server stops.
    pub async fn maintain_files(&self) {
        let every = Duration::from_millis(self.limits.maintenance_ms);
        let mut swept: Option<Instant> = None;
        loop {
            if let Err(error) = self.remove_files().await {
                tracing::warn!(error = %chain(&error), "removing files failed; it will be retried");
            }
            if swept.is_none_or(|at| at.elapsed() > SWEEP_EVERY) {
                match self.sweep_files().await {
                    Ok(true) => swept = Some(Instant::now()),
                    Ok(false) => {}
                    Err(error) => {
                        tracing::warn!(error = %chain(&error), "the search for bytes without a file failed");
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(every) => {}
                () = self.files.removal_due.notified() => {}
            }
        }
    }

    /// Removes the rows of files that no user can read any more, and their bytes. Does nothing
    /// while a backup runs: it copies the bytes of the rows that it has read.
    async fn remove_files(&self) -> Result<(), ServiceError> {
        loop {
            let which = self.removable_files();
            let due = which.clone();
            let read = move |db: &mut _| files::removable(db, &due, REMOVED_PER_COMMAND);
            let found = self.readers.read(Holder::Operator, read).await?;
            if found.is_empty() {
                return Ok(());
            }
            let Some(_lock) = self.removal_lock().await? else { return Ok(()) };
            let command = RemoveFiles { files: found, which };
            let removed = self.writer.execute(Caller::Server, command).await?;
            if removed.is_empty() {
                return Ok(());
            }
            fail_points::reach(fail_points::BEFORE_BLOB_REMOVAL);
            self.files.metrics.removed.inc_by(saturate::to_u64(removed.len()));
            self.remove_bytes(&removed).await?;
        }
    }

    /// Acquires the lock that keeps backups whole. The maintenance of repositories holds it for
    /// short times, a backup for a long time: returns `None` then.
    async fn removal_lock(&self) -> Result<Option<File>, ServiceError> {
        for _ in 0..LOCK_TRIES {
            let store = self.git.store.clone();
            let lock = blocking(move || store.maintenance_lock(false)).await?.map_err(io_error)?;
            if lock.is_some() {
                return Ok(lock);
            }
            tokio::time::sleep(LOCK_PAUSE).await;
        }
        Ok(None)
    }

    fn removable_files(&self) -> Removable {
        let lifetime_ms = self.limits.files_unbound_seconds.saturating_mul(1000);
        let now = Timestamp::now().0;
        Removable {
            unbound_before: Timestamp(now.saturating_sub(lifetime_ms)),
            node: self.files.node.clone(),
            any_node_before: Timestamp(
                now.saturating_sub(lifetime_ms.max(1000).saturating_mul(LIFETIMES_OF_NODES)),
            ),
        }
    }

    async fn remove_bytes(&self, removed: &[StoredFile]) -> Result<(), ServiceError> {
        let ids: Vec<FileId> = removed.iter().map(|file| file.id).collect();
        let uploads = self.files.staged.clone();
        blocking(move || ids.into_iter().try_for_each(|id| uploads.remove(id))).await?.map_err(io_error)?;
        let hashes = removed.iter().filter_map(|file| file.contents.as_ref()).map(|contents| contents.hash);
        self.remove_unused(hashes.collect()).await.map(drop)
    }

    /// Removes those of the blobs that no row names. Returns how many. No upload may put a blob
    /// between the search for its rows and its removal.
    async fn remove_unused(&self, hashes: Vec<BlobHash>) -> Result<usize, ServiceError> {
        if hashes.is_empty() {
            return Ok(0);
        }
        let store = self.files.blobs.clone();
        let _no_puts = blocking(move || store.lock(Hold::Exclusive)).await?.map_err(io_error)?;
        let wanted = hashes.clone();
        let read = move |db: &mut _| files::hashes_in_use(db, &wanted);
        let used = self.readers.read(Holder::Operator, read).await?;
        let unused: Vec<_> = hashes.into_iter().filter(|hash| !used.contains(hash)).collect();
        let (store, count) = (self.files.blobs.clone(), unused.len());
        let removed = blocking(move || unused.iter().try_for_each(|hash| store.remove(hash))).await?;
        removed.map_err(io_error)?;
        self.files.metrics.blobs_removed.inc_by(saturate::to_u64(count));
        Ok(count)
    }

    /// Removes blobs and staged uploads that no row names: a crash has left them. Returns whether
    /// all were searched.
    async fn sweep_files(&self) -> Result<bool, ServiceError> {
        let (store, uploads) = (self.files.blobs.clone(), self.files.staged.clone());
        let staged = blocking(move || uploads.list()).await?.map_err(io_error)?;
        for ids in staged.chunks(SWEPT_PER_READ) {
            let wanted = ids.to_vec();
            let rows = self.readers.read(Holder::Operator, move |db| files::by_ids(db, &wanted)).await?;
            let is_needed = |id: &FileId| rows.iter().any(|file| file.id == *id && file.contents.is_none());
            let left: Vec<_> = ids.iter().copied().filter(|id| !is_needed(id)).collect();
            let uploads = self.files.staged.clone();
            blocking(move || left.into_iter().try_for_each(|id| uploads.remove(id)))
                .await?
                .map_err(io_error)?;
        }
        let parts = blocking(move || store.parts()).await?.map_err(io_error)?;
        let mut removed = 0;
        for part in parts {
            let Some(_lock) = self.removal_lock().await? else { return Ok(false) };
            let store = self.files.blobs.clone();
            let hashes = blocking(move || store.list(part)).await?.map_err(io_error)?;
            for hashes in hashes.chunks(SWEPT_PER_READ) {
                removed += self.remove_unused(hashes.to_vec()).await?;
            }
        }
        if removed > 0 {
            tracing::info!(removed, "bytes without a file were removed");
        }
        Ok(true)
    }
}
