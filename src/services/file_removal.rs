//! Removal of files: of deleted messages, without a message in time, and bytes that a crash left.
//!
//! Rows go first. A crash between leaves a blob that no row names, which the sweep finds.
//!
//! Invariant: the blobs of another database are not removed at once. A start with a wrong or an
//! older database must lose no bytes. Blobs of files that this database released are removed at
//! once. All others stay for `limits.files_unnamed_seconds`, from when they were stored and from
//! when the store got this database ([`BlobStore::belongs_since`](crate::blobs::BlobStore)).

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::blob_stream::unreadable;
use super::blocking::blocking;
use super::uploads::io_error;
use super::{ServiceError, Services};
use crate::actors::writer::commands::{ReleaseFiles, RemoveFiles};
use crate::blobs::{Hold, is_away};
use crate::core::actor::Caller;
use crate::core::fail_points;
use crate::core::saturate;
use crate::core::shares::Holder;
use crate::core::telemetry::chain;
use crate::domain::file::{BlobHash, StoredFile, UploadKey};
use crate::domain::ids::FileId;
use crate::domain::timestamp::Timestamp;
use crate::storage::queries::{files, meta};
use crate::storage::rows::file::Removable;

/// Files of one command.
const REMOVED_PER_COMMAND: i64 = 100;
/// Tries to acquire a lock, and the pause between two.
pub(super) const LOCK_TRIES: u32 = 50;
pub(super) const LOCK_PAUSE: Duration = Duration::from_millis(100);
/// Interval of the search for bytes without a row.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);
/// Rounds after which a search that failed is repeated: it asks a store beyond the network often.
const ROUNDS_AFTER_FAILURE: u32 = 10;
/// Bytes whose rows are searched with one statement.
const SWEPT_PER_READ: usize = 500;
/// After this many lifetimes of an unbound file, any node removes the rows of another.
const LIFETIMES_OF_NODES: i64 = 2;

impl Services {
    /// Removes files until the server stops.
    pub async fn maintain_files(&self) {
        let every = Duration::from_millis(self.limits.maintenance_ms);
        let (mut sweep_at, mut tidy_at) = (Instant::now(), Instant::now());
        loop {
            if let Err(error) = self.remove_files().await {
                tracing::warn!(error = %chain(&error), "removing files failed; it will be retried");
            }
            if let Err(error) = self.remove_lfs_objects().await {
                tracing::warn!(error = %chain(&error), "removing objects of Git LFS failed; it will be retried");
            }
            if let Err(error) = self.sweep_lfs_uploads().await {
                tracing::warn!(error = %chain(&error), "the search for interrupted uploads of Git LFS failed");
            }
            if sweep_at <= Instant::now() {
                match self.sweep_files().await {
                    Ok(true) => sweep_at = Instant::now() + SWEEP_EVERY,
                    Ok(false) => {}
                    Err(error) => {
                        sweep_at = Instant::now() + every * ROUNDS_AFTER_FAILURE;
                        tracing::warn!(error = %chain(&error), "the search for bytes without a file failed");
                    }
                }
            }
            if tidy_at <= Instant::now() {
                if let Err(error) = self.tidy_thumbnails().await {
                    tracing::warn!(error = %chain(&error), "the thumbnails cannot be counted and cleaned up");
                }
                tidy_at = Instant::now() + SWEEP_EVERY;
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
            self.check_store().await?;
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

    /// Checks that bytes can be removed from a store beyond the network. The rows of files stay
    /// until then: bytes without a row would stay for long.
    pub(super) async fn check_store(&self) -> Result<(), ServiceError> {
        let store = self.files.blobs.clone();
        self.files.store.read(move || store.check()).await?.map_err(unreadable)
    }

    /// Acquires the lock that keeps backups whole. The maintenance of repositories holds it for
    /// short times, a backup for a long time: returns `None` then.
    pub(super) async fn removal_lock(&self) -> Result<Option<File>, ServiceError> {
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
        let keys: Vec<UploadKey> = removed.iter().map(StoredFile::upload_key).collect();
        self.unstage(keys).await?;
        let hash = |file: &StoredFile| file.contents.as_ref().map(|contents| contents.hash);
        let (released, expired): (Vec<_>, Vec<_>) = removed.iter().partition(|file| file.was_bound);
        self.remove_unused(released.into_iter().filter_map(hash).collect(), None).await?;
        let expired: Vec<_> = expired.into_iter().filter_map(hash).collect();
        if !expired.is_empty() {
            // In a newer database, a message may have a file that has expired in this one.
            let Some(since) = self.blobs_since().await? else { return Ok(()) };
            // A store beyond the network states whole seconds.
            let part = if self.files.blobs.is_shared() { since.0.rem_euclid(1000) } else { 0 };
            let since = time_of(Timestamp(since.0.saturating_sub(part)));
            let is_own = move |stored: SystemTime| stored >= since;
            self.remove_unused(expired, Some(Arc::new(is_own))).await?;
        }
        Ok(())
    }

    /// Removes staged uploads. The next search finds those that cannot be removed now.
    async fn unstage(&self, keys: Vec<UploadKey>) -> Result<(), ServiceError> {
        let uploads = self.files.staged.clone();
        let remove = move || {
            for key in keys {
                if let Err(error) = uploads.remove(key) {
                    tracing::warn!(upload = %key, %error, "the bytes of an upload cannot be removed");
                }
            }
        };
        blocking(remove).await
    }

    /// Returns since when the store has belonged to this database. `None` if its lock is held for
    /// long.
    async fn blobs_since(&self) -> Result<Option<Timestamp>, ServiceError> {
        let epoch = self.readers.read(Holder::Operator, |db| meta::get(db, meta::EPOCH)).await?;
        let (store, now) = (self.files.blobs.clone(), Timestamp::now());
        let is_on_disk = !store.is_shared();
        let lock = if is_on_disk { self.blob_lock(Hold::Exclusive).await? } else { None };
        if is_on_disk && lock.is_none() {
            return Ok(None);
        }
        let since = self.files.store.read(move || store.belongs_since(epoch.unwrap_or(0), now)).await?;
        since.map(Some).map_err(io_error)
    }

    /// Removes blobs and staged uploads that no row names: a crash has left them. Returns whether
    /// all were searched.
    async fn sweep_files(&self) -> Result<bool, ServiceError> {
        self.release_deleted().await?;
        // On disk, and without the store if it is away.
        self.sweep_staged().await?;
        let Some(since) = self.blobs_since().await? else { return Ok(false) };
        let store = self.files.blobs.clone();
        match self.files.store.put(move || store.tidy()).await? {
            Ok(0) => {}
            Ok(replaced) => tracing::info!(replaced, "objects that newer ones have replaced were removed"),
            Err(error) => tracing::warn!(%error, "objects that newer ones have replaced cannot be removed"),
        }
        let kept = Duration::from_secs(u64::try_from(self.limits.files_unnamed_seconds).unwrap_or(0));
        let Some(before) = SystemTime::now().checked_sub(kept).filter(|before| time_of(since) <= *before)
        else {
            return Ok(true);
        };
        let store = self.files.blobs.clone();
        let parts = self.files.store.read(move || store.parts()).await?.map_err(io_error)?;
        let mut removed = 0;
        for part in parts {
            let Some(_lock) = self.removal_lock().await? else { return Ok(false) };
            let store = self.files.blobs.clone();
            let hashes = match self.files.store.read(move || store.list(part)).await? {
                Ok(hashes) => hashes,
                // The next parts would fail, too.
                Err(error) if is_away(&error) => return Err(io_error(error)),
                Err(error) => {
                    tracing::warn!(part, %error, "a part of the bytes of files cannot be listed");
                    continue;
                }
            };
            for hashes in hashes.chunks(SWEPT_PER_READ) {
                let may_go = move |stored: SystemTime| stored <= before;
                removed += self.remove_unused(hashes.to_vec(), Some(Arc::new(may_go))).await?;
            }
        }
        if removed > 0 {
            tracing::info!(removed, "bytes without a file were removed");
        }
        Ok(true)
    }

    /// Releases the files of deleted messages. A node of an earlier version deletes messages
    /// without releasing their files.
    async fn release_deleted(&self) -> Result<(), ServiceError> {
        loop {
            let read = |db: &mut _| files::unreleased(db, REMOVED_PER_COMMAND);
            let messages = self.readers.read(Holder::Operator, read).await?;
            if messages.is_empty() {
                return Ok(());
            }
            self.writer.execute(Caller::Server, ReleaseFiles { messages }).await?;
            self.files.removal_due.notify_one();
        }
    }

    /// Removes staged uploads without a row, and those of complete files.
    async fn sweep_staged(&self) -> Result<(), ServiceError> {
        let uploads = self.files.staged.clone();
        let staged = blocking(move || uploads.list()).await?.map_err(io_error)?;
        for keys in staged.chunks(SWEPT_PER_READ) {
            let ids: Vec<FileId> = keys.iter().map(|key| key.id).collect();
            let rows = self.readers.read(Holder::Operator, move |db| files::by_ids(db, &ids)).await?;
            let rows: HashMap<_, _> = rows.into_iter().map(|file| (file.upload_key(), file)).collect();
            let mut left = Vec::new();
            for key in keys {
                match rows.get(key).map(|file| file.contents.as_ref()) {
                    Some(None) => {}
                    Some(Some(contents)) => {
                        if self.put_again(*key, contents.hash).await? {
                            left.push(*key);
                        }
                    }
                    None => left.push(*key),
                }
            }
            self.unstage(left).await?;
        }
        Ok(())
    }

    /// Makes the staged bytes of a complete file its blob again: the commit of the row was in
    /// doubt, and the blob may have been removed. Returns whether the staged bytes may go.
    async fn put_again(&self, key: UploadKey, hash: BlobHash) -> Result<bool, ServiceError> {
        let (store, uploads) = (self.files.blobs.clone(), self.files.staged.clone());
        let prepare = move || -> io::Result<_> {
            // Also if the blob is there: its removal may be in progress.
            let (contents, _) = uploads.examine(key)?;
            if contents.hash != hash {
                return Ok(None);
            }
            Ok(Some(store.prepare(&hash, &uploads.path(key))?))
        };
        let prepared = match self.files.store.put(prepare).await? {
            Ok(Some(prepared)) => prepared,
            Ok(None) => return Ok(true),
            Err(error) => {
                tracing::warn!(upload = %key, %error, "the staged bytes of a complete file cannot be stored");
                return Ok(false);
            }
        };
        let Some(lock) = self.blob_lock(Hold::Shared).await? else { return Ok(false) };
        let (store, uploads) = (self.files.blobs.clone(), self.files.staged.clone());
        let put = blocking(move || {
            let put = store.put(&hash, &uploads.path(key), &prepared);
            drop((lock, prepared));
            put
        });
        match put.await? {
            Ok(()) => {
                tracing::warn!(upload = %key, "the staged bytes of a complete file are stored again");
                Ok(true)
            }
            Err(error) => {
                tracing::warn!(upload = %key, %error, "the staged bytes of a complete file cannot be read");
                Ok(false)
            }
        }
    }
}

fn time_of(at: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(at.0).unwrap_or(0))
}
