//! Copies blobs into a backup, several at once: a bucket needs a round trip for each.
//!
//! A blob that is missing, damaged or unreadable does not end the backup of the others. If the
//! store is away as a whole, the backup goes on with the bytes of the data directory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::files::{BlobCopyError, FileDigest, copy_blob, failed};
use super::own::BlobSource;
use super::{BackupError, Manifest};
use crate::blobs::{BlobStore, DiskBlobs};
use crate::domain::file::BlobHash;

/// Blobs that are copied at once.
const COPIED_AT_ONCE: usize = 16;
/// After this many failures of the store without a success in between, the store is tested. If the
/// test fails, it is away: each further blob would wait for its answer in vain.
const FAILURES_IN_A_ROW: usize = 16;

/// Copies each blob once. Nothing removes bytes meanwhile, and no byte of a blob changes.
pub(super) struct BlobCopier<'a> {
    blobs: &'a dyn BlobStore,
    disk: DiskBlobs,
    target: &'a Path,
    copied: BTreeSet<BlobHash>,
    failures: AtomicUsize,
    is_away: AtomicBool,
}

/// A blob that is to be copied, and where it may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) hash: BlobHash,
    pub(super) sources: Vec<BlobSource>,
}

/// The outcome of copying a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum CopiedBlob {
    Whole,
    Missing,
    Damaged,
    /// The store failed.
    Unread,
}

/// The result of a worker for a blob.
struct Found {
    outcome: CopiedBlob,
    digest: Option<FileDigest>,
    problem: Option<io::Error>,
}

impl Found {
    fn without_bytes(outcome: CopiedBlob) -> Self {
        Self { outcome, digest: None, problem: None }
    }
}

impl<'a> BlobCopier<'a> {
    pub(super) fn new(blobs: &'a dyn BlobStore, data_dir: &Path, target: &'a Path) -> Self {
        Self {
            blobs,
            disk: DiskBlobs::at(data_dir),
            target,
            copied: BTreeSet::new(),
            failures: AtomicUsize::new(0),
            is_away: AtomicBool::new(false),
        }
    }

    /// Copies those of the blobs that are not copied yet, and adds them to the manifest. Returns
    /// the outcome of each.
    ///
    /// # Errors
    /// If the backup cannot be written.
    pub(super) fn copy(
        &mut self,
        wanted: Vec<Wanted>,
        manifest: &mut Manifest,
    ) -> Result<BTreeMap<BlobHash, CopiedBlob>, BackupError> {
        let (mut outcomes, mut missing) = (BTreeMap::new(), BTreeMap::<_, Vec<BlobSource>>::new());
        for Wanted { hash, sources } in wanted {
            if self.copied.contains(&hash) {
                outcomes.insert(hash, CopiedBlob::Whole);
                continue;
            }
            let known = missing.entry(hash).or_default();
            for source in sources {
                if !known.contains(&source) {
                    known.push(source);
                }
            }
        }
        let jobs: Vec<_> = missing.into_iter().collect();
        for (hash, found) in self.copy_at_once(&jobs)? {
            if let Some(digest) = found.digest {
                manifest.add(&DiskBlobs::path_in_data_dir(&hash), digest);
                manifest.blobs += 1;
                self.copied.insert(hash);
            }
            if let Some(problem) = found.problem {
                manifest.store_problem = Some(problem.to_string());
            }
            outcomes.insert(hash, found.outcome);
        }
        Ok(outcomes)
    }

    fn copy_at_once(
        &self,
        jobs: &[(BlobHash, Vec<BlobSource>)],
    ) -> Result<BTreeMap<BlobHash, Found>, BackupError> {
        let next = AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            while let Some((hash, sources)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                let found = self.copy_one(hash, sources);
                if found.is_err() {
                    // The other workers end after their blob.
                    next.store(jobs.len(), Ordering::Relaxed);
                }
                done.push((*hash, found?));
            }
            Ok::<_, BackupError>(done)
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..COPIED_AT_ONCE.min(jobs.len())).map(|_| scope.spawn(work)).collect();
            let mut all = BTreeMap::new();
            for worker in workers {
                let ended = worker.join();
                let panicked = |_| failed(self.target)(io::Error::other("a worker of the backup panicked"));
                all.extend(ended.map_err(panicked)??);
            }
            Ok(all)
        })
    }

    fn copy_one(&self, hash: &BlobHash, sources: &[BlobSource]) -> Result<Found, BackupError> {
        let mut worst = Found::without_bytes(CopiedBlob::Missing);
        for source in sources {
            let found = self.copy_from(source, hash)?;
            if found.outcome == CopiedBlob::Whole {
                return Ok(found);
            }
            if found.outcome > worst.outcome {
                worst = found;
            }
        }
        Ok(worst)
    }

    fn copy_from(&self, source: &BlobSource, hash: &BlobHash) -> Result<Found, BackupError> {
        let is_away = self.is_away.load(Ordering::Relaxed);
        let blobs = if is_away { &self.disk } else { self.blobs };
        let blob = match source.open(blobs, hash) {
            Ok(Some(blob)) => blob,
            Ok(None) if is_away => return Ok(Found::without_bytes(CopiedBlob::Unread)),
            Ok(None) => return Ok(Found::without_bytes(CopiedBlob::Missing)),
            Err(error) => return Ok(self.unread(error)),
        };
        let to = self.target.join(DiskBlobs::path_in_data_dir(hash));
        let remove = || fs::remove_file(&to).map_err(failed(&to));
        match copy_blob(blob.as_ref(), &to) {
            Ok(digest) => {
                if !blob.is_checked() {
                    // The bytes came from the store, not from the data directory.
                    self.failures.store(0, Ordering::Relaxed);
                }
                if digest.sha256 == hash.to_string() {
                    return Ok(Found { outcome: CopiedBlob::Whole, digest: Some(digest), problem: None });
                }
                remove()?;
                Ok(Found::without_bytes(CopiedBlob::Damaged))
            }
            Err(BlobCopyError::Read(error)) => {
                remove()?;
                Ok(self.unread(error))
            }
            Err(BlobCopyError::Write(error)) => Err(failed(&to)(error)),
        }
    }

    /// Counts a failure of the store.
    fn unread(&self, error: io::Error) -> Found {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if failures == FAILURES_IN_A_ROW {
            match self.blobs.probe() {
                Some(Err(_)) => self.is_away.store(true, Ordering::Relaxed),
                None | Some(Ok(())) => self.failures.store(0, Ordering::Relaxed),
            }
        }
        Found { outcome: CopiedBlob::Unread, digest: None, problem: Some(error) }
    }
}
