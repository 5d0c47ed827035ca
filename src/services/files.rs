//! Files in chats: announcing, reading, and the state that their transfers share.
//!
//! A row decides at each request whether a user may read a file, never the hash of its bytes. The
//! bytes of a bound file are for everyone who may read the chat, those of an unbound one for its
//! uploader alone.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI16, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use super::blob_stream::{BlobStream, unreadable};
use super::file_metrics::{FileMetrics, UploadOutcome};
use super::lfs_in_flight::InFlight;
use super::store_calls::StoreCalls;
use super::thumbnails::PictureResources;
use super::{ServiceError, Services};
use crate::actors::cache::ReadableChat;
use crate::actors::writer::commands::{BeginFile, DropFile};
use crate::blobs::{Blob, BlobStore, DiskBlobs, IncomingUploads, Uploads, is_away};
use crate::core::keyed_lock::KeyedLock;
use crate::core::limits::Limits;
use crate::core::plural;
use crate::core::shares::{Cut, Holder, Pool, PoolMetrics, PoolName, Reserved, Rules, Slots};
use crate::core::telemetry::chain;
use crate::domain::access::Credential;
use crate::domain::file::{BlobHash, FileName, StoredFile};
use crate::domain::ids::{ChatId, FileId};
use crate::domain::node::NodeName;
use crate::domain::refusal::Refusal;
use crate::protocol::code::Code;
use crate::storage::commit_log::{AVATARS_FORMAT, FILES_FORMAT, LFS_FORMAT};
use crate::storage::queries::files;

/// When a client may try again after the node of a file could not be reached, in milliseconds.
const NODE_RETRY_MS: u64 = 5_000;

/// State of file transfers; one per application.
pub struct FileResources {
    pub(super) blobs: Arc<dyn BlobStore>,
    pub(super) store: StoreCalls,
    pub(super) staged: Uploads,
    /// Uploads of objects of Git LFS.
    pub(super) incoming: IncomingUploads,
    /// The folder of the bytes, on a file system of its own or not.
    pub(super) root: PathBuf,
    /// The node that new files are assigned to. `None`: the only node.
    pub(super) node: Option<NodeName>,
    /// The version of events that all running nodes read. `None`: there is one node.
    format: Option<Arc<AtomicI16>>,
    /// Whether nodes take over repositories of each other without files (`shared_repositories`).
    shares_repositories: bool,
    pub(super) uploads: Pool,
    pub(super) uploads_of_user: Slots,
    pub(super) lfs_uploads_of_user: Slots,
    pub(super) lfs_in_flight: InFlight,
    /// Half of the operations of a store beyond the network: batches leave the rest to transfers.
    pub(super) lfs_asked: Semaphore,
    /// Held by the request that receives bytes of a file.
    pub(super) upload_locks: KeyedLock<FileId>,
    pub(super) downloads: Slots,
    pub(super) pictures: Arc<PictureResources>,
    pub(super) metrics: FileMetrics,
    /// Starts a round of removals before its time.
    pub(super) removal_due: Notify,
    /// Cancelled when the server stops: uploads end, and keep their bytes.
    pub(super) stopping: CancellationToken,
}

impl FileResources {
    /// Must be called within a runtime.
    pub fn start(
        (blobs, disk, pictures): (Arc<dyn BlobStore>, &DiskBlobs, PictureResources),
        (node, format, shares_repositories): (Option<NodeName>, Option<Arc<AtomicI16>>, bool),
        metrics: FileMetrics,
        (limits, pools): (&Limits, &PoolMetrics),
    ) -> Self {
        let patience = Duration::from_millis(limits.git_patience_ms);
        let rules = Rules::new(limits.uploads, limits.uploads_waiting, patience)
            .with_reserve(limits.uploads_reserve, Reserved::ForAll)
            .with_cut(Duration::from_millis(limits.git_starved_ms), Cut::Slow(limits.git_busy_rate));
        let at_once = limits.uploads.saturating_add(limits.uploads_waiting).saturating_mul(2);
        let downloads = Slots::new(limits.downloads, usize::MAX);
        Self {
            staged: disk.uploads(),
            incoming: disk.incoming(),
            root: disk.root().to_owned(),
            store: StoreCalls::of(blobs.as_ref(), limits),
            blobs,
            node,
            format,
            shares_repositories,
            uploads: Pool::start(rules, pools.meter(PoolName::Uploads)),
            uploads_of_user: Slots::new(at_once, limits.uploads_per_user),
            lfs_uploads_of_user: Slots::new(at_once, limits.lfs_uploads_per_user),
            lfs_in_flight: InFlight::start(),
            lfs_asked: Semaphore::new(limits.files_s3_requests.div_ceil(2)),
            upload_locks: KeyedLock::start(),
            downloads: downloads.measured(pools.meter(PoolName::Downloads)),
            pictures: Arc::new(pictures),
            metrics,
            removal_due: Notify::new(),
            stopping: CancellationToken::new(),
        }
    }

    /// Rejects new uploads, and ends those in progress. Their bytes so far stay.
    pub fn close(&self) {
        self.uploads.close();
        self.upload_locks.close();
        self.pictures.close();
        self.stopping.cancel();
    }

    /// Refuses files while a node of an earlier version runs: it shows messages without their
    /// files, and deletes messages without releasing them.
    pub(super) fn check_versions(&self) -> Result<(), Refusal> {
        match &self.format {
            Some(format) if format.load(Ordering::Relaxed) < FILES_FORMAT => Err(Refusal::Conflict(
                "a node of an earlier version runs in the cluster, which does not know files; try again when \
                 all nodes are updated",
            )),
            _ => Ok(()),
        }
    }

    /// Refuses avatars while a node of an earlier version runs: it would drop them from the users
    /// that it changes.
    pub(super) fn check_avatars(&self) -> Result<(), Refusal> {
        match &self.format {
            Some(format) if format.load(Ordering::Relaxed) < AVATARS_FORMAT => Err(Refusal::Conflict(
                "a node of an earlier version runs in the cluster, which does not know avatars; try again \
                 when all nodes are updated",
            )),
            _ => Ok(()),
        }
    }

    /// Refuses objects of Git LFS where they would be lost: with repositories that another node
    /// takes over without their objects.
    pub(super) fn check_lfs_uploads(&self) -> Result<(), Refusal> {
        if self.shares_repositories {
            return Err(Refusal::Conflict(
                "the nodes of this server share repositories and not the bytes of Git LFS, so objects cannot be \
                 uploaded; ask the operator (cluster.shared_repositories)",
            ));
        }
        self.check_lfs_versions()
    }

    /// Refuses objects of Git LFS while a node of an earlier version runs: it deletes repositories
    /// and removes bytes without knowing them.
    pub(super) fn check_lfs_versions(&self) -> Result<(), Refusal> {
        match &self.format {
            Some(format) if format.load(Ordering::Relaxed) < LFS_FORMAT => Err(Refusal::Conflict(
                "a node of an earlier version runs in the cluster, which does not know Git LFS; try again when all \
                 nodes are updated",
            )),
            _ => Ok(()),
        }
    }

    /// Returns whether this node receives the bytes of the file.
    pub(super) fn receives(&self, file: &StoredFile) -> bool {
        file.node.is_none() || file.node == self.node
    }

    /// Returns the error for bytes that only another node has.
    pub(super) fn elsewhere(file: &StoredFile) -> ServiceError {
        let why = match &file.node {
            Some(node) => format!("the node {node}, which has the bytes of this file, cannot be reached"),
            None => "the bytes of this file are missing; ask the operator to restore them".to_owned(),
        };
        ServiceError::later(Code::Overloaded, why, NODE_RETRY_MS)
    }
}

/// A file to announce, as a client sent it.
#[derive(Debug, Clone)]
pub struct FileRequest {
    pub name: String,
    pub size: u64,
}

/// A file that its reader may receive.
pub struct OpenFile {
    pub file: StoredFile,
    who: Credential,
    blob: BlobStream,
    services: Arc<Services>,
}

impl Services {
    /// Announces a file of a chat. Its bytes follow in an upload.
    pub async fn begin_file(
        &self,
        who: Credential,
        chat: ChatId,
        request: FileRequest,
    ) -> Result<FileId, ServiceError> {
        let announced = self.announce_file(who, chat, request).await;
        // Quotas, the disk and the rate. Mistakes of a client do not count.
        if matches!(&announced, Err(error) if error.retry_after_ms.is_some() || error.code == Code::TooLarge)
        {
            self.files.metrics.uploaded(UploadOutcome::Refused);
        }
        announced
    }

    async fn announce_file(
        &self,
        who: Credential,
        chat: ChatId,
        request: FileRequest,
    ) -> Result<FileId, ServiceError> {
        let name =
            FileName::parse(&request.name).map_err(|reason| Refusal::Invalid { field: "name", reason })?;
        let most = self.limits.file_bytes;
        let size = i64::try_from(request.size).ok().filter(|_| request.size <= most);
        let size = size.ok_or_else(|| {
            let most = plural::size(most);
            let why = format!("a file may have at most {most}; ask the operator (limits.file_bytes)");
            ServiceError::new(Code::TooLarge, why).at("size")
        })?;
        self.check_file_room(request.size).await?;
        let node = self.files.node.clone();
        let within_rate = self.rates.message(who.user).and_then(|()| self.files.check_versions());
        Ok(self.writer.execute(who, BeginFile { who, chat, name, size, node, within_rate }).await?)
    }

    /// Checks that the disk has room for bytes of files above its reserve.
    pub(super) async fn check_file_room(&self, bytes: u64) -> Result<(), ServiceError> {
        if self.disk_room(self.files.root.clone()).await? >= bytes.max(1) {
            return Ok(());
        }
        let why = "the server reserves its remaining disk space for chats; ask its operator to free space";
        Err(ServiceError::later(Code::ReadOnly, why, 60_000))
    }

    /// Returns the row of a file that its uploader may write to.
    pub(super) async fn file_to_upload(
        &self,
        who: Credential,
        id: FileId,
    ) -> Result<StoredFile, ServiceError> {
        let file = self.file_row(who, id).await?;
        // The login may have ended, and the user may have left the chat.
        self.readable(who, &file).await?;
        if file.uploader_id != who.user || file.was_bound {
            return Err(no_file());
        }
        Ok(file)
    }

    /// Returns a file that the caller may read now.
    ///
    /// # Errors
    /// `not_found` for all others, so that ids of files reveal nothing.
    pub async fn file(&self, who: Credential, id: FileId) -> Result<StoredFile, ServiceError> {
        let file = self.file_row(who, id).await?;
        self.readable(who, &file).await?;
        if file.is_released() || !file.was_bound && file.uploader_id != who.user {
            return Err(no_file());
        }
        Ok(file)
    }

    async fn file_row(&self, who: Credential, id: FileId) -> Result<StoredFile, ServiceError> {
        let row = self.readers.read(Holder::Account(who.user), move |db| files::shown(db, id)).await?;
        match row {
            Some(row) => Ok(row),
            // A caller without a valid login must not see 404 in place of 401.
            None => {
                self.cache.ask(who, crate::actors::cache::ChatReader).await?;
                Err(no_file())
            }
        }
    }

    async fn readable(&self, who: Credential, file: &StoredFile) -> Result<(), ServiceError> {
        match self.cache.ask(who, ReadableChat(file.chat_id)).await.map_err(ServiceError::from) {
            Ok(_) => Ok(()),
            // The file of a chat that the caller may not read does not exist for the caller. A
            // token without the scope is refused as such.
            Err(error) if error.code == Code::NotFound => Err(no_file()),
            Err(error) if error.code == Code::Forbidden => {
                self.cache.ask(who, crate::actors::cache::ChatReader).await?;
                Err(no_file())
            }
            Err(error) => Err(error),
        }
    }

    /// Opens the bytes of a file that the caller may read.
    pub async fn open_file(
        self: &Arc<Self>,
        who: Credential,
        file: StoredFile,
    ) -> Result<OpenFile, ServiceError> {
        let size = u64::try_from(file.size).unwrap_or(0);
        let (blob, hash) = self.stored_bytes(&file).await?;
        self.open_bytes(who, file, (blob, size, Some(hash)))
    }

    /// Opens the bytes of a file, if this node has all of them.
    pub(super) async fn stored_bytes(
        &self,
        file: &StoredFile,
    ) -> Result<(Arc<dyn Blob>, BlobHash), ServiceError> {
        let Some(contents) = &file.contents else {
            return Err(Refusal::Conflict("the upload of this file is not complete").into());
        };
        let (store, hash, node) = (self.files.blobs.clone(), contents.hash, file.node.clone());
        let size = u64::try_from(file.size).unwrap_or(0);
        let opened = self.files.store.read(move || -> io::Result<Option<Box<dyn Blob>>> {
            let Some(blob) = store.open_of(node.as_ref(), &hash)? else { return Ok(None) };
            Ok((blob.size()? == size).then_some(blob))
        });
        let Some(blob) = opened.await?.map_err(unreadable)? else {
            if self.files.receives(file) || self.files.blobs.is_shared() {
                tracing::error!(file.id = %file.id, %hash, "the bytes of a file are missing or cut short");
            }
            return Err(FileResources::elsewhere(file));
        };
        Ok((blob.into(), hash))
    }

    /// Returns bytes of a file that the caller may read, which take a place if there are many.
    /// `hash`: if it is known.
    pub(super) fn open_bytes(
        self: &Arc<Self>,
        who: Credential,
        file: StoredFile,
        (blob, bytes, hash): (Arc<dyn Blob>, u64, Option<BlobHash>),
    ) -> Result<OpenFile, ServiceError> {
        let blob = self.stream_blob(Holder::Account(who.user), blob, (bytes, hash))?;
        Ok(OpenFile { file, who, blob, services: self.clone() })
    }

    /// Returns the node that must answer requests of the caller about a file, if it is not this
    /// one. Bytes that this node has are served here: they are the right ones, whichever node
    /// received them. `None` for a caller who may not read the chat of the file: this node refuses.
    pub async fn node_of_file(&self, who: Credential, id: FileId) -> Option<NodeName> {
        let row = self.file_row(who, id).await.ok()?;
        self.readable(who, &row).await.ok()?;
        if self.files.receives(&row) {
            return None;
        }
        if let Some(contents) = &row.contents {
            let (store, hash, node) = (self.files.blobs.clone(), contents.hash, row.node.clone());
            let find = move || match store.open_of(node.as_ref(), &hash) {
                Ok(blob) => blob.is_some(),
                // The other node does not reach a shared store either.
                Err(error) => is_away(&error),
            };
            if self.files.store.read(find).await.is_ok_and(|is_answered| is_answered) {
                return None;
            }
        }
        row.node
    }

    /// Tests a store beyond the network, without waiting for the result: the server works without
    /// files. Must be called within a runtime.
    pub fn try_store(&self) {
        let store = self.files.blobs.clone();
        let calls = self.files.store.clone();
        tokio::spawn(async move {
            let probed = calls.read(move || store.probe()).await;
            match probed {
                Ok(None) => {}
                Ok(Some(Ok(()))) => tracing::info!("the store of files works"),
                Ok(Some(Err(error))) => {
                    tracing::error!(%error, "files cannot all be stored, read or removed until this is solved");
                }
                Err(error) => error.log_causes(),
            }
        });
    }

    /// Removes a file that no message has had, for its uploader.
    pub async fn drop_file(&self, who: Credential, id: FileId) -> Result<(), ServiceError> {
        self.writer.execute(who, DropFile { who, file: id }).await?;
        self.files.removal_due.notify_one();
        Ok(())
    }
}

/// Resolves when the caller may not read the file any more.
async fn access_lost(services: &Services, who: Credential, id: FileId) {
    let every = Duration::from_millis(services.limits.git_access_ms.max(1));
    loop {
        tokio::time::sleep(every).await;
        match services.file(who, id).await {
            Err(ServiceError { code: Code::Unauthenticated | Code::Forbidden | Code::NotFound, .. }) => {
                return;
            }
            Err(error) => {
                let error = chain(&error);
                tracing::debug!(error = %error, "cannot check the access of a download");
            }
            Ok(_) => {}
        }
    }
}

pub(super) fn no_file() -> ServiceError {
    Refusal::NotFound("file").into()
}

impl OpenFile {
    /// Returns a part of the file in chunks, while the caller may read the file.
    pub fn pieces(self, from: u64, bytes: u64) -> impl Stream<Item = io::Result<Bytes>> + 'static {
        let Self { file, who, blob, services } = self;
        let counter = services.files.metrics.bytes_out.clone();
        let lost = async move {
            access_lost(&services, who, file.id).await;
            let user_id = who.user.0;
            tracing::info!(user_id, file.id = %file.id, "ending a download: its client lost access");
        };
        blob.pieces(from, bytes, lost, counter)
    }
}
