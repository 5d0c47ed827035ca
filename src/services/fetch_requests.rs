//! Spools fetch requests that are too large for memory: a clone of 100,000 refs names each of them.
//!
//! Invariant: a request holds at most [`MEMORY_BYTES`] of memory. The rest is on disk, and counts
//! against `limits.git_spool_bytes` as responses do.

use std::io::{self, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncSeekExt, AsyncWriteExt, ReadBuf};

use super::spool::pieces_of;
use super::{ServiceError, Services};
use crate::core::saturate;
use crate::core::shares::{Holder, Slot};
use crate::git::store::StoreError;
use crate::git::transfer::Input;
use crate::protocol::code::Code;

/// Bytes held in memory: the whole request, or the chunk on its way to disk.
const MEMORY_BYTES: usize = 64 * 1024;
/// Disk space is reserved in steps of this size.
const STEP_BYTES: usize = 1024 * 1024;

/// The part of a request that is on disk. Dropping this value deletes the file.
struct OnDisk {
    file: File,
    bytes: usize,
    space: Vec<Slot>,
}

impl AsyncRead for OnDisk {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.file).poll_read(context, buffer)
    }
}

impl Services {
    /// Reads a request to its end, up to `limits.git_request_bytes`.
    ///
    /// # Errors
    /// Fails if the request is larger, ends early, or finds no space.
    pub async fn spool_request(&self, holder: Holder, input: &mut Input) -> Result<Input, ServiceError> {
        let max = self.limits.git_request_bytes;
        let mut buffer = Vec::with_capacity(MEMORY_BYTES);
        let mut on_disk: Option<OnDisk> = None;
        loop {
            let room = saturate::to_u64(MEMORY_BYTES.saturating_sub(buffer.len()));
            let read = (&mut *input).take(room).read_buf(&mut buffer).await;
            let read = read.map_err(|error| {
                ServiceError::new(Code::BadRequest, format!("the body ended early: {error}"))
            })?;
            let before = on_disk.as_ref().map_or(0, |on_disk| on_disk.bytes);
            if before.saturating_add(buffer.len()) > max {
                let detail = format!(
                    "the request names too many objects: it may have {max} bytes; fetch some of the refs, then the others"
                );
                return Err(ServiceError::new(Code::TooLarge, detail));
            }
            match (&mut on_disk, read) {
                (None, 0) => return Ok(Input::plain(io::Cursor::new(buffer))),
                (Some(_), 0) => break,
                _ if buffer.len() < MEMORY_BYTES => continue,
                (Some(on_disk), _) => self.put(holder, on_disk, &buffer).await?,
                (none, _) => {
                    let file = File::from_std(self.scratch_file(saturate::to_u64(max)).await?);
                    let new = none.insert(OnDisk { file, bytes: 0, space: Vec::new() });
                    self.put(holder, new, &buffer).await?;
                }
            }
            buffer.clear();
        }
        let Some(mut on_disk) = on_disk else { return Ok(Input::plain(tokio::io::empty())) };
        self.put(holder, &mut on_disk, &buffer).await?;
        let file = &mut on_disk.file;
        file.flush().await.map_err(StoreError::Io)?;
        file.seek(SeekFrom::Start(0)).await.map_err(StoreError::Io)?;
        Ok(Input::plain(on_disk))
    }

    async fn put(&self, holder: Holder, on_disk: &mut OnDisk, bytes: &[u8]) -> Result<(), ServiceError> {
        on_disk.bytes = on_disk.bytes.saturating_add(bytes.len());
        while on_disk.space.len() < on_disk.bytes.div_ceil(STEP_BYTES) {
            on_disk.space.push(self.git.spool_permit(holder, pieces_of(STEP_BYTES))?);
        }
        Ok(on_disk.file.write_all(bytes).await.map_err(StoreError::Io)?)
    }
}
