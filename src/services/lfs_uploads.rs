//! Receives an object of Git LFS.
//!
//! Invariants
//! * All bytes are received and hashed before the repository has the object, whatever other
//!   repositories have.
//! * The blob is durable before its row. The lock of the store is held from the one to the other,
//!   also when the client leaves.
//! * Two uploads of the same object do not touch each other: each has a file of its own.
//! * The bytes of an upload count in the quotas from its begin on (`lfs_in_flight`).
//! * The bytes that arrived replace those of the blob: a push repairs a damaged blob.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::blob_stream::unreadable;
use super::blocking::blocking;
use super::git_pools::no_permit;
use super::git_resources::stopping;
use super::lfs::{BatchRoom, BatchedObject};
use super::lfs_in_flight::{Announced, InFlightUpload};
use super::lfs_metrics::ObjectOutcome;
use super::spool::BYTES_PER_SECOND;
use super::uploads::{BUFFER_BYTES, CHECKED_BYTES, io_error};
use super::{ServiceError, Services};
use crate::actors::cache::RepositoryView;
use crate::actors::writer::CommandError;
use crate::actors::writer::commands::AddLfsObject;
use crate::blobs::{Arrived, EarlyPut, Hold, Incoming};
use crate::core::fail_points;
use crate::core::saturate;
use crate::core::shares::{Client, Direction, Holder, PoolRefusal, Share, Slot};
use crate::core::telemetry::chain;
use crate::domain::access::Credential;
use crate::domain::file::{BlobHash, charged_bytes};
use crate::domain::ids::RepositoryId;
use crate::domain::permission::project::Act;
use crate::protocol::code::Code;

/// Bytes that are read from a refused request, so that its client reads the answer.
const DRAINED_BYTES: u64 = 4 * 1024 * 1024;

const TOO_MANY: &str = "you send too many objects at once; try again (limits.lfs_uploads_per_user)";

/// An object that a client sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectUpload {
    pub oid: BlobHash,
    /// The size that the batch named, or that of the body.
    pub size: u64,
}

impl Services {
    /// Receives an object for a repository that the caller may push to.
    pub async fn upload_lfs_object(
        self: &Arc<Self>,
        who: Credential,
        client: Client,
        (view, object): (&RepositoryView, ObjectUpload),
        mut body: impl Stream<Item = io::Result<Bytes>> + Unpin,
    ) -> Result<(), ServiceError> {
        let own = self.files.lfs_uploads_of_user.enter(Holder::Account(who.user)).map(Arc::new);
        let received = match &own {
            Some(own) => self.receive_lfs_object(who, client, own.clone(), (view, object), &mut body).await,
            None => Err(ServiceError::later(Code::RateLimited, TOO_MANY, 1_000)),
        };
        let is_broken = matches!(&received, Err(error) if error.code == Code::BadRequest);
        // A client that lost access may hold its connection for long; it gets the answer now.
        let is_lost = matches!(&received, Err(error) if error.code == Code::Forbidden);
        if received.is_err() && !is_broken && !is_lost {
            self.drain(&mut body, DRAINED_BYTES).await;
        }
        self.files.metrics.lfs.uploaded(match &received {
            Ok(()) => ObjectOutcome::Complete,
            Err(_) if is_broken => ObjectOutcome::Broken,
            Err(_) => ObjectOutcome::Refused,
        });
        received
    }

    async fn receive_lfs_object(
        self: &Arc<Self>,
        who: Credential,
        client: Client,
        own: Arc<Slot>,
        (view, object): (&RepositoryView, ObjectUpload),
        body: &mut (impl Stream<Item = io::Result<Bytes>> + Unpin),
    ) -> Result<(), ServiceError> {
        self.git.check_stored_here(&view.repository)?;
        self.files.check_lfs_uploads()?;
        self.take_lfs_room(self.empty_lfs_room(), object.size)?;
        self.check_store().await?;
        let (pool, wait) = (&self.files.uploads, self.lfs_wait());
        let share = timeout(wait, pool.enter(client)).await.unwrap_or(Err(PoolRefusal::Patience));
        let share = share.map_err(|refused| no_permit(wait, refused, "too many uploads at once"))?;
        let in_flight = self.count_in_flight(view, object).await?;
        self.check_file_room(in_flight.unwritten()).await?;
        let lost = CancellationToken::new();
        let _watch = self.entitlement(Some(who), view, Act::Push).watch(lost.clone());
        let uploads = self.files.incoming.clone();
        let incoming = blocking(move || uploads.begin()).await?.map_err(io_error)?;
        let early = self.begin_early(&incoming, object).await?;
        let mut upload = OpenUpload { incoming, in_flight, early, written: 0 };
        upload = self.receive_object(upload, (&share, &lost), object.size, body).await?;
        // The client may leave: the blob must not lose its lock before its row is committed. The
        // places are held until then, so that clients which leave do not exceed them.
        let (services, repository) = (self.clone(), view.repository.id);
        let finished = tokio::spawn(async move {
            let _places = (own, share);
            services.finish_object(who, repository, object, upload).await
        });
        finished.await.map_err(ServiceError::internal)?
    }

    fn take_lfs_room(&self, mut room: BatchRoom, bytes: u64) -> Result<(), ServiceError> {
        match self.take_room(&mut room, bytes) {
            Err(BatchedObject::Refused { why, .. }) => Err(ServiceError::new(Code::TooLarge, why)),
            Ok(()) | Err(BatchedObject::Transfer(_) | BatchedObject::Present) => Ok(()),
        }
    }

    /// Counts the upload, if the quotas have room for it beside all others in progress. The command
    /// that adds the object decides.
    async fn count_in_flight(
        &self,
        view: &RepositoryView,
        object: ObjectUpload,
    ) -> Result<InFlightUpload, ServiceError> {
        let charged = charged_bytes(i64::try_from(object.size).unwrap_or(i64::MAX));
        let (room, charged) = match self.lfs_object(view, object.oid).await {
            // It counts already. Its bytes may be missing or damaged on disk.
            Ok(_) => (self.empty_lfs_room(), 0),
            Err(error) if error.code == Code::NotFound => {
                (self.lfs_room(view).await?, u64::try_from(charged).unwrap_or(0))
            }
            Err(error) => return Err(error),
        };
        self.take_lfs_room(room, object.size)?;
        let announced = Announced { repository: view.repository.id, owner: view.project.owner_id, charged };
        // The disk is checked again after as many bytes: a larger promise would refuse others for
        // bytes that may never arrive.
        let promised = object.size.min(CHECKED_BYTES);
        let entered = self.files.lfs_in_flight.enter(announced, promised).await;
        let (upload, others) = entered.ok_or_else(stopping)?;
        self.take_lfs_room(room.without(others), object.size).map_err(|refused| {
            let why = format!("{refused}; uploads in progress count, too");
            ServiceError::later(Code::TooLarge, why, 1_000)
        })?;
        Ok(upload)
    }

    /// Returns how long an upload waits for a place, and for removals. Its client waits for 30 s.
    pub(super) fn lfs_wait(&self) -> Duration {
        Duration::from_millis(self.limits.lfs_wait_ms).min(self.files.uploads.patience())
    }

    /// Writes the bytes to disk as they arrive, at most `most`. The client must send
    /// [`BYTES_PER_SECOND`] on average.
    async fn receive_object(
        &self,
        mut upload: OpenUpload,
        (share, lost): (&Share, &CancellationToken),
        most: u64,
        body: &mut (impl Stream<Item = io::Result<Bytes>> + Unpin),
    ) -> Result<OpenUpload, ServiceError> {
        let (begun, grace) = (Instant::now(), Duration::from_millis(self.limits.lfs_upload_grace_ms));
        let (mut buffer, mut left, mut unchecked) = (BytesMut::new(), most, 0_u64);
        loop {
            let received = Duration::from_secs(most.saturating_sub(left) / BYTES_PER_SECOND);
            let next = tokio::select! {
                biased;
                () = lost.cancelled() => {
                    let why = "the upload ended: you may not push to this repository any more";
                    return Err(ServiceError::new(Code::Forbidden, why));
                }
                () = sleep_until(begun + grace.saturating_add(received)) => {
                    let why = "the body arrives too slowly; push again (limits.lfs_upload_grace_ms)";
                    return Err(ServiceError::new(Code::BadRequest, why));
                }
                next = self.next_chunk(share, body) => next?,
            };
            if let Some(chunk) = &next {
                let bytes = saturate::to_u64(chunk.len());
                share.pace().moved(Direction::In, chunk.len());
                self.files.metrics.lfs.received(chunk.len());
                left = left.checked_sub(bytes).ok_or_else(|| {
                    ServiceError::new(Code::TooLarge, "the body is longer than the size of the object")
                })?;
                unchecked = unchecked.saturating_add(bytes);
                buffer.extend_from_slice(chunk);
            }
            if buffer.len() >= BUFFER_BYTES || next.is_none() && !buffer.is_empty() {
                let bytes = buffer.split().freeze();
                let write = move || upload.write(&bytes).map(|()| upload);
                upload = blocking(write).await?.map_err(io_error)?;
                upload = self.send_early(upload).await?;
            }
            if next.is_none() {
                return Ok(upload);
            }
            if unchecked >= CHECKED_BYTES {
                unchecked = 0;
                self.check_file_room(1).await?;
            }
        }
    }

    /// Begins to send the object to a store beyond the network while it arrives: the client waits
    /// for 30 s after its last byte.
    async fn begin_early(&self, incoming: &Incoming, object: ObjectUpload) -> Result<Early, ServiceError> {
        let (store, path) = (self.files.blobs.clone(), incoming.path().to_owned());
        if !store.is_shared() {
            return Ok(None);
        }
        let begin = move || store.begin(&object.oid, (&path, object.size));
        self.files.store.put(begin).await?.map_err(unreadable)
    }

    /// Sends what has arrived. The body is read further when the store has taken most of it.
    async fn send_early(&self, mut upload: OpenUpload) -> Result<OpenUpload, ServiceError> {
        if !upload.early.as_ref().is_some_and(|early| early.is_due(upload.written)) {
            return Ok(upload);
        }
        let send = move || -> io::Result<OpenUpload> {
            let written = upload.written;
            upload.early.as_mut().map_or(Ok(()), |early| early.advance(written))?;
            Ok(upload)
        };
        self.files.store.put(send).await?.map_err(unreadable)
    }

    /// Makes the bytes a blob, and gives the repository the object.
    async fn finish_object(
        &self,
        who: Credential,
        repository: RepositoryId,
        object: ObjectUpload,
        OpenUpload { incoming, in_flight, early, .. }: OpenUpload,
    ) -> Result<(), ServiceError> {
        let arrived = blocking(move || incoming.finish()).await?.map_err(io_error)?;
        let added = match check_arrived(&arrived, object) {
            Ok(()) => self.add_object(who, repository, (&arrived, early)).await,
            Err(refused) => Err(refused),
        };
        fail_points::reach(fail_points::BEFORE_UNSTAGING);
        blocking(move || arrived.remove()).await?;
        drop(in_flight);
        added
    }

    async fn add_object(
        &self,
        who: Credential,
        repository: RepositoryId,
        (arrived, early): (&Arrived, Early),
    ) -> Result<(), ServiceError> {
        let (store, hash, staged) =
            (self.files.blobs.clone(), arrived.contents.hash, arrived.path().to_owned());
        let (sent, path) = (store.clone(), staged.clone());
        // Without the lock: the bytes may be sent to a store beyond the network.
        let prepare = move || match early {
            Some(early) => early.finish(),
            None => sent.prepare(&hash, &path),
        };
        let prepared = self.files.store.put(prepare).await?.map_err(unreadable)?;
        let blob_lock = self.blob_lock(Hold::Shared).await?.ok_or_else(|| {
            let why = "bytes of files are being removed; push again";
            ServiceError::later(Code::Overloaded, why, 1_000)
        })?;
        // The lock is held while the blob is put, also when this task ends.
        let put = move || store.put(&hash, &staged, &prepared).map(|()| (blob_lock, prepared));
        let (blob_lock, prepared) = blocking(put).await?.map_err(io_error)?;
        let command = AddLfsObject {
            who,
            repository,
            contents: arrived.contents.clone(),
            size: i64::try_from(arrived.size).unwrap_or(i64::MAX),
            node: self.git.node.clone(),
            is_known_to_nodes: self.files.check_lfs_uploads(),
        };
        let added = self.writer.execute(who, command).await;
        let existed = prepared.existed;
        drop((blob_lock, prepared));
        // No quota counts these bytes. After `Internal` the row may be there, and the next search
        // decides.
        let is_without_row = matches!(&added, Err(error) if !matches!(error, CommandError::Internal));
        if is_without_row && !existed {
            // The rows are read again before the bytes are removed.
            if let Err(error) = self.remove_unused(vec![hash], None).await {
                let error = chain(&error);
                tracing::warn!(%hash, error = %error, "the bytes of a refused object stay until the next search");
            }
        }
        Ok(added?)
    }
}

/// An upload that is being received.
struct OpenUpload {
    incoming: Incoming,
    in_flight: InFlightUpload,
    early: Early,
    written: u64,
}

/// The upload to a store beyond the network. `None`: nothing is sent before the end.
type Early = Option<Box<dyn EarlyPut>>;

impl OpenUpload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.incoming.write(bytes)?;
        let count = saturate::to_u64(bytes.len());
        self.in_flight.wrote(count);
        self.written = self.written.saturating_add(count);
        Ok(())
    }
}

/// Checks that the bytes are those of the object.
fn check_arrived(arrived: &Arrived, object: ObjectUpload) -> Result<(), ServiceError> {
    if object.size != arrived.size {
        let why = format!("{} bytes arrived, and the object has {}; push again", arrived.size, object.size);
        return Err(ServiceError::new(Code::Validation, why));
    }
    if arrived.contents.hash != object.oid {
        let why = format!("the bytes that arrived have the SHA-256 {}; push again", arrived.contents.hash);
        return Err(ServiceError::new(Code::Validation, why));
    }
    Ok(())
}
