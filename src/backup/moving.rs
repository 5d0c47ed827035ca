//! Moves the bytes of files between the data directory and a bucket. A move that was interrupted
//! goes on when it is repeated.
//!
//! Invariants
//! * A server never runs on the disk while its files are in the bucket. Without a server, the move
//!   holds the lock of the directory, and records where the files are
//!   ([`FilePlace`](crate::blobs::FilePlace)): before the first bytes leave the disk, and after the
//!   last ones have arrived there. With a server, the record must name the bucket already, or the
//!   bytes must not leave the disk.
//! * No bytes are removed from a place before the other one has them, and has compared their hash.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::files::{digest, failed};
use super::own::BlobSource;
use super::{BackupError, BackupProgress, OwnRepositories, ReportProgress};
use crate::blobs::{Blob, BlobStore, BucketPlace, DiskBlobs, FilePlace, Hold, S3Blobs, is_away, is_full};
use crate::core::data_dir::{DataDir, DataDirError};
use crate::core::database::Source;
use crate::core::machine;
use crate::domain::file::BlobHash;
use crate::domain::ids::{FileId, LfsObjectId};
use crate::storage::queries::{files, lfs, repositories};

/// Files whose rows are read at once.
const FILES_PER_READ: i64 = 1_000;
/// Tries to acquire the lock of the store, and the pause between two.
const LOCK_TRIES: u32 = 600;
const LOCK_PAUSE: Duration = Duration::from_millis(100);
/// A move ends after this many failures of the store without a success in between: it is away.
/// Fewer are failures of single blobs.
const FAILURES_IN_A_ROW: usize = 4;
/// Bytes that are written at once.
const PIECE_BYTES: u64 = 256 * 1024;

/// The two places of a move.
#[derive(Debug, Clone, Copy)]
pub struct Move<'a> {
    pub data_dir: &'a Path,
    pub bucket: &'a S3Blobs,
    pub place: &'a BucketPlace,
}

/// The result of a move, in blobs: equal files have one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MovedBlobs {
    pub moved: usize,
    /// They were there already.
    pub present: usize,
    /// Those that were not moved, and why.
    pub unmoved: Vec<(BlobHash, String)>,
    /// Whether a server uses the directory.
    pub is_served: bool,
    /// Where the files of the directory are now, as far as that is recorded.
    pub recorded: Option<FilePlace>,
}

/// Locks the directory for a move. `None`: a server uses it.
fn lock_directory(data_dir: &Path) -> Result<Option<DataDir>, BackupError> {
    match DataDir::open(data_dir) {
        Ok(locked) => {
            DiskBlobs::open(data_dir).map_err(failed(data_dir))?;
            Ok(Some(locked))
        }
        Err(DataDirError::InUse(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Stores all blobs of the data directory in the bucket, and removes them from the directory.
///
/// # Errors
/// [`BackupError::ServedFromDisk`] if a server would lose its files. If the disk or the bucket
/// fails.
pub fn move_to_bucket(
    Move { data_dir, bucket, place }: Move<'_>,
    report: ReportProgress<'_>,
) -> Result<MovedBlobs, BackupError> {
    let place = FilePlace::S3(place.clone());
    let locked = lock_directory(data_dir)?;
    match (&locked, FilePlace::recorded(data_dir)?) {
        (Some(_), _) => place.settle(data_dir)?,
        (None, Some(FilePlace::S3(_))) => place.check(data_dir)?,
        (None, None | Some(FilePlace::Disk)) => {
            return Err(BackupError::ServedFromDisk(data_dir.to_owned()));
        }
    }
    let (disk, mut failures) = (DiskBlobs::at(data_dir), 0);
    let mut done = MovedBlobs { is_served: locked.is_none(), ..MovedBlobs::default() };
    report(BackupProgress::Begin("moving files to the bucket", 0));
    for part in disk.parts().map_err(failed(data_dir))? {
        for hash in disk.list(part).map_err(failed(data_dir))? {
            let path = disk.path(&hash);
            match bucket.move_to_bucket(&hash, || lock(&disk)) {
                Ok(is_moved) => {
                    failures = 0;
                    done.moved += usize::from(is_moved);
                }
                Err(error) if error.kind() == ErrorKind::InvalidData => {
                    done.unmoved.push((hash, "they are damaged".to_owned()));
                }
                Err(error) => {
                    failures += 1;
                    if !is_away(&error) || failures >= FAILURES_IN_A_ROW {
                        return Err(failed(&path)(error));
                    }
                    done.unmoved.push((hash, error.to_string()));
                }
            }
            report(BackupProgress::Done(1));
        }
    }
    done.recorded = FilePlace::recorded(data_dir)?;
    Ok(done)
}

/// Stores the bytes of all own files and objects of Git LFS in the data directory. They stay in the
/// bucket. Without a server, records afterwards that the files are on the disk, if none is missing
/// or if `accepts_missing`. `place.bucket` is without the bytes of the data directory. The disk
/// keeps `reserve` bytes free.
///
/// # Errors
/// [`BackupError::NoRoom`] if the disk is full. If the database, the disk or the bucket fails.
pub fn move_to_disk(
    database: &Source,
    (place, own): (Move<'_>, &OwnRepositories),
    (reserve, accepts_missing): (u64, bool),
    report: ReportProgress<'_>,
) -> Result<MovedBlobs, BackupError> {
    let data_dir = place.data_dir;
    let locked = lock_directory(data_dir)?;
    FilePlace::S3(place.place.clone()).check(data_dir)?;
    let (mut db, mut above) = (database.open_reader()?, FileId(0));
    let mut moving = MovingToDisk {
        bucket: place.bucket,
        disk: DiskBlobs::at(data_dir),
        reserve,
        seen: BTreeSet::new(),
        failures: 0,
        done: MovedBlobs { is_served: locked.is_none(), ..MovedBlobs::default() },
        report,
    };
    (moving.report)(BackupProgress::Begin("moving files to the data directory", 0));
    loop {
        let found = files::complete_above(&mut db, above, FILES_PER_READ)?;
        let Some(last) = found.last() else { break };
        above = last.id;
        // Any node may have the bytes of a file without one.
        for file in found.iter().filter(|file| own.has_file(file) || file.node.is_none()) {
            let Some(contents) = &file.contents else { continue };
            let size = u64::try_from(file.size).unwrap_or(0);
            let sources = [BlobSource::Of(file.node.clone())];
            moving.take((contents.hash, size), &sources, own.has_file(file))?;
        }
    }
    let all = repositories::in_state(&mut db, repositories::ACTIVE)?;
    for repository in all.iter().filter(|repository| own.contains(repository)) {
        let (mut above, sources) = (LfsObjectId(0), own.sources_of(repository));
        loop {
            let found = lfs::objects_of(&mut db, repository.id, above, FILES_PER_READ)?;
            let Some(last) = found.last() else { break };
            above = last.id;
            for object in &found {
                moving.take((object.oid, object.bytes()), &sources, true)?;
            }
        }
    }
    let mut done = moving.done;
    if locked.is_some() && (done.unmoved.is_empty() || accepts_missing) {
        FilePlace::Disk.record(data_dir)?;
    }
    done.recorded = FilePlace::recorded(data_dir)?;
    Ok(done)
}

struct MovingToDisk<'a, 'b> {
    bucket: &'a S3Blobs,
    disk: DiskBlobs,
    reserve: u64,
    seen: BTreeSet<BlobHash>,
    failures: usize,
    done: MovedBlobs,
    report: ReportProgress<'b>,
}

impl MovingToDisk<'_, '_> {
    /// Stores a blob on the disk. `is_own`: it is a finding if no source has it.
    fn take(
        &mut self,
        (hash, size): (BlobHash, u64),
        sources: &[BlobSource],
        is_own: bool,
    ) -> Result<(), BackupError> {
        if self.seen.contains(&hash) {
            return Ok(());
        }
        (self.report)(BackupProgress::Done(1));
        let path = self.disk.path(&hash);
        // A copy of another content, or one that cannot be read, is replaced.
        if digest(&path).is_ok_and(|found| found.sha256 == hash.to_string()) {
            self.moved(hash);
            self.done.present += 1;
            return Ok(());
        }
        let space = machine::space(self.disk.root()).map_err(failed(self.disk.root()))?;
        if space.above_reserve(self.reserve) < size {
            return Err(self.no_room(size));
        }
        match self.copy(&hash, sources) {
            Ok(Outcome::Moved) => {
                self.moved(hash);
                self.done.moved += 1;
            }
            Ok(Outcome::Missing) if !is_own => return Ok(()),
            Ok(Outcome::Missing) => self.unmoved(hash, "they are missing"),
            Ok(Outcome::Damaged) => self.unmoved(hash, "they are damaged"),
            Err(error) if is_full(&error) => return Err(self.no_room(size)),
            Err(error) => {
                self.failures += 1;
                if !is_away(&error) || self.failures >= FAILURES_IN_A_ROW {
                    return Err(failed(&path)(error));
                }
                self.unmoved(hash, &error.to_string());
                return Ok(());
            }
        }
        self.failures = 0;
        Ok(())
    }

    fn moved(&mut self, hash: BlobHash) {
        self.seen.insert(hash);
        self.done.unmoved.retain(|(unmoved, _)| *unmoved != hash);
    }

    /// A later row may name a place that has the bytes.
    fn unmoved(&mut self, hash: BlobHash, why: &str) {
        if self.done.unmoved.iter().all(|(unmoved, _)| *unmoved != hash) {
            self.done.unmoved.push((hash, why.to_owned()));
        }
    }

    fn copy(&self, hash: &BlobHash, sources: &[BlobSource]) -> io::Result<Outcome> {
        let mut outcome = Outcome::Missing;
        for source in sources {
            let Some(blob) = source.open(self.bucket, hash)? else { continue };
            if store(&self.disk, hash, blob.as_ref())? {
                return Ok(Outcome::Moved);
            }
            outcome = Outcome::Damaged;
        }
        Ok(outcome)
    }

    fn no_room(&self, bytes: u64) -> BackupError {
        BackupError::NoRoom { path: self.disk.root().to_owned(), bytes }
    }
}

/// The outcome of copying a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Moved,
    Missing,
    Damaged,
}

/// Makes a copy of the blob one of the disk. Returns whether its bytes are right.
fn store(disk: &DiskBlobs, hash: &BlobHash, blob: &dyn Blob) -> io::Result<bool> {
    let (mut copy, size, mut at) = (disk.incoming().begin()?, blob.size()?, 0);
    while at < size {
        let bytes = PIECE_BYTES.min(size.saturating_sub(at));
        copy.write(&blob.read_at(at, usize::try_from(bytes).unwrap_or(usize::MAX))?)?;
        at = at.saturating_add(bytes);
    }
    let copy = copy.finish()?;
    let is_right = copy.contents.hash == *hash;
    if is_right {
        let _lock = lock(disk)?;
        disk.put_now(hash, copy.path())?;
    }
    copy.remove();
    Ok(is_right)
}

fn lock(disk: &DiskBlobs) -> io::Result<File> {
    for _ in 0..LOCK_TRIES {
        if let Some(lock) = disk.try_lock(Hold::Shared)? {
            return Ok(lock);
        }
        thread::sleep(LOCK_PAUSE);
    }
    Err(io::Error::new(ErrorKind::WouldBlock, "the server removes files; repeat the command"))
}
