//! Uploads: receives the bytes of announced files, over any number of requests.
//!
//! Invariants
//! * One request at a time writes to a file. Its writes keep the lock, also when its client left.
//! * The offset of an upload is the size of the staged bytes, which are fsynced when a request
//!   ends.
//! * A file is complete once its row names the blob. The blob is durable before.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};

use super::blocking::blocking;
use super::file_metrics::UploadOutcome;
use super::files::{FileResources, no_file};
use super::git_pools::no_permit;
use super::git_resources::stopping;
use super::store_calls::away;
use super::{ServiceError, Services};
use crate::actors::writer::commands::CompleteFile;
use crate::blobs::{Hold, Upload, is_away, is_full};
use crate::core::fail_points;
use crate::core::keyed_lock::KeyedLockGuard;
use crate::core::saturate;
use crate::core::shares::{Client, Direction, Holder, Share};
use crate::domain::access::Credential;
use crate::domain::file::StoredFile;
use crate::domain::ids::FileId;
use crate::protocol::code::Code;

/// Bytes that are written at once.
pub(super) const BUFFER_BYTES: usize = 256 * 1024;
/// The disk space is checked again after this many bytes.
pub(super) const CHECKED_BYTES: u64 = 8 * 1024 * 1024;
/// Bytes that are read from a refused request of a user who has all places.
const DRAINED_BYTES: u64 = 4 * 1024 * 1024;

const TOO_MANY: &str = "you have too many uploads at once; finish others first (limits.uploads_per_user)";

/// The part of a file that a request sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The offset of the first byte. `None`: where the upload goes on.
    pub at: Option<u64>,
    /// The number of bytes. `None`: up to the end of the file.
    pub bytes: Option<u64>,
    /// The size of the file, if the request states it.
    pub size: Option<u64>,
}

impl Part {
    /// The whole file. `size`: the size of the body, if the request states it.
    pub fn whole(size: Option<u64>) -> Self {
        Self { at: Some(0), bytes: None, size }
    }
}

/// An announced file, and the number of its bytes that have arrived.
#[derive(Debug, Clone)]
pub struct UploadState {
    pub file: StoredFile,
    pub offset: u64,
}

/// The staged bytes of a file, and the right to write them.
struct Staged {
    upload: Upload,
    _lock: KeyedLockGuard<FileId>,
}

impl Services {
    /// Returns how far an upload is.
    pub async fn upload_state(&self, who: Credential, id: FileId) -> Result<UploadState, ServiceError> {
        let file = self.file_to_upload(who, id).await?;
        let offset = self.offset_of(&file).await?;
        Ok(UploadState { file, offset })
    }

    async fn offset_of(&self, file: &StoredFile) -> Result<u64, ServiceError> {
        if file.contents.is_some() {
            return Ok(size_of(file));
        }
        if !self.files.receives(file) {
            return Err(FileResources::elsewhere(file));
        }
        let (staged, key) = (self.files.staged.clone(), file.upload_key());
        blocking(move || staged.size(key)).await?.map_err(io_error)
    }

    /// Receives a part of a file. The upload is complete with the last byte.
    pub async fn upload(
        self: &Arc<Self>,
        who: Credential,
        client: Client,
        (id, part): (FileId, Part),
        mut body: impl Stream<Item = io::Result<Bytes>> + Unpin,
    ) -> Result<UploadState, ServiceError> {
        // Held until the body is read: it costs the same whether it is refused or not.
        let own = self.files.uploads_of_user.enter(Holder::Account(who.user));
        let received = match &own {
            Some(_) => self.upload_part(who, client, (id, part), &mut body).await,
            None => Err(ServiceError::later(Code::RateLimited, TOO_MANY, 1_000)),
        };
        let is_unread = match &received {
            Ok(state) => state.file.contents.is_some(),
            Err(error) => error.code != Code::BadRequest,
        };
        if is_unread {
            let most = if own.is_some() { self.limits.file_bytes } else { DRAINED_BYTES };
            self.drain(&mut body, most).await;
        }
        self.files.metrics.uploaded(match &received {
            Ok(state) if state.file.contents.is_some() => UploadOutcome::Complete,
            Ok(_) => UploadOutcome::Partial,
            Err(error) if matches!(error.code, Code::BadRequest) => UploadOutcome::Broken,
            Err(_) => UploadOutcome::Refused,
        });
        received
    }

    async fn upload_part(
        self: &Arc<Self>,
        who: Credential,
        client: Client,
        (id, part): (FileId, Part),
        body: &mut (impl Stream<Item = io::Result<Bytes>> + Unpin),
    ) -> Result<UploadState, ServiceError> {
        // Before the waits: the wait of a stranger would cost a place in the queue.
        self.file_to_upload(who, id).await?;
        let lock = self.upload_lock(id).await?;
        let pool = &self.files.uploads;
        let share = pool.enter(client).await;
        let share =
            share.map_err(|refused| no_permit(pool.patience(), refused, "too many uploads at once"))?;
        // Another request may have completed it meanwhile.
        let file = self.file_to_upload(who, id).await?;
        let offset = self.offset_of(&file).await?;
        if file.contents.is_some() {
            // The answer to the request that completed it was lost.
            check_size(&part, size_of(&file))?;
            return Ok(UploadState { file, offset });
        }
        let (at, bytes) = placed(&part, size_of(&file), offset)?;
        self.check_file_room(bytes.saturating_sub(offset.saturating_sub(at))).await?;
        let (staged, key) = (self.files.staged.clone(), file.upload_key());
        let upload = blocking(move || staged.begin(key, at)).await?.map_err(io_error)?;
        let mut staged = Some(Staged { upload, _lock: lock });
        let received = self.receive(&mut staged, &share, bytes, body).await;
        drop(share);
        let Some(staged) = staged else { return received.and(Err(no_file())) };
        let synced = blocking(move || staged.upload.sync().map(|()| staged)).await?;
        let staged = received.and(synced.map_err(io_error))?;
        if at.saturating_add(bytes) < size_of(&file) {
            return Ok(UploadState { offset: at.saturating_add(bytes), file });
        }
        let size = size_of(&file);
        // The client may leave: the blob must not lose its lock before its row is committed.
        let services = self.clone();
        let finished = tokio::spawn(async move { services.finish_upload(who, file, staged).await });
        let file = finished.await.map_err(ServiceError::internal)??;
        Ok(UploadState { file, offset: size })
    }

    async fn upload_lock(&self, id: FileId) -> Result<KeyedLockGuard<FileId>, ServiceError> {
        let patience = Duration::from_millis(self.limits.upload_idle_ms);
        let lock = tokio::time::timeout(patience, self.files.upload_locks.lock(id)).await;
        let busy = |_| {
            let why = "another request sends bytes of this file; try again later";
            ServiceError::later(Code::Overloaded, why, 1_000)
        };
        lock.map_err(busy)?.ok_or_else(stopping)
    }

    /// Writes the announced bytes to disk as they arrive. Those that arrived before an error are
    /// written, too.
    async fn receive(
        &self,
        staged: &mut Option<Staged>,
        share: &Share,
        bytes: u64,
        body: &mut (impl Stream<Item = io::Result<Bytes>> + Unpin),
    ) -> Result<(), ServiceError> {
        let (mut buffer, mut left, mut unchecked) = (BytesMut::new(), bytes, 0_u64);
        loop {
            let (chunk, outcome) = match self.next_chunk(share, body).await {
                Ok(Some(chunk)) if saturate::to_u64(chunk.len()) > left => {
                    let why = "the body is longer than the announced part of the file";
                    (Bytes::new(), Some(Err(ServiceError::new(Code::TooLarge, why))))
                }
                Ok(Some(chunk)) => (chunk, None),
                // All bytes are there, whatever follows.
                Ok(None) | Err(_) if left == 0 => (Bytes::new(), Some(Ok(()))),
                Ok(None) => (Bytes::new(), Some(Err(ended_early()))),
                Err(error) => (Bytes::new(), Some(Err(error))),
            };
            share.pace().moved(Direction::In, chunk.len());
            self.files.metrics.received(chunk.len());
            left = left.saturating_sub(saturate::to_u64(chunk.len()));
            unchecked = unchecked.saturating_add(saturate::to_u64(chunk.len()));
            buffer.extend_from_slice(&chunk);
            if buffer.len() >= BUFFER_BYTES || outcome.is_some() && !buffer.is_empty() {
                write(staged, buffer.split().freeze()).await?;
            }
            if let Some(outcome) = outcome {
                return outcome;
            }
            if unchecked >= CHECKED_BYTES {
                unchecked = 0;
                self.check_file_room(1).await?;
            }
        }
    }

    /// Waits for the next bytes of the client, while it sends and no other client needs its place.
    pub(super) async fn next_chunk(
        &self,
        share: &Share,
        body: &mut (impl Stream<Item = io::Result<Bytes>> + Unpin),
    ) -> Result<Option<Bytes>, ServiceError> {
        let idle = Duration::from_millis(self.limits.upload_idle_ms);
        let next = tokio::time::timeout(idle, share.pace().wait(Direction::In, body.next()));
        tokio::select! {
            biased;
            next = next => match next {
                Ok(Some(Ok(chunk))) => Ok(Some(chunk)),
                Ok(None) => Ok(None),
                Ok(Some(Err(_))) => Err(ended_early()),
                Err(_) => Err(ServiceError::new(Code::BadRequest, "the body stopped arriving; resume the upload")),
            },
            () = share.cut().cancelled() => {
                let why = "the upload was slow while others were waiting; resume it";
                Err(ServiceError::later(Code::Overloaded, why, 1_000))
            }
            () = self.files.stopping.cancelled() => Err(stopping()),
        }
    }

    /// Reads the rest of a request, up to `most` bytes: a client that is still sending would lose
    /// the answer.
    pub(super) async fn drain(&self, body: &mut (impl Stream<Item = io::Result<Bytes>> + Unpin), most: u64) {
        let rest = async {
            let mut left = most;
            while let Some(Ok(chunk)) = body.next().await {
                left = left.saturating_sub(saturate::to_u64(chunk.len()));
                if left == 0 {
                    return;
                }
            }
        };
        let within = Duration::from_millis(self.limits.upload_idle_ms);
        let rest = tokio::time::timeout(within, rest);
        if self.files.stopping.run_until_cancelled(rest).await != Some(Ok(())) {
            tracing::debug!("the client of a refused upload is still sending, and loses the answer");
        }
    }

    /// Makes the bytes a blob, and completes the file.
    async fn finish_upload(
        &self,
        who: Credential,
        file: StoredFile,
        staged: Staged,
    ) -> Result<StoredFile, ServiceError> {
        let (id, key, size) = (file.id, file.upload_key(), size_of(&file));
        let uploads = self.files.staged.clone();
        let examined = blocking(move || uploads.examine(key)).await?.map_err(io_error)?;
        let (contents, found) = examined;
        if found != size {
            let why = format!("{found} of {size} bytes are stored; resume the upload");
            return Err(ServiceError::new(Code::Conflict, why));
        }
        let (store, path, hash) = (self.files.blobs.clone(), self.files.staged.path(key), contents.hash);
        // Without the lock: the bytes may be sent to a store beyond the network.
        let (sent, bytes) = (store.clone(), path.clone());
        let prepared = self.files.store.put(move || sent.prepare(&hash, &bytes)).await?.map_err(io_error)?;
        let blob_lock = self.blob_lock(Hold::Shared).await?.ok_or_else(|| {
            let why = "bytes of files are being removed; resume the upload";
            ServiceError::later(Code::Overloaded, why, 1_000)
        })?;
        // The lock is held while the blob is put, also when this task ends.
        let put = blocking(move || store.put(&hash, &path, &prepared).map(|()| (blob_lock, prepared)));
        let (blob_lock, prepared) = put.await?.map_err(io_error)?;
        let completed = self.writer.execute(who, CompleteFile { who, file: id, contents }).await;
        drop((blob_lock, prepared));
        let file = completed?;
        fail_points::reach(fail_points::BEFORE_UNSTAGING);
        let uploads = self.files.staged.clone();
        let unstaged = blocking(move || uploads.remove(key)).await?;
        if let Err(error) = unstaged {
            tracing::warn!(file.id = %id, %error, "the staged bytes of a complete file cannot be removed");
        }
        drop(staged);
        Ok(file)
    }
}

async fn write(staged: &mut Option<Staged>, bytes: Bytes) -> Result<(), ServiceError> {
    let Some(mut open) = staged.take() else { return Err(no_file()) };
    // The lock moves with the file: a write continues when its caller is dropped.
    let written = blocking(move || {
        let written = open.upload.write(&bytes);
        (open, written)
    });
    let (open, written) = written.await?;
    *staged = Some(open);
    written.map_err(io_error)
}

/// Checks that the request is for a file of this size.
fn check_size(part: &Part, size: u64) -> Result<(), ServiceError> {
    if part.size.is_some_and(|stated| stated != size) {
        let why = format!("the file was announced with {size} bytes");
        return Err(ServiceError::new(Code::Conflict, why));
    }
    Ok(())
}

/// Returns offset and number of the bytes that a request sends.
fn placed(part: &Part, size: u64, offset: u64) -> Result<(u64, u64), ServiceError> {
    check_size(part, size)?;
    let at = part.at.unwrap_or(offset);
    // A restart replaces everything; other bytes that arrived are not sent again.
    if at != offset && at != 0 {
        return Err(ServiceError::new(Code::Conflict, format!("the upload goes on at offset {offset}")));
    }
    let left = size.saturating_sub(at);
    let bytes = part.bytes.unwrap_or(left);
    if bytes > left {
        let why = format!("the part ends after the {size} bytes of the file");
        return Err(ServiceError::new(Code::TooLarge, why));
    }
    Ok((at, bytes))
}

fn size_of(file: &StoredFile) -> u64 {
    u64::try_from(file.size).unwrap_or(0)
}

fn ended_early() -> ServiceError {
    ServiceError::new(Code::BadRequest, "the body ended early; resume the upload")
}

pub(super) fn io_error(error: io::Error) -> ServiceError {
    if is_away(&error) {
        return away(error);
    }
    if is_full(&error) {
        return ServiceError::later(Code::ReadOnly, "the server is out of disk space", 1_000);
    }
    ServiceError::new(Code::Internal, "the bytes of the file cannot be stored").because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn part_goes_on_at_the_offset_or_replaces_everything() {
        let part = |at, bytes, size| Part { at, bytes, size };
        let of = |part: Part, offset| placed(&part, 100, offset).map_err(|error| error.code);
        assert_eq!(of(Part::whole(None), 0), Ok((0, 100)));
        assert_eq!(of(Part::whole(Some(100)), 40), Ok((0, 100)));
        assert_eq!(of(Part::whole(Some(99)), 40), Err(Code::Conflict));
        assert_eq!(of(part(Some(40), Some(60), Some(100)), 40), Ok((40, 60)));
        assert_eq!(of(part(Some(40), Some(10), None), 40), Ok((40, 10)));
        assert_eq!(of(part(None, Some(0), Some(100)), 40), Ok((40, 0)));
        for at in [39, 41, 101] {
            assert_eq!(of(part(Some(at), None, None), 40), Err(Code::Conflict), "{at}");
        }
        assert_eq!(of(part(Some(40), Some(61), None), 40), Err(Code::TooLarge));
        assert_eq!(of(part(Some(40), Some(60), Some(101)), 40), Err(Code::Conflict));
    }
}
