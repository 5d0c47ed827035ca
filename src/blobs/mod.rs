//! The bytes of files, outside of the database.
//!
//! A *blob* is immutable and named by its SHA-256. Several files may have the same blob. Rows of
//! the database decide who may read a file; this room knows hashes and bytes only.
//!
//! Invariants
//! * A blob is complete and fsynced, with the folders that name it, before a row names its hash
//!   ([`BlobStore::put`]).
//! * A blob is removed only while no row names its hash, under the exclusive
//!   [`BlobStore::try_lock`]. A task that puts a blob holds the shared lock until its row is
//!   committed.
//! * A crash leaves at most a blob without a row, or a staged upload. Both are removed later.
//! * The store records the epoch of its database ([`BlobStore::belongs_since`]). A blob that
//!   another database names is not removed at once.
//!
//! Deliberately absent: names, owners and types of files.

mod disk;
mod examiner;
mod incoming;
mod uploads;

use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::SystemTime;

pub use disk::DiskBlobs;
pub use incoming::{Arrived, Incoming, IncomingUploads};
pub use uploads::{Upload, Uploads, is_full};

use crate::domain::file::BlobHash;
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

    /// Makes the bytes of a staged upload, whose hash was checked, a blob, durably. The staged file
    /// stays. A blob that exists is replaced, because it may be damaged.
    fn put(&self, hash: &BlobHash, staged: &Path) -> io::Result<()>;

    /// Opens a blob; `None` if it does not exist.
    fn open(&self, hash: &BlobHash) -> io::Result<Option<Box<dyn Blob>>>;

    /// Returns when the blob was last put; `None` if it does not exist.
    fn stored_at(&self, hash: &BlobHash) -> io::Result<Option<SystemTime>>;

    /// Returns the size in bytes; `None` if the blob does not exist.
    fn size(&self, hash: &BlobHash) -> io::Result<Option<u64>>;

    /// Removes a blob, if it exists.
    fn remove(&self, hash: &BlobHash) -> io::Result<()>;

    /// Returns the numbers of the parts in which [`BlobStore::list`] lists the blobs.
    fn parts(&self) -> io::Result<Vec<u8>>;

    /// Returns the hashes of a part of the blobs.
    fn list(&self, part: u8) -> io::Result<Vec<BlobHash>>;
}

/// An open blob.
pub trait Blob: Send + Sync {
    /// Returns the size in bytes.
    fn size(&self) -> io::Result<u64>;

    /// Reads exactly `bytes` bytes from an offset.
    fn read_at(&self, at: u64, bytes: usize) -> io::Result<Vec<u8>>;

    /// Returns an open file with the bytes, at its beginning, as the input of a child process.
    fn file(&self) -> io::Result<File>;
}
