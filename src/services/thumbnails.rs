//! Thumbnails of pictures in chats: made on the first request, kept in a cache on disk.
//!
//! The rights are those of the file, checked at each request, and again after a wait. A picture
//! that cannot be made is remembered, so that its file starts no child again for a while.
//!
//! Invariant: a request has a place of the pool before it takes the lock of its key, and a task of
//! its own uses both until the picture is stored. So a client that leaves wastes no child, and the
//! tasks and the waits for a lock are at most as many as the places.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tracing::{Instrument, Span};

use super::blocking::blocking;
use super::files::OpenFile;
use super::git_pools::no_permit;
use super::git_resources::stopping;
use super::thumbnail_metrics::{PictureMetrics, PictureOutcome};
use super::uploads::io_error;
use super::{ServiceError, Services};
use crate::blobs::{Blob, BlobStore, Hold};
use crate::core::keyed_lock::{KeyedLock, KeyedLockGuard};
use crate::core::limits::Limits;
use crate::core::saturate;
use crate::core::shares::{Client, Holder, Pool, PoolMetrics, PoolName, Rules, Share, Slot, Slots};
use crate::core::telemetry::chain;
use crate::domain::access::Credential;
use crate::domain::file::{BlobHash, StoredFile};
use crate::domain::media;
use crate::pictures::cache::{Cached, Failure, PictureCache, PictureKey};
use crate::pictures::child::{ChildError, Picture, PictureProgram};
use crate::pictures::{PictureType, Shape};
use crate::protocol::code::Code;

/// The sides of the boxes in which thumbnails fit, in pixels: a row of a chat, and its larger view.
pub const SIDES: [u32; 2] = [360, 1080];
/// Bytes of a thumbnail. A JPEG of the larger size has some 200 KiB.
const THUMBNAIL_BYTES_MAX: u64 = 2 * 1024 * 1024;
/// Bytes at the beginning that state the type of a picture.
const TYPE_BYTES: usize = 8;
/// Thumbnails in memory that clients receive, because the cache did not store them; and those of an
/// account. Together 128 MiB.
const IN_MEMORY_MAX: usize = 64;
const IN_MEMORY_PER_ACCOUNT_MAX: usize = 8;
/// Pictures for avatars that are received or wait for their child, and those of an account.
/// Together 64 times `limits.avatar_bytes`.
const RECEIVED_MAX: usize = 64;
const RECEIVED_PER_ACCOUNT_MAX: usize = 4;
/// When a client may try again after a child that did not end in time, in milliseconds.
const LATE_RETRY_MS: u64 = 10_000;

const NOT_A_PICTURE: &str = "the file is not a PNG, JPEG, GIF or WebP, so it has no thumbnail";
const DAMAGED: &str = "the picture is damaged, so it has no thumbnail";
const TOO_LARGE: &str =
    "the picture is too large for a thumbnail (limits.thumbnail_pixels, thumbnail_memory_bytes)";
pub(super) const TOO_MANY: &str = "too many pictures are being made at once; try again later";

/// The makers and the cache of smaller pictures; one per application.
pub struct PictureResources {
    pub(super) program: PictureProgram,
    pub(super) cache: PictureCache,
    pub(super) pool: Pool,
    /// Held by the task that makes a picture.
    locks: KeyedLock<PictureKey>,
    in_memory: Slots,
    /// Taken before the body of an avatar is read.
    pub(super) received: Slots,
    patience: Duration,
    pub(super) metrics: PictureMetrics,
}

impl PictureResources {
    /// `program`: the `netbit` whose children make pictures; `None`: the running one. Must be
    /// called within a runtime.
    pub fn start(
        data_dir: &Path,
        program: Option<&Path>,
        metrics: PictureMetrics,
        (limits, pools): (&Limits, &PoolMetrics),
    ) -> Self {
        let patience = Duration::from_millis(limits.thumbnails_patience_ms);
        let rules = Rules::new(limits.thumbnails, limits.thumbnails_waiting, patience);
        Self {
            program: PictureProgram::new(program, limits),
            cache: PictureCache::open(data_dir, limits),
            pool: Pool::start(rules, pools.meter(PoolName::Pictures)),
            locks: KeyedLock::start(),
            in_memory: Slots::new(IN_MEMORY_MAX, IN_MEMORY_PER_ACCOUNT_MAX),
            received: Slots::new(RECEIVED_MAX, RECEIVED_PER_ACCOUNT_MAX),
            patience: patience.saturating_add(Duration::from_millis(limits.thumbnail_ms)),
            metrics,
        }
    }

    pub(super) fn close(&self) {
        self.pool.close();
        self.locks.close();
    }

    async fn lock(&self, key: PictureKey) -> Result<KeyedLockGuard<PictureKey>, ServiceError> {
        let lock = tokio::time::timeout(self.patience, self.locks.lock(key)).await;
        let late = |_| ServiceError::later(Code::Overloaded, TOO_MANY, LATE_RETRY_MS);
        lock.map_err(late)?.ok_or_else(stopping)
    }

    async fn share(&self, client: Client) -> Result<Share, ServiceError> {
        let entered = self.pool.enter(client).await;
        entered.map_err(|refused| no_permit(self.pool.patience(), refused, TOO_MANY))
    }

    /// Removes the pictures of files that are removed. Blocks the thread. The hourly search removes
    /// what this cannot.
    pub(super) fn forget(&self, hashes: &[BlobHash]) {
        if let Err(error) = self.cache.remove(hashes) {
            tracing::warn!(%error, "the thumbnails of removed files cannot be removed; this is retried hourly");
        }
    }
}

/// The answer to a request for a thumbnail.
#[expect(clippy::large_enum_variant, reason = "one for each request, and not kept")]
pub enum Thumbnail {
    Made {
        open: OpenFile,
        bytes: u64,
        picture_type: PictureType,
    },
    /// The file has none, with the reason as a sentence.
    None(&'static str),
}

impl Services {
    /// Returns the thumbnail of a file that the caller may read. `side`: one of [`SIDES`].
    ///
    /// Its child must be started on a thread of the HTTP server ([`PictureProgram::make`]).
    pub async fn thumbnail(
        self: &Arc<Self>,
        who: Credential,
        client: Client,
        file: StoredFile,
        side: u32,
    ) -> Result<Thumbnail, ServiceError> {
        let Some(contents) = &file.contents else {
            return Err(ServiceError::new(Code::Conflict, "the upload of this file is not complete"));
        };
        if !media::is_decoded(&contents.media_type) {
            return Ok(Thumbnail::None(NOT_A_PICTURE));
        }
        let key = PictureKey { hash: contents.hash, chat: file.chat_id, side };
        let made = match self.cached_picture(key).await? {
            Some(cached) => cached,
            None => {
                let share = self.files.pictures.share(client).await?;
                let (services, wanted, holder) = (self.clone(), file.clone(), Holder::Account(who.user));
                let making = async move {
                    let _share = share;
                    services.thumbnail_in_turn(holder, &wanted, key).await
                };
                let made = tokio::spawn(making.instrument(Span::current())).await;
                let made = made.map_err(ServiceError::internal)??;
                // Access may be lost since the wait began.
                self.file(who, file.id).await?;
                made
            }
        };
        let (blob, picture_type) = match made {
            Found::Picture(blob, picture_type) => (blob, picture_type),
            Found::Failed(Failure::Damaged) => return Ok(Thumbnail::None(DAMAGED)),
            Found::Failed(Failure::TooLarge) => return Ok(Thumbnail::None(TOO_LARGE)),
        };
        let bytes = blob.size().map_err(io_error)?;
        let open = self.open_bytes(who, file, (blob, bytes, None))?;
        Ok(Thumbnail::Made { open, bytes, picture_type })
    }

    /// Returns what the cache has. A file in it that is not a picture, or cannot be read, counts as
    /// missing.
    async fn cached_picture(&self, key: PictureKey) -> Result<Option<Found>, ServiceError> {
        let cache = self.files.pictures.cache.clone();
        let found = blocking(move || cached(&cache, key)).await?;
        if found.is_some() {
            self.files.pictures.metrics.ended(PictureOutcome::Cached);
        }
        Ok(found)
    }

    /// Makes a thumbnail in a child and stores it, unless another request has made it meanwhile.
    async fn thumbnail_in_turn(
        &self,
        holder: Holder,
        file: &StoredFile,
        key: PictureKey,
    ) -> Result<Found, ServiceError> {
        let _lock = self.files.pictures.lock(key).await?;
        if let Some(found) = self.cached_picture(key).await? {
            return Ok(found);
        }
        let (blob, _) = self.stored_bytes(file).await?;
        if !blob.is_checked() {
            // It is copied to the disk, and needs a place of the pool meanwhile.
            let size = u64::try_from(file.size).unwrap_or(u64::MAX);
            if size > self.limits.thumbnail_memory_bytes {
                return Ok(Found::Failed(Failure::TooLarge));
            }
            self.check_file_room(size).await?;
        }
        let input = self.files.store.read(move || blob.file()).await?.map_err(io_error)?;
        let picture = match self.run_child(input, Shape::Within(key.side), THUMBNAIL_BYTES_MAX).await? {
            Ok(picture) => picture,
            Err(failure) => {
                self.store_thumbnail((key, file), Err(failure)).await;
                return Ok(Found::Failed(failure));
            }
        };
        let Picture { bytes, picture_type } = picture;
        let bytes = Arc::<[u8]>::from(bytes);
        if let Some(stored) = self.store_thumbnail((key, file), Ok(bytes.clone())).await {
            return Ok(stored);
        }
        let slot = self.files.pictures.in_memory.enter(holder);
        let slot = slot.ok_or_else(|| ServiceError::later(Code::Overloaded, TOO_MANY, LATE_RETRY_MS))?;
        Ok(Found::Picture(Arc::new(MadePicture::InMemory { bytes, _slot: slot }), picture_type))
    }

    /// Makes a picture in a child, for which the client waits its turn.
    pub(super) async fn make_picture(
        &self,
        client: Client,
        input: File,
        shape: Shape,
        bytes_max: u64,
    ) -> Result<Result<Picture, Failure>, ServiceError> {
        let _share = self.files.pictures.share(client).await?;
        self.run_child(input, shape, bytes_max).await
    }

    async fn run_child(
        &self,
        input: File,
        shape: Shape,
        bytes_max: u64,
    ) -> Result<Result<Picture, Failure>, ServiceError> {
        let pictures = &self.files.pictures;
        let made = pictures.program.make(input, shape, bytes_max);
        let made = self.files.stopping.run_until_cancelled(made).await.ok_or_else(stopping)?;
        pictures.metrics.ended(match &made {
            Ok(_) => PictureOutcome::Made,
            Err(ChildError::Damaged) => PictureOutcome::Damaged,
            Err(ChildError::TooLarge) => PictureOutcome::TooLarge,
            Err(ChildError::Exhausted(_)) => PictureOutcome::Exhausted,
            Err(ChildError::Late | ChildError::Io(_)) => PictureOutcome::Failed,
        });
        match made {
            Ok(picture) => Ok(Ok(picture)),
            Err(ChildError::Damaged) => Ok(Err(Failure::Damaged)),
            Err(ChildError::TooLarge) => Ok(Err(Failure::TooLarge)),
            Err(error @ ChildError::Exhausted(_)) => {
                tracing::info!(error = %chain(&error), "a picture was not made");
                Ok(Err(Failure::TooLarge))
            }
            Err(error @ ChildError::Late) => {
                let late = ServiceError::later(Code::Overloaded, TOO_MANY, LATE_RETRY_MS);
                Err(late.because(error))
            }
            Err(error @ ChildError::Io(_)) => {
                Err(ServiceError::new(Code::Internal, "the picture cannot be made").because(error))
            }
        }
    }

    /// Stores the outcome for later requests. Returns the picture as it is stored. Without room, or
    /// while bytes of files are removed, nothing is stored, and it is made again.
    async fn store_thumbnail(
        &self,
        (key, file): (PictureKey, &StoredFile),
        made: Result<Arc<[u8]>, Failure>,
    ) -> Option<Found> {
        let (store, cache) = (self.files.blobs.clone(), self.files.pictures.cache.clone());
        let node = file.node.clone();
        let bytes = made.as_ref().map_or(1, |bytes| saturate::to_u64(bytes.len()));
        let room = self.disk_room(cache.folder().to_owned()).await;
        if room.is_ok_and(|room| room < bytes) {
            return None;
        }
        let stored = self.files.store.read(move || -> io::Result<Option<Found>> {
            // Before the lock, under which no request runs.
            if store.is_shared() && store.open_of(node.as_ref(), &key.hash)?.is_none() {
                return Ok(None);
            }
            // Removal holds the lock alone, so nothing is stored for a blob that is removed. The
            // hourly search removes the picture of a blob that another node has removed.
            let Some(no_removal) = store.try_lock(Hold::Shared)? else { return Ok(None) };
            if !store.is_shared() && store.open_of(node.as_ref(), &key.hash)?.is_none() {
                return Ok(None);
            }
            let put = match made {
                Ok(bytes) => cache.put(key, &bytes),
                Err(failure) => cache.put_failure(key, failure),
            };
            // Opened before it may be removed again.
            let stored = put.map(|()| cached(&cache, key));
            drop(no_removal);
            cache.trim(key.hash)?;
            stored
        });
        let stored = match stored.await {
            Ok(Ok(stored)) => stored,
            Ok(Err(error)) => {
                tracing::warn!(%error, "a thumbnail cannot be stored");
                None
            }
            Err(error) => {
                error.log_causes();
                None
            }
        };
        self.count_thumbnails();
        stored
    }

    /// Keeps the cache within its limit, and removes pictures of blobs that do not exist: another
    /// node of a shared folder has removed them, or their removal failed. Called hourly.
    pub(super) async fn tidy_thumbnails(&self) -> Result<(), ServiceError> {
        for part in PictureCache::parts() {
            let store = self.files.blobs.clone();
            // A list of the network takes long. A picture that is made meanwhile may be removed.
            let lock = if store.is_shared() { None } else { self.blob_lock(Hold::Shared).await? };
            if lock.is_none() && !store.is_shared() {
                continue;
            }
            let cache = self.files.pictures.cache.clone();
            let tidied = self.files.store.read(move || {
                let _no_removal = lock;
                let stored = StoredBlobs { store: store.as_ref(), listed: RefCell::default() };
                cache.tidy(part, |hash| stored.may_exist(hash))
            });
            tidied.await?.map_err(io_error)?;
        }
        self.count_thumbnails();
        Ok(())
    }

    fn count_thumbnails(&self) {
        let PictureResources { cache, metrics, .. } = &*self.files.pictures;
        metrics.cache_bytes.set(i64::try_from(cache.bytes()).unwrap_or(i64::MAX));
    }
}

/// The blobs that a store has.
struct StoredBlobs<'a> {
    store: &'a dyn BlobStore,
    /// The blobs of each part of a store beyond the network, which is asked once for all pictures.
    /// `None`: it could not be listed.
    listed: RefCell<HashMap<u8, Option<HashSet<BlobHash>>>>,
}

impl StoredBlobs<'_> {
    /// Returns whether the blob exists, or may exist after an error.
    fn may_exist(&self, hash: BlobHash) -> bool {
        if !self.store.is_shared() {
            return self.store.stored_at(&hash).map_or(true, |stored| stored.is_some());
        }
        let part = hash.0[0];
        let mut listed = self.listed.borrow_mut();
        let list = || match self.store.list(part) {
            Ok(found) => Some(HashSet::from_iter(found)),
            Err(error) => {
                tracing::debug!(part, %error, "a part of the blobs cannot be listed");
                None
            }
        };
        let of_part = listed.entry(part).or_insert_with(list);
        of_part.as_ref().is_none_or(|blobs| blobs.contains(&hash))
    }
}

/// A picture, or the reason why there is none.
enum Found {
    Picture(Arc<dyn Blob>, PictureType),
    Failed(Failure),
}

/// Returns what the cache has, and nothing if it cannot be read. Blocks the thread.
fn cached(cache: &PictureCache, key: PictureKey) -> Option<Found> {
    let find = || -> io::Result<Option<Found>> {
        match cache.find(key)? {
            Some(Cached::Failed(failure)) => Ok(Some(Found::Failed(failure))),
            Some(Cached::Picture(file)) => {
                let mut head = [0; TYPE_BYTES];
                let read = file.read_at(&mut head, 0)?;
                let picture_type = PictureType::of(head.get(..read).unwrap_or_default());
                Ok(picture_type.map(|kind| Found::Picture(Arc::new(MadePicture::OnDisk(file)), kind)))
            }
            None => Ok(None),
        }
    };
    find().unwrap_or_else(|error| {
        tracing::warn!(hash = %key.hash, %error, "a thumbnail on disk cannot be read; it is made again");
        None
    })
}

/// The bytes of a picture that was made.
#[derive(Debug)]
enum MadePicture {
    OnDisk(File),
    /// With a place, until it is sent.
    InMemory {
        bytes: Arc<[u8]>,
        _slot: Slot,
    },
}

impl Blob for MadePicture {
    fn size(&self) -> io::Result<u64> {
        match self {
            Self::OnDisk(file) => Ok(file.metadata()?.len()),
            Self::InMemory { bytes, .. } => Ok(saturate::to_u64(bytes.len())),
        }
    }

    fn read_at(&self, at: u64, bytes: usize) -> io::Result<Vec<u8>> {
        match self {
            Self::OnDisk(file) => {
                let mut read = vec![0; bytes];
                file.read_exact_at(&mut read, at)?;
                Ok(read)
            }
            Self::InMemory { bytes: all, .. } => {
                let at = saturate::to_usize(at);
                let part = all.get(at..at.saturating_add(bytes));
                part.map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
            }
        }
    }

    fn file(&self) -> io::Result<File> {
        match self {
            Self::OnDisk(file) => file.try_clone(),
            Self::InMemory { .. } => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}
