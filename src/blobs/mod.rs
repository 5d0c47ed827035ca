//! The bytes of files, outside of the database.
//!
//! A *blob* is immutable and named by its SHA-256. Several files may have the same blob. Rows of
//! the database decide who may read a file; this room knows hashes and bytes only.
//!
//! Invariants
//! * A blob is complete and fsynced, with the folders that name it, before a row names its hash
//!   ([`BlobStore::put`]).
//! * A blob is removed only while no row names its hash: a removal finds it ([`BlobStore::find`]),
//!   then reads the rows under the exclusive [`BlobStore::try_lock`]. A task that puts a blob holds
//!   the shared lock, and what it has prepared, until its row is committed.
//! * Transfers of a store beyond the network are outside of the lock ([`BlobStore::prepare`],
//!   [`BlobStore::purge`]).
//! * A crash leaves at most a blob without a row, or a staged upload. Both are removed later.
//! * The store records the epoch of its database ([`BlobStore::belongs_since`]). A blob that
//!   another database names is not removed at once.
//!
//! Deliberately absent: names, owners and types of files.

mod disk;
mod examiner;
mod incoming;
mod marker;
mod s3;
mod uploads;

use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::runtime::Handle;

pub use disk::DiskBlobs;
pub use incoming::{Arrived, Incoming, IncomingUploads};
pub use marker::{BucketPlace, FilePlace, MarkerError};
pub use s3::{S3Blobs, StoreMetrics, is_away};
pub use uploads::{Upload, Uploads, is_full};

use crate::core::config::{Config, FileStore};
use crate::domain::file::BlobHash;
use crate::domain::node::NodeName;
use crate::domain::timestamp::Timestamp;

/// How a lock of the store is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Blobs are put. Several holders at once.
    Shared,
    /// Blobs are removed. A single holder, across all processes.
    Exclusive,
}

/// A store of blobs. Its functions block the thread.
pub trait BlobStore: Debug + Send + Sync {
    /// Takes the turn of a removal, if no other has it: until the file is dropped, no further
    /// shared lock is granted, and those that exist end.
    fn try_turn(&self) -> io::Result<Option<File>>;

    /// Takes the lock of puts and removals, if no holder excludes it now. It is released when the
    /// file is dropped. A removal takes its turn before.
    fn try_lock(&self, hold: Hold) -> io::Result<Option<File>>;

    /// Returns the time since when the store has belonged to the database with this epoch. If it
    /// belonged to another one before, records this one with `now`.
    fn belongs_since(&self, epoch: i64, now: Timestamp) -> io::Result<Timestamp>;

    /// Prepares a put, without the lock. A store beyond the network sends the bytes. The result is
    /// held until the row is committed.
    fn prepare(&self, hash: &BlobHash, staged: &Path) -> io::Result<Prepared>;

    /// Begins to prepare a put while its bytes arrive in a staged file. `None`: too few bytes, or
    /// there is nothing to send.
    fn begin(&self, hash: &BlobHash, (staged, size): (&Path, u64)) -> io::Result<Option<Box<dyn EarlyPut>>> {
        let _ = (hash, staged, size);
        Ok(None)
    }

    /// Makes the bytes of a staged upload, whose hash was checked, a blob, durably. The staged file
    /// stays. A blob that exists is replaced, because it may be damaged. The caller holds the
    /// shared lock.
    fn put(&self, hash: &BlobHash, staged: &Path, prepared: &Prepared) -> io::Result<()>;

    /// Prepares and puts a blob. The caller holds the shared lock.
    fn put_now(&self, hash: &BlobHash, staged: &Path) -> io::Result<()> {
        let prepared = self.prepare(hash, staged)?;
        self.put(hash, staged, &prepared)
    }

    /// Opens a blob; `None` if it does not exist.
    fn open(&self, hash: &BlobHash) -> io::Result<Option<Box<dyn Blob>>>;

    /// Opens a blob that a file of `node` has. In a shared store, the blobs of all nodes are found.
    fn open_of(&self, node: Option<&NodeName>, hash: &BlobHash) -> io::Result<Option<Box<dyn Blob>>> {
        let _ = node;
        self.open(hash)
    }

    /// Returns whether each node reads the blobs of all nodes.
    fn is_shared(&self) -> bool {
        false
    }

    /// Makes a blob of the node `from` one of this node. Returns whether this node has it now.
    fn adopt(&self, from: Option<&NodeName>, hash: &BlobHash) -> io::Result<bool> {
        let _ = from;
        Ok(self.stored_at(hash)?.is_some())
    }

    /// Tests the store with an object of its own. `None`: there is nothing to test.
    fn probe(&self) -> Option<io::Result<()>> {
        None
    }

    /// Returns when the blob was last put; `None` if it does not exist.
    fn stored_at(&self, hash: &BlobHash) -> io::Result<Option<SystemTime>>;

    /// Returns the size in bytes; `None` if the blob does not exist.
    fn size(&self, hash: &BlobHash) -> io::Result<Option<u64>>;

    /// Finds what a removal may remove, without the lock: not what is being put.
    fn find(&self, hash: &BlobHash) -> io::Result<FoundBlob>;

    /// Removes what was found, under the exclusive lock. A store beyond the network removes it with
    /// [`BlobStore::purge`].
    fn remove(&self, found: &FoundBlob) -> io::Result<()>;

    /// Removes what was found beyond the network, without the lock.
    fn purge(&self, found: &FoundBlob) -> io::Result<()> {
        let _ = found;
        Ok(())
    }

    /// Removes what no blob needs: uploads of a crash, and objects that newer ones have replaced.
    /// Returns the number of such objects.
    fn tidy(&self) -> io::Result<usize> {
        Ok(0)
    }

    /// Checks that the store answers, and that this server may remove bytes from it.
    fn check(&self) -> io::Result<()> {
        Ok(())
    }

    /// Returns the threads for calls of a store beyond the network, which may wait for long.
    fn threads(&self) -> Option<Handle> {
        None
    }

    /// Returns the numbers of the parts in which [`BlobStore::list`] lists the blobs.
    fn parts(&self) -> io::Result<Vec<u8>>;

    /// Returns the hashes of a part of the blobs.
    fn list(&self, part: u8) -> io::Result<Vec<BlobHash>>;
}

/// Returns the store of the configuration. Opens no connection.
///
/// # Errors
/// If its settings cannot be used.
pub fn configured(
    config: &Config,
    node: Option<NodeName>,
    disk: DiskBlobs,
    metrics: StoreMetrics,
) -> io::Result<Arc<dyn BlobStore>> {
    Ok(match config.files.store {
        FileStore::Disk => Arc::new(disk),
        FileStore::S3 => Arc::new(S3Blobs::new(disk, node, (&config.files.s3, &config.limits), metrics)?),
    })
}

/// A put that has been prepared. It keeps removals from the bytes until it is dropped.
#[derive(Debug)]
pub struct Prepared {
    /// Whether the blob existed before.
    pub existed: bool,
    /// The record of an object in a bucket.
    pending: Option<s3::Pending>,
}

/// A put that is prepared while its bytes arrive. Dropped before its end, it leaves nothing.
pub trait EarlyPut: Send {
    /// Returns whether there is something to send.
    fn is_due(&self, written: u64) -> bool;

    /// Sends bytes of the staged file, which has `written` bytes. Waits if it is much slower than
    /// they arrive.
    fn advance(&mut self, written: u64) -> io::Result<()>;

    /// Sends the rest. All bytes are in the staged file.
    fn finish(self: Box<Self>) -> io::Result<Prepared>;
}

/// The copies of a blob that a removal has found.
#[derive(Debug, Clone)]
pub struct FoundBlob {
    pub hash: BlobHash,
    copies: Vec<FoundCopy>,
}

#[derive(Debug, Clone)]
struct FoundCopy {
    /// The name of an object in a bucket. `None`: on disk.
    object: Option<String>,
    size: u64,
    stored_at: SystemTime,
}

impl FoundBlob {
    /// Keeps the copies that may go, by the time when they were stored.
    pub fn retain(&mut self, may_go: impl Fn(SystemTime) -> bool) {
        self.copies.retain(|copy| may_go(copy.stored_at));
    }

    pub fn is_empty(&self) -> bool {
        self.copies.is_empty()
    }

    /// Returns the bytes that a removal frees on disk, for which it holds the lock.
    pub fn bytes_on_disk(&self) -> u64 {
        let on_disk = self.copies.iter().filter(|copy| copy.object.is_none());
        on_disk.map(|copy| copy.size).fold(0, u64::saturating_add)
    }
}

/// An open blob.
pub trait Blob: Send + Sync {
    /// Returns the size in bytes.
    fn size(&self) -> io::Result<u64>;

    /// Reads exactly `bytes` bytes from an offset.
    fn read_at(&self, at: u64, bytes: usize) -> io::Result<Vec<u8>>;

    /// Returns whether the bytes come from a place that does not change them. Otherwise, a reader
    /// of all bytes compares them with the hash.
    fn is_checked(&self) -> bool {
        true
    }

    /// Returns an open file with the bytes, at its beginning, as the input of a child process.
    /// Bytes that are not checked are copied to the disk before, and compared with their hash.
    fn file(&self) -> io::Result<File>;
}
