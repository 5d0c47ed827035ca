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

use super::blocking::blocking;
use super::uploads::io_error;
use super::{ServiceError, Services};
use crate::actors::writer::commands::{ReleaseFiles, RemoveFiles};
use crate::blobs::{BlobStore, Hold};
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
const LOCK_TRIES: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(100);
/// Tries of an upload, which waits for removals: its client would have to send the bytes again.
const SHARED_TRIES: u32 = 200;
/// Bytes that are removed before uploads may continue.
const REMOVED_PER_LOCK: u64 = 256 * 1024 * 1024;
/// Interval of the search for bytes without a row.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);
/// Bytes whose rows are searched with one statement.
const SWEPT_PER_READ: usize = 500;
/// After this many lifetimes of an unbound file, any node removes the rows of another.
const LIFETIMES_OF_NODES: i64 = 2;

/// Decides by the time at which a blob was stored whether it may go. `None`: always.
type MayGo = Option<Arc<dyn Fn(SystemTime) -> bool + Send + Sync>>;

impl Services {
    /// Removes files until the server stops.
    pub async fn maintain_files(&self) {
        let every = Duration::from_millis(self.limits.maintenance_ms);
        let (mut swept, mut tidied): (Option<Instant>, Option<Instant>) = (None, None);
        let due = |last: Option<Instant>| last.is_none_or(|at| at.elapsed() > SWEEP_EVERY);
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
            if due(swept) {
                match self.sweep_files().await {
                    Ok(true) => swept = Some(Instant::now()),
                    Ok(false) => {}
                    Err(error) => {
                        tracing::warn!(error = %chain(&error), "the search for bytes without a file failed");
                    }
                }
            }
            if due(tidied) {
                if let Err(error) = self.tidy_thumbnails().await {
                    tracing::warn!(error = %chain(&error), "the thumbnails cannot be counted and cleaned up");
                }
                tidied = Some(Instant::now());
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
            let is_own = move |stored: SystemTime| stored >= time_of(since);
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

    /// Acquires the lock of the store. Returns `None` if others hold it for long. A removal has its
    /// turn while it waits, so that puts which overlap do not keep it from the lock.
    pub(super) async fn blob_lock(&self, hold: Hold) -> Result<Option<File>, ServiceError> {
        let tries = if hold == Hold::Shared { SHARED_TRIES } else { LOCK_TRIES };
        let mut turn = None;
        for _ in 0..tries {
            let (store, had) = (self.files.blobs.clone(), turn.take());
            let acquire = move || -> io::Result<_> {
                let turn = if hold == Hold::Exclusive && had.is_none() { store.try_turn()? } else { had };
                if hold == Hold::Exclusive && turn.is_none() {
                    return Ok((None, None));
                }
                Ok((store.try_lock(hold)?, turn))
            };
            let (lock, kept) = blocking(acquire).await?.map_err(io_error)?;
            if lock.is_some() {
                return Ok(lock);
            }
            turn = kept;
            tokio::time::sleep(LOCK_PAUSE).await;
        }
        Ok(None)
    }

    /// Pauses between removals: an upload tries to get the lock in each [`LOCK_PAUSE`].
    pub(super) async fn let_uploads_in(&self) {
        tokio::time::sleep(LOCK_PAUSE * 2).await;
    }

    /// Returns since when the store has belonged to this database. `None` if its lock is held for
    /// long.
    async fn blobs_since(&self) -> Result<Option<Timestamp>, ServiceError> {
        let epoch = self.readers.read(Holder::Operator, |db| meta::get(db, meta::EPOCH)).await?;
        let Some(_lock) = self.blob_lock(Hold::Exclusive).await? else { return Ok(None) };
        let (store, now) = (self.files.blobs.clone(), Timestamp::now());
        blocking(move || store.belongs_since(epoch.unwrap_or(0), now)).await?.map(Some).map_err(io_error)
    }

    /// Removes those of the blobs that no row names, and that `may_go`, by when they were stored.
    /// Returns how many. No upload may put a blob between the search for its rows and its removal.
    pub(super) async fn remove_unused(
        &self,
        hashes: Vec<BlobHash>,
        may_go: MayGo,
    ) -> Result<usize, ServiceError> {
        if hashes.is_empty() {
            return Ok(0);
        }
        let (mut left, mut removed) = (hashes, 0);
        while !left.is_empty() {
            let Some(no_puts) = self.blob_lock(Hold::Exclusive).await? else {
                tracing::debug!("uploads hold the lock of the bytes; the next search removes them");
                break;
            };
            let wanted = left.clone();
            let read = move |db: &mut _| files::hashes_in_use(db, &wanted);
            let used = self.readers.read(Holder::Operator, read).await?;
            left.retain(|hash| !used.contains(hash));
            let (store, pictures) = (self.files.blobs.clone(), self.files.pictures.clone());
            let may_go = may_go.clone();
            // The lock is held until the bytes are removed, also when this task ends.
            let some = blocking(move || {
                let (going, rest) = next_that_may_go(store.as_ref(), left, &may_go);
                // Before the blobs: a crash in between leaves no picture without its file.
                pictures.forget(&going);
                let removed = going.iter().filter(|hash| remove_blob(store.as_ref(), hash)).count();
                drop(no_puts);
                (removed, rest)
            });
            let (count, rest) = some.await?;
            removed += count;
            left = rest;
            if !left.is_empty() {
                self.let_uploads_in().await;
            }
        }
        self.files.metrics.blobs_removed.inc_by(saturate::to_u64(removed));
        Ok(removed)
    }

    /// Removes blobs and staged uploads that no row names: a crash has left them. Returns whether
    /// all were searched.
    async fn sweep_files(&self) -> Result<bool, ServiceError> {
        self.release_deleted().await?;
        let Some(since) = self.blobs_since().await? else { return Ok(false) };
        self.sweep_staged().await?;
        let kept = Duration::from_secs(u64::try_from(self.limits.files_unnamed_seconds).unwrap_or(0));
        let Some(before) = SystemTime::now().checked_sub(kept).filter(|before| time_of(since) <= *before)
        else {
            return Ok(true);
        };
        let store = self.files.blobs.clone();
        let parts = blocking(move || store.parts()).await?.map_err(io_error)?;
        let mut removed = 0;
        for part in parts {
            let Some(_lock) = self.removal_lock().await? else { return Ok(false) };
            let store = self.files.blobs.clone();
            let hashes = match blocking(move || store.list(part)).await? {
                Ok(hashes) => hashes,
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

    /// Makes the staged bytes of a complete file its blob again, if it is missing: the commit of
    /// the row was in doubt, and the blob was removed. Returns whether the staged bytes may go.
    async fn put_again(&self, key: UploadKey, hash: BlobHash) -> Result<bool, ServiceError> {
        let Some(_lock) = self.blob_lock(Hold::Shared).await? else { return Ok(false) };
        let (store, uploads) = (self.files.blobs.clone(), self.files.staged.clone());
        let put = move || -> io::Result<()> {
            if store.stored_at(&hash)?.is_some() {
                return Ok(());
            }
            let (contents, _) = uploads.examine(key)?;
            if contents.hash == hash {
                store.put(&hash, &uploads.path(key))?;
                tracing::warn!(upload = %key, "the bytes of a complete file were missing and are stored again");
            }
            Ok(())
        };
        match blocking(put).await? {
            Ok(()) => Ok(true),
            Err(error) => {
                tracing::warn!(upload = %key, %error, "the staged bytes of a complete file cannot be read");
                Ok(false)
            }
        }
    }
}

/// Returns the blobs that may go, up to some [`REMOVED_PER_LOCK`] bytes, and the rest.
fn next_that_may_go(
    store: &dyn BlobStore,
    hashes: Vec<BlobHash>,
    may_go: &MayGo,
) -> (Vec<BlobHash>, Vec<BlobHash>) {
    let (mut going, mut bytes, mut hashes) = (Vec::new(), 0_u64, hashes.into_iter());
    while bytes < REMOVED_PER_LOCK
        && let Some(hash) = hashes.next()
    {
        match size_if_it_may_go(store, &hash, may_go) {
            Ok(None) => {}
            Ok(Some(size)) => {
                going.push(hash);
                bytes = bytes.saturating_add(size);
            }
            Err(error) => tracing::warn!(%hash, %error, "bytes without a file cannot be removed"),
        }
    }
    (going, hashes.collect())
}

fn size_if_it_may_go(store: &dyn BlobStore, hash: &BlobHash, may_go: &MayGo) -> io::Result<Option<u64>> {
    if let Some(may_go) = may_go
        && !store.stored_at(hash)?.is_some_and(|stored| may_go(stored))
    {
        return Ok(None);
    }
    Ok(Some(store.size(hash)?.unwrap_or(0)))
}

fn remove_blob(store: &dyn BlobStore, hash: &BlobHash) -> bool {
    match store.remove(hash) {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(%hash, %error, "bytes without a file cannot be removed");
            false
        }
    }
}

fn time_of(at: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(at.0).unwrap_or(0))
}
