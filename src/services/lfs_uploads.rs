//! Receives an object of Git LFS.
//!
//! Invariants
//! * All bytes are received and hashed before the repository has the object, whatever other
//!   repositories have.
//! * The blob is durable before its row. The lock of the store is held from the one to the other,
//!   also when the client leaves.
//! * Two uploads of the same object do not touch each other: each has a file of its own.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use tokio_util::sync::CancellationToken;

use super::blocking::blocking;
use super::git_pools::no_permit;
use super::lfs::BatchedObject;
use super::lfs_metrics::ObjectOutcome;
use super::uploads::{BUFFER_BYTES, CHECKED_BYTES, io_error};
use super::{ServiceError, Services};
use crate::actors::cache::RepositoryView;
use crate::actors::writer::CommandError;
use crate::actors::writer::commands::AddLfsObject;
use crate::blobs::{Arrived, Hold, Incoming};
use crate::core::fail_points;
use crate::core::saturate;
use crate::core::shares::{Client, Direction, Holder, Share};
use crate::domain::access::Credential;
use crate::domain::file::BlobHash;
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
    pub size: Option<u64>,
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
        let own = self.files.lfs_uploads_of_user.enter(Holder::Account(who.user));
        let received = match &own {
            Some(_) => self.receive_lfs_object(who, client, (view, object), &mut body).await,
            None => Err(ServiceError::later(Code::RateLimited, TOO_MANY, 1_000)),
        };
        let is_broken = matches!(&received, Err(error) if error.code == Code::BadRequest);
        if received.is_err() && !is_broken {
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
        (view, object): (&RepositoryView, ObjectUpload),
        body: &mut (impl Stream<Item = io::Result<Bytes>> + Unpin),
    ) -> Result<(), ServiceError> {
        self.git.check_stored_here(&view.repository)?;
        self.files.check_lfs_versions()?;
        let most = self.limits.lfs_object_bytes;
        self.check_lfs_room(view, object).await?;
        let pool = &self.files.uploads;
        let share = pool.enter(client).await;
        let share =
            share.map_err(|refused| no_permit(pool.patience(), refused, "too many uploads at once"))?;
        self.check_file_room(object.size.unwrap_or(1)).await?;
        let lost = CancellationToken::new();
        let _watch = self.entitlement(Some(who), view, Act::Push).watch(lost.clone());
        let uploads = self.files.incoming.clone();
        let incoming = blocking(move || uploads.begin()).await?.map_err(io_error)?;
        let received = self.receive_object(incoming, (&share, &lost), object.size.unwrap_or(most), body);
        let incoming = received.await?;
        drop(share);
        // The client may leave: the blob must not lose its lock before its row is committed.
        let (services, repository) = (self.clone(), view.repository.id);
        let finished =
            tokio::spawn(async move { services.finish_object(who, repository, object, incoming).await });
        finished.await.map_err(ServiceError::internal)?
    }

    /// Checks the quotas before the bytes arrive. The command that adds the object decides.
    async fn check_lfs_room(&self, view: &RepositoryView, object: ObjectUpload) -> Result<(), ServiceError> {
        if self.lfs_object(view, object.oid).await.is_ok() {
            // It counts already. Its bytes may be missing on disk.
            return Ok(());
        }
        let mut room = self.lfs_room(view).await?;
        match self.take_room(&mut room, object.size.unwrap_or(1)) {
            Ok(()) => Ok(()),
            Err(BatchedObject::Refused { why, .. }) => Err(ServiceError::new(Code::TooLarge, why)),
            Err(BatchedObject::Transfer(_) | BatchedObject::Present) => Ok(()),
        }
    }

    /// Writes the bytes to disk as they arrive, at most `most`.
    async fn receive_object(
        &self,
        mut incoming: Incoming,
        (share, lost): (&Share, &CancellationToken),
        most: u64,
        body: &mut (impl Stream<Item = io::Result<Bytes>> + Unpin),
    ) -> Result<Incoming, ServiceError> {
        let (mut buffer, mut left, mut unchecked) = (BytesMut::new(), most, 0_u64);
        loop {
            let next = tokio::select! {
                biased;
                () = lost.cancelled() => {
                    let why = "the upload ended: you may not push to this repository any more";
                    return Err(ServiceError::new(Code::Forbidden, why));
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
                let write = move || incoming.write(&bytes).map(|()| incoming);
                incoming = blocking(write).await?.map_err(io_error)?;
            }
            if next.is_none() {
                return Ok(incoming);
            }
            if unchecked >= CHECKED_BYTES {
                unchecked = 0;
                self.check_file_room(1).await?;
            }
        }
    }

    /// Makes the bytes a blob, and gives the repository the object.
    async fn finish_object(
        &self,
        who: Credential,
        repository: RepositoryId,
        object: ObjectUpload,
        incoming: Incoming,
    ) -> Result<(), ServiceError> {
        let arrived = blocking(move || incoming.finish()).await?.map_err(io_error)?;
        check_arrived(&arrived, object)?;
        let blob_lock = self.blob_lock(Hold::Shared).await?.ok_or_else(|| {
            let why = "bytes of files are being removed; push again";
            ServiceError::later(Code::Overloaded, why, 1_000)
        })?;
        let (store, hash) = (self.files.blobs.clone(), object.oid);
        // The lock is held while the blob is put, also when this task ends.
        let put = move || -> io::Result<_> {
            let existed = store.stored_at(&hash)?.is_some();
            store.put(&hash, arrived.staged.path())?;
            Ok((blob_lock, arrived, existed))
        };
        let (blob_lock, arrived, existed) = blocking(put).await?.map_err(io_error)?;
        let command = AddLfsObject {
            who,
            repository,
            contents: arrived.contents.clone(),
            size: i64::try_from(arrived.size).unwrap_or(i64::MAX),
            node: self.git.node.clone(),
            is_known_to_nodes: self.files.check_lfs_versions(),
        };
        let added = self.writer.execute(who, command).await;
        drop(blob_lock);
        fail_points::reach(fail_points::BEFORE_UNSTAGING);
        blocking(move || drop(arrived)).await?;
        if matches!(added, Err(CommandError::Refused(_))) && !existed {
            // No quota counts these bytes. The rows are read again before they are removed.
            self.remove_unused(vec![hash], None).await?;
        }
        Ok(added?)
    }
}

/// Checks that the bytes are those of the object.
fn check_arrived(arrived: &Arrived, object: ObjectUpload) -> Result<(), ServiceError> {
    if let Some(size) = object.size
        && size != arrived.size
    {
        let why = format!("{} bytes arrived, and the object has {size}; push again", arrived.size);
        return Err(ServiceError::new(Code::Validation, why));
    }
    if arrived.contents.hash != object.oid {
        let why = format!("the bytes that arrived have the SHA-256 {}; push again", arrived.contents.hash);
        return Err(ServiceError::new(Code::Validation, why));
    }
    Ok(())
}
