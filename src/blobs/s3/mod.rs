//! Blobs in a bucket of an S3-compatible store: `PREFIX/NODE/ab/cd/<sha256>.<generation>`.
//!
//! Each node writes and removes below its own key only. Every node reads the blobs of all nodes.
//!
//! Invariants
//! * Each put writes an object with a generation of its own, and no name is used again. So a
//!   removal that the store executes late, after its client gave up, never meets later bytes.
//! * A put is recorded ([`pending`]) before its first request, until its row is committed. A
//!   removal lists the objects of a hash, then leaves out those with a record, then reads the rows.
//!   So an object that it removes has no row, and gets none. No request runs under the lock of the
//!   store.
//! * Objects that a newer one replaces go after `limits.files_s3_replaced_seconds`, which no upload
//!   and no request outlasts.
//! * Only the server that has claimed the key of a node puts and removes objects there.
//!
//! Bytes in the data directory come first: those from before the bucket was configured, and those
//! of a restored backup. They need no network.
//!
//! Deliberately absent: locks in the bucket, and encryption of its objects, which the store does.

mod bucket;
mod client;
mod metrics;
mod object;
mod owner;
mod pending;
mod problem;
mod tidy;
mod upload;

use std::fs::File;
use std::io;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwapOption;
use object_store::path::Path;
use tokio::runtime::Handle;

use bucket::Bucket;
pub use metrics::StoreMetrics;
use object::{BlobObject, S3Blob, hash_in, newest, objects_of};
pub(super) use pending::Pending;
use pending::PendingPuts;
use problem::StoreError;
pub use problem::is_away;
use upload::{PartsUpload, Source};

use super::disk::byte_of;
use super::{Blob, BlobStore, DiskBlobs, EarlyPut, FoundBlob, FoundCopy, Hold, Prepared};
use crate::core::config::S3;
use crate::core::fail_points;
use crate::core::limits::Limits;
use crate::domain::file::BlobHash;
use crate::domain::node::NodeName;
use crate::domain::timestamp::Timestamp;

/// The name of a server that is not among nodes.
const ALONE: &str = "local";
/// How long ago a put, or a removal, may have asked whether the key belongs to this server.
const PUT_OWNED: Duration = Duration::from_secs(60);
const REMOVAL_OWNED: Duration = Duration::from_secs(5);
/// The folder below that of files in the data directory with the records of puts.
const PENDING: &str = "puts";
/// The key of the objects of [`BlobStore::probe`].
const PROBE: &str = "probe";
const PROBE_BYTES: &[u8] = b"NetBit tests its store of files.";

/// See the [module](self).
#[derive(Debug, Clone)]
pub struct S3Blobs {
    disk: DiskBlobs,
    bucket: Arc<Bucket>,
    puts: PendingPuts,
    node: Option<NodeName>,
    /// Age of an object that a newer one has replaced, before it is removed.
    replaced: Duration,
    /// When the key belonged to this server.
    owned_at: Arc<ArcSwapOption<Instant>>,
}

impl S3Blobs {
    /// Returns the store of a node. Opens no connection.
    ///
    /// # Errors
    /// If the authorities of certificates cannot be read, or the endpoint is not one.
    pub fn new(
        disk: DiskBlobs,
        node: Option<NodeName>,
        (settings, limits): (&S3, &Limits),
        metrics: StoreMetrics,
    ) -> io::Result<Self> {
        let bucket = Arc::new(Bucket::new(settings, limits, metrics)?);
        let puts = PendingPuts::in_folder(disk.root().join(PENDING));
        let replaced = Duration::from_secs(limits.files_s3_replaced_seconds);
        Ok(Self { disk, bucket, puts, node, replaced, owned_at: Arc::default() })
    }

    fn own_root(&self) -> Path {
        self.bucket.key(&[name_of(self.node.as_ref())])
    }

    /// Returns the key of an object of this node, other than blobs.
    fn own(&self, name: &str) -> Path {
        self.bucket.key(&[name_of(self.node.as_ref()), name])
    }

    /// Returns the folder of the objects of a blob.
    fn folder(&self, node: Option<&NodeName>, hash: &BlobHash) -> Path {
        let name = hash.to_string();
        let (first, second) = (name.get(..2).unwrap_or("00"), name.get(2..4).unwrap_or("00"));
        self.bucket.key(&[name_of(node), first, second])
    }

    fn own_folder(&self, hash: &BlobHash) -> Path {
        self.folder(self.node.as_ref(), hash)
    }

    fn own_objects(&self, hash: &BlobHash) -> io::Result<Vec<BlobObject>> {
        objects_of(&self.bucket, &self.own_folder(hash), hash)
    }

    /// Returns a key that no object has had, and the record of its put.
    fn new_object(&self, hash: &BlobHash) -> io::Result<(Path, Pending)> {
        let begin = || -> io::Result<_> {
            let name = format!("{hash}.{}", uuid::Uuid::new_v4().simple());
            let key = self.own_folder(hash).join(name.as_str());
            Ok((key, self.puts.begin(name)?))
        };
        match begin() {
            // The search for puts of a crash has met the record before it was locked.
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => begin(),
            begun => begun,
        }
    }

    /// Stores the bytes of a file as a new object.
    fn put_file(&self, hash: &BlobHash, file: &FilePath) -> io::Result<Pending> {
        let size = std::fs::metadata(file)?.len();
        let (key, pending) = self.new_object(hash)?;
        if size > self.bucket.part_bytes {
            let upload = PartsUpload::begin(&self.bucket, (key.clone(), pending), (file, size))?;
            let pending = upload.finish(hash)?;
            return self.compare(&key, size).map(|()| pending);
        }
        let _place = upload::place(&self.bucket)?;
        let mut source = Source::open(file)?;
        let bytes = source.next(size)?;
        source.check(hash)?;
        self.bucket.put_bytes(&key, bytes)?;
        self.compare(&key, size).map(|()| pending)
    }

    /// Compares the size of an object that was put. A wrong one is removed.
    fn compare(&self, key: &Path, size: u64) -> io::Result<()> {
        let found = self.bucket.list(key.as_ref(), |found| Some(found.size))?;
        let problem = match found.first() {
            Some(found) if *found == size => return Ok(()),
            Some(found) => {
                let cause = format!("{found} bytes in place of {size}");
                StoreError::plain("it did not store all bytes", cause)
            }
            None => StoreError::plain("it did not keep an object", key.to_string()),
        };
        if let Err(error) = self.bucket.remove(key) {
            tracing::warn!(%key, %error, "an incomplete object stays in the bucket");
        }
        Err(problem.into())
    }

    /// Writes, reads, lists and removes an object, so that its operator learns what is wrong.
    fn try_out(&self) -> io::Result<()> {
        let name = uuid::Uuid::new_v4().simple().to_string();
        let folder = self.own(PROBE);
        let key = folder.clone().join(name.as_str());
        self.bucket.put_text(&key, PROBE_BYTES)?;
        let looked = self.look(&folder, &key, &name);
        let removed = self.bucket.remove_text(&key);
        looked.and(removed)?;
        self.compare_owner()
    }

    fn look(&self, folder: &Path, key: &Path, name: &str) -> io::Result<()> {
        let part = self.bucket.get(key, 7, 5)?;
        if part.as_deref() != PROBE_BYTES.get(7..12) {
            return Err(
                StoreError::plain("it does not return the bytes that were written", key.to_string()).into()
            );
        }
        let listed = self
            .bucket
            .list(&format!("{folder}/"), |found| (found.location.filename() == Some(name)).then_some(()))?;
        if listed.is_empty() {
            return Err(StoreError::plain("it does not list what was written", key.to_string()).into());
        }
        Ok(())
    }

    /// Stores the bytes of the data directory in the bucket, then removes them there, under a
    /// shared lock. Returns whether there were any.
    ///
    /// # Errors
    /// `InvalidData` if the bytes are damaged. They stay.
    pub fn move_to_bucket(
        &self,
        hash: &BlobHash,
        lock: impl FnOnce() -> io::Result<File>,
    ) -> io::Result<bool> {
        let path = self.disk.path(hash);
        if !path.is_file() {
            return Ok(false);
        }
        self.own_key(PUT_OWNED)?;
        let _pending = self.put_file(hash, &path)?;
        let _lock = lock()?;
        self.disk.forget(hash)?;
        Ok(true)
    }
}

fn name_of(node: Option<&NodeName>) -> &str {
    node.map_or(ALONE, NodeName::as_str)
}

impl BlobStore for S3Blobs {
    fn try_turn(&self) -> io::Result<Option<File>> {
        self.disk.try_turn()
    }

    fn try_lock(&self, hold: Hold) -> io::Result<Option<File>> {
        self.disk.try_lock(hold)
    }

    fn belongs_since(&self, epoch: i64, now: Timestamp) -> io::Result<Timestamp> {
        self.check()?;
        let since = self.database_since(epoch, now)?;
        // The bytes in the data directory have a time of their own.
        Ok(self.disk.belongs_since(epoch, now)?.max(since))
    }

    fn check(&self) -> io::Result<()> {
        self.own_key(REMOVAL_OWNED)
    }

    fn threads(&self) -> Option<Handle> {
        self.bucket.runtime().ok().cloned()
    }

    fn prepare(&self, hash: &BlobHash, staged: &FilePath) -> io::Result<Prepared> {
        self.own_key(PUT_OWNED)?;
        let existed = self.stored_at(hash)?.is_some();
        fail_points::reach(fail_points::BEFORE_BLOB);
        let pending = self.put_file(hash, staged)?;
        Ok(Prepared { existed, pending: Some(pending) })
    }

    fn begin(
        &self,
        hash: &BlobHash,
        (staged, size): (&FilePath, u64),
    ) -> io::Result<Option<Box<dyn EarlyPut>>> {
        if size <= self.bucket.part_bytes {
            return Ok(None);
        }
        self.own_key(PUT_OWNED)?;
        let existed = self.stored_at(hash)?.is_some();
        let (key, pending) = self.new_object(hash)?;
        let upload = PartsUpload::begin(&self.bucket, (key.clone(), pending), (staged, size))?;
        Ok(Some(Box::new(EarlyUpload { store: self.clone(), hash: *hash, key, size, existed, upload })))
    }

    fn put(&self, hash: &BlobHash, staged: &FilePath, prepared: &Prepared) -> io::Result<()> {
        if prepared.pending.is_none() {
            return Err(io::Error::other("the object was not put"));
        }
        if self.disk.stored_at(hash)?.is_some() {
            // Bytes of the data directory are read first, and may be damaged, too.
            self.disk.put(hash, staged, prepared)?;
        }
        fail_points::reach(fail_points::AFTER_BLOB);
        Ok(())
    }

    fn open(&self, hash: &BlobHash) -> io::Result<Option<Box<dyn Blob>>> {
        self.open_of(self.node.as_ref(), hash)
    }

    fn open_of(&self, node: Option<&NodeName>, hash: &BlobHash) -> io::Result<Option<Box<dyn Blob>>> {
        if let Some(found) = self.disk.open(hash)? {
            return Ok(Some(found));
        }
        let place = (self.folder(node, hash), hash);
        let found = S3Blob::open(&self.bucket, place, self.disk.incoming())?;
        Ok(found.map(|found| Box::new(found) as Box<dyn Blob>))
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn adopt(&self, from: Option<&NodeName>, hash: &BlobHash) -> io::Result<bool> {
        if self.disk.stored_at(hash)?.is_some() {
            return Ok(true);
        }
        let (old, own) = (self.folder(from, hash), newest(self.own_objects(hash)?));
        if old == self.own_folder(hash) {
            return Ok(own.is_some());
        }
        // Also if this node has an object: its removal may be in progress.
        let Some(found) = newest(objects_of(&self.bucket, &old, hash)?) else { return Ok(own.is_some()) };
        self.own_key(PUT_OWNED)?;
        let (key, _pending) = self.new_object(hash)?;
        let copied = self.bucket.copy(&found.key, &key)?;
        if copied {
            self.compare(&key, found.size)?;
        }
        Ok(copied)
    }

    fn probe(&self) -> Option<io::Result<()>> {
        Some(self.try_out())
    }

    fn stored_at(&self, hash: &BlobHash) -> io::Result<Option<SystemTime>> {
        let found = newest(self.own_objects(hash)?).map(|found| found.stored_at);
        Ok(self.disk.stored_at(hash)?.max(found))
    }

    fn size(&self, hash: &BlobHash) -> io::Result<Option<u64>> {
        if let Some(size) = self.disk.size(hash)? {
            return Ok(Some(size));
        }
        Ok(newest(self.own_objects(hash)?).map(|found| found.size))
    }

    fn find(&self, hash: &BlobHash) -> io::Result<FoundBlob> {
        let mut found = self.disk.find(hash)?;
        for BlobObject { name, size, stored_at, .. } in self.own_objects(hash)? {
            // After the list: an object without a record has its row already, or gets none.
            if !self.puts.contains(&name)? {
                found.copies.push(FoundCopy { object: Some(name), size, stored_at });
            }
        }
        Ok(found)
    }

    fn remove(&self, found: &FoundBlob) -> io::Result<()> {
        self.disk.remove(found)
    }

    fn purge(&self, found: &FoundBlob) -> io::Result<()> {
        self.check()?;
        let folder = self.own_folder(&found.hash);
        let mut names = found.copies.iter().filter_map(|copy| copy.object.as_deref());
        names.try_for_each(|name| self.bucket.remove(&folder.clone().join(name)))
    }

    fn tidy(&self) -> io::Result<usize> {
        self.check()?;
        self.abort_given_up()?;
        self.remove_all_replaced()
    }

    fn parts(&self) -> io::Result<Vec<u8>> {
        let mut found = self.bucket.folders(&self.own_root(), byte_of)?;
        found.extend(self.disk.parts()?);
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    fn list(&self, part: u8) -> io::Result<Vec<BlobHash>> {
        let folder = self.own(&format!("{part:02x}"));
        let mut found =
            self.bucket.list(&format!("{folder}/"), |found| hash_in(found.location.filename()?))?;
        found.extend(self.disk.list(part)?);
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }
}

/// An object that is put while its bytes arrive.
struct EarlyUpload {
    store: S3Blobs,
    hash: BlobHash,
    key: Path,
    size: u64,
    existed: bool,
    upload: PartsUpload,
}

impl EarlyPut for EarlyUpload {
    fn is_due(&self, written: u64) -> bool {
        self.upload.is_due(written)
    }

    fn advance(&mut self, written: u64) -> io::Result<()> {
        self.upload.advance(written)
    }

    fn finish(self: Box<Self>) -> io::Result<Prepared> {
        fail_points::reach(fail_points::BEFORE_BLOB);
        let pending = self.upload.finish(&self.hash)?;
        self.store.compare(&self.key, self.size)?;
        Ok(Prepared { existed: self.existed, pending: Some(pending) })
    }
}
