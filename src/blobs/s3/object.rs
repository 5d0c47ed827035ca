//! The objects of a blob, and the bytes of one, which are read in blocks of
//! `limits.files_s3_read_bytes`.
//!
//! All objects of a blob have the same bytes. They are found with a list: only its answer differs
//! for a blob that does not exist and a bucket that does not.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;
use object_store::path::Path;
use sha2::{Digest, Sha256};

use super::bucket::{Bucket, stored_at};
use super::problem::StoreError;
use crate::blobs::{Blob, IncomingUploads};
use crate::core::saturate;
use crate::domain::file::BlobHash;

/// An object of a blob.
#[derive(Debug, Clone)]
pub(super) struct BlobObject {
    pub(super) key: Path,
    /// `<hash>.<generation>`.
    pub(super) name: String,
    pub(super) size: u64,
    pub(super) stored_at: SystemTime,
}

/// Returns the objects of a blob in a folder.
pub(super) fn objects_of(bucket: &Bucket, folder: &Path, hash: &BlobHash) -> io::Result<Vec<BlobObject>> {
    bucket.list(&format!("{folder}/{hash}."), |found| {
        Some(BlobObject {
            key: found.location.clone(),
            name: found.location.filename()?.to_owned(),
            size: found.size,
            stored_at: stored_at(found),
        })
    })
}

/// Returns the object that the store has had for the shortest time. One with fewer bytes than
/// another is not complete, and does not count: they have the same hash.
pub(super) fn newest(objects: Vec<BlobObject>) -> Option<BlobObject> {
    objects.into_iter().max_by(|a, b| (a.size, a.stored_at, &a.name).cmp(&(b.size, b.stored_at, &b.name)))
}

/// Returns the hash in the name of an object.
pub(super) fn hash_in(name: &str) -> Option<BlobHash> {
    BlobHash::parse(name.split_once('.')?.0)
}

/// See the [module](self).
pub(super) struct S3Blob {
    bucket: Arc<Bucket>,
    hash: BlobHash,
    /// The folder of the objects of the blob.
    folder: Path,
    key: ArcSwap<Path>,
    size: u64,
    /// The folder of [`Blob::file`].
    copies: IncomingUploads,
    /// The last block, and its offset.
    block: ArcSwapOption<(u64, Bytes)>,
}

impl S3Blob {
    /// Opens the newest object of a blob; `None` if there is none.
    pub(super) fn open(
        bucket: &Arc<Bucket>,
        (folder, hash): (Path, &BlobHash),
        copies: IncomingUploads,
    ) -> io::Result<Option<Self>> {
        let Some(newest) = newest(objects_of(bucket, &folder, hash)?) else { return Ok(None) };
        Ok(Some(Self {
            bucket: bucket.clone(),
            hash: *hash,
            key: ArcSwap::from_pointee(newest.key),
            folder,
            size: newest.size,
            copies,
            block: ArcSwapOption::empty(),
        }))
    }

    fn get(&self, at: u64, bytes: u64) -> io::Result<Bytes> {
        let key = self.key.load_full();
        if let Some(found) = self.bucket.get(&key, at, bytes)? {
            return Ok(found);
        }
        // A newer object has replaced it.
        let found = newest(objects_of(&self.bucket, &self.folder, &self.hash)?);
        let found = found.filter(|found| found.size == self.size && found.key != *key);
        let missing = || StoreError::plain("an object is gone", key.to_string());
        let found = found.ok_or_else(missing)?;
        let read = self.bucket.get(&found.key, at, bytes)?.ok_or_else(missing)?;
        self.key.store(Arc::new(found.key));
        Ok(read)
    }

    /// Returns a part of the block, if the block has it.
    fn cached(&self, at: u64, bytes: usize) -> Option<Vec<u8>> {
        let block = self.block.load_full()?;
        let (begin, held) = &*block;
        let from = saturate::to_usize(at.checked_sub(*begin)?);
        held.get(from..from.checked_add(bytes)?).map(<[u8]>::to_vec)
    }
}

impl Blob for S3Blob {
    fn size(&self) -> io::Result<u64> {
        Ok(self.size)
    }

    fn read_at(&self, at: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let wanted = saturate::to_u64(bytes);
        if at.saturating_add(wanted) > self.size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if bytes == 0 {
            return Ok(Vec::new());
        }
        if let Some(found) = self.cached(at, bytes) {
            return Ok(found);
        }
        let length = self.bucket.read_bytes.max(wanted).min(self.size.saturating_sub(at));
        let block = self.get(at, length)?;
        let read = block.get(..bytes).map(<[u8]>::to_vec).ok_or(io::ErrorKind::UnexpectedEof)?;
        self.block.store(Some(Arc::new((at, block))));
        Ok(read)
    }

    fn is_checked(&self) -> bool {
        false
    }

    fn file(&self) -> io::Result<File> {
        let (mut file, mut read, mut at) = (self.copies.unnamed()?, Sha256::new(), 0);
        while at < self.size {
            let bytes = self.bucket.read_bytes.min(self.size.saturating_sub(at));
            let piece = self.read_at(at, saturate::to_usize(bytes))?;
            read.update(&piece);
            file.write_all(&piece)?;
            at = at.saturating_add(bytes);
        }
        if BlobHash(read.finalize().into()) != self.hash {
            return Err(StoreError::plain("it returned wrong bytes", self.key.load().to_string()).into());
        }
        file.rewind()?;
        Ok(file)
    }
}
