//! Removal of blobs that no row names.
//!
//! Uploads wait for the lock of the store. So blobs are found before it is taken, and a store
//! beyond the network removes them after it is released. A put that is in progress is never found.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use super::blocking::blocking;
use super::file_removal::{LOCK_PAUSE, LOCK_TRIES};
use super::uploads::io_error;
use super::{ServiceError, Services};
use crate::blobs::{BlobStore, FoundBlob, Hold, is_away};
use crate::core::saturate;
use crate::core::shares::Holder;
use crate::domain::file::BlobHash;
use crate::storage::queries::files;

/// Tries of an upload, which waits for removals: its client would have to send the bytes again.
const SHARED_TRIES: u32 = 200;
/// Bytes that are removed before uploads may continue.
const REMOVED_PER_LOCK: u64 = 256 * 1024 * 1024;
/// Blobs that are found at once, and removed under one lock.
const FOUND_AT_ONCE: usize = 500;
/// The same of a store beyond the network, which is asked about each. Some seconds.
const ASKED_AT_ONCE: usize = 64;

/// Failed removals after which a store beyond the network counts as away.
const FAILURES_IN_A_ROW: u32 = 3;

/// Decides by the time at which a blob was stored whether it may go. `None`: always.
pub(super) type MayGo = Option<Arc<dyn Fn(SystemTime) -> bool + Send + Sync>>;

impl Services {
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
        let (mut left, mut removed) = (VecDeque::from(hashes), 0);
        let at_once = if self.files.blobs.is_shared() { ASKED_AT_ONCE } else { FOUND_AT_ONCE };
        while !left.is_empty() {
            let mut asked: Vec<_> = left.drain(..left.len().min(at_once)).collect();
            self.retain_unnamed(&mut asked, |hash| *hash).await?;
            let (store, may_go) = (self.files.blobs.clone(), may_go.clone());
            let find = move || find_all(store.as_ref(), asked, &may_go);
            let (mut found, is_away) = self.files.store.read(find).await?;
            // Some at once: uploads wait for the lock.
            let later = found.split_off(within_one_lock(&found));
            later.iter().rev().for_each(|found| left.push_front(found.hash));
            let has_locked = !found.is_empty();
            if has_locked {
                let Some(count) = self.remove_found(found).await? else {
                    tracing::debug!("uploads hold the lock of the bytes; the next search removes them");
                    break;
                };
                removed += count;
            }
            if is_away {
                break;
            }
            if has_locked && !left.is_empty() {
                self.let_uploads_in().await;
            }
        }
        self.files.metrics.blobs_removed.inc_by(saturate::to_u64(removed));
        Ok(removed)
    }

    /// Keeps those of the blobs that no row names.
    async fn retain_unnamed<T>(
        &self,
        blobs: &mut Vec<T>,
        hash: impl Fn(&T) -> BlobHash,
    ) -> Result<(), ServiceError> {
        let wanted: Vec<_> = blobs.iter().map(&hash).collect();
        let read = move |db: &mut _| files::hashes_in_use(db, &wanted);
        let used = self.readers.read(Holder::Operator, read).await?;
        blobs.retain(|blob| !used.contains(&hash(blob)));
        Ok(())
    }

    /// Removes blobs that were found, unless rows name them now. Returns how many; `None` if
    /// uploads hold the lock for long. No upload may put a blob between the search for its rows and
    /// its removal.
    async fn remove_found(&self, mut found: Vec<FoundBlob>) -> Result<Option<usize>, ServiceError> {
        let Some(no_puts) = self.blob_lock(Hold::Exclusive).await? else { return Ok(None) };
        self.retain_unnamed(&mut found, |found| found.hash).await?;
        let (store, pictures) = (self.files.blobs.clone(), self.files.pictures.clone());
        // The lock is held until the bytes on disk are removed, also when this task ends.
        let removing = blocking(move || {
            // Before the blobs: a crash in between leaves no picture without its file.
            pictures.forget(&found.iter().map(|found| found.hash).collect::<Vec<_>>());
            found.retain(|found| is_removed(found, store.remove(found)));
            drop(no_puts);
            found
        });
        let mut removed = removing.await?;
        let store = self.files.blobs.clone();
        let purging = self.files.store.put(move || {
            let mut failures = 0;
            removed.retain(|found| {
                if failures >= FAILURES_IN_A_ROW {
                    return false;
                }
                let purged = store.purge(found);
                failures = if purged.is_ok() { 0 } else { failures + 1 };
                is_removed(found, purged)
            });
            removed.len()
        });
        purging.await.map(Some)
    }
}

/// Finds what may go of blobs, and returns whether the store is away: the next search finds the
/// rest.
fn find_all(store: &dyn BlobStore, hashes: Vec<BlobHash>, may_go: &MayGo) -> (Vec<FoundBlob>, bool) {
    let mut all = Vec::new();
    for hash in hashes {
        match store.find(&hash) {
            Ok(mut found) => {
                if let Some(may_go) = may_go {
                    found.retain(|stored| may_go(stored));
                }
                if !found.is_empty() {
                    all.push(found);
                }
            }
            Err(error) => {
                tracing::warn!(%hash, %error, "bytes without a file cannot be removed");
                if is_away(&error) {
                    return (all, true);
                }
            }
        }
    }
    (all, false)
}

/// Returns how many of the blobs are removed under one lock: at least one, up to
/// [`REMOVED_PER_LOCK`] bytes on disk.
fn within_one_lock(found: &[FoundBlob]) -> usize {
    let mut bytes = 0_u64;
    let further = found.iter().take_while(|found| {
        let before = bytes;
        bytes = bytes.saturating_add(found.bytes_on_disk());
        before < REMOVED_PER_LOCK
    });
    further.count()
}

/// Logs a failure.
fn is_removed(found: &FoundBlob, removed: io::Result<()>) -> bool {
    if let Err(error) = &removed {
        tracing::warn!(hash = %found.hash, %error, "bytes without a file cannot be removed");
    }
    removed.is_ok()
}
