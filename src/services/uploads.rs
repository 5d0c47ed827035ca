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
use super::{ServiceError, Services};
use crate::actors::writer::commands::CompleteFile;
use crate::blobs::{Hold, Upload};
use crate::core::fail_points;
use crate::core::keyed_lock::KeyedLockGuard;
use crate::core::saturate;
use crate::core::shares::{Client, Direction, Holder, Share};
use crate::domain::access::Credential;
use crate::domain::file::StoredFile;
use crate::domain::ids::FileId;
use crate::domain::refusal::Refusal;
use crate::protocol::code::Code;

/// Bytes that are written at once.
const BUFFER_BYTES: usize = 256 * 1024;
/// The disk space is checked again after this many bytes.
const CHECKED_BYTES: u64 = 8 * 1024 * 1024;

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
    /// The whole file.
    pub const WHOLE: Self = Self { at: Some(0), bytes: None, size: None };
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
        let (staged, id) = (self.files.staged.clone(), file.id);
        blocking(move || staged.size(id)).await?.map_err(io_error)
    }

    /// Receives a part of a file. The upload is complete with the last byte.
    pub async fn upload(
        self: &Arc<Self>,
        who: Credential,
        client: Client,
        (id, part): (FileId, Part),
        mut body: impl Stream<Item = io::Result<Bytes>> + Unpin,
    ) -> Result<UploadState, ServiceError> {
        let received = self.upload_part(who, client, (id, part), &mut body).await;
        if received.as_ref().is_err_and(|error| error.code != Code::BadRequest) {
            self.drain(&mut body).await;
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
        let _own = self.files.uploads_of_user.enter(Holder::Account(who.user)).ok_or_else(|| {
            let why = "you have too many uploads at once; finish others first (limits.uploads_per_user)";
            ServiceError::later(Code::RateLimited, why, 1_000)
        })?;
        // Before the waits: the wait of a stranger would cost a place in the queue.
        self.file_to_upload(who, id).await?;
        let lock = self.upload_lock(id).await?;
        let pool = &self.files.uploads;
        let share = pool.enter(client).await;
        let share =
            share.map_err(|refused| no_permit(pool.patience(), refused, "too many uploads at once"))?;
        // Another request may have completed it meanwhile.
        let file = self.file_to_upload(who, id).await?;
        if file.contents.is_some() {
            return Err(Refusal::Conflict("the upload is complete").into());
        }
        let offset = self.offset_of(&file).await?;
        let (at, bytes) = placed(&part, size_of(&file), offset)?;
        self.check_file_room(bytes.saturating_sub(offset.saturating_sub(at))).await?;
        let staged = self.files.staged.clone();
        let upload = blocking(move || staged.begin(id, at)).await?.map_err(io_error)?;
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
    async fn next_chunk(
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

    /// Reads the rest of a refused request: a client that is still sending would lose the answer.
    async fn drain(&self, body: &mut (impl Stream<Item = io::Result<Bytes>> + Unpin)) {
        let rest = async {
            let mut left = self.limits.file_bytes;
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
        let (store, uploads, id) = (self.files.blobs.clone(), self.files.staged.clone(), file.id);
        let put = blocking(move || -> io::Result<_> {
            let contents = uploads.examine(id)?;
            let lock = store.lock(Hold::Shared)?;
            store.put(&contents.hash, &uploads.path(id))?;
            Ok((contents, lock))
        });
        let (contents, blob_lock) = put.await?.map_err(io_error)?;
        let completed = self.writer.execute(who, CompleteFile { who, file: id, contents }).await;
        drop(blob_lock);
        let file = completed?;
        fail_points::reach(fail_points::BEFORE_UNSTAGING);
        let uploads = self.files.staged.clone();
        let unstaged = blocking(move || uploads.remove(id)).await?;
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

/// Returns offset and number of the bytes that a request sends.
fn placed(part: &Part, size: u64, offset: u64) -> Result<(u64, u64), ServiceError> {
    if part.size.is_some_and(|stated| stated != size) {
        let why = format!("the file was announced with {size} bytes");
        return Err(ServiceError::new(Code::Conflict, why));
    }
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
    if error.kind() == io::ErrorKind::StorageFull {
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
        assert_eq!(of(Part::WHOLE, 0), Ok((0, 100)));
        assert_eq!(of(Part::WHOLE, 40), Ok((0, 100)));
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
