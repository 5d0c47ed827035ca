//! Sends the bytes of a blob.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, stream};
use prometheus_client::metrics::counter::Counter;
use tokio_util::sync::CancellationToken;

use super::blocking::blocking;
use super::spool::{MEMORY_BYTES_MAX, time_for};
use super::{ServiceError, Services};
use crate::blobs::Blob;
use crate::core::saturate;
use crate::core::shares::{Holder, Slot};
use crate::domain::file::BlobHash;
use crate::protocol::code::Code;

/// Bytes that are read at once.
const PIECE_BYTES: usize = 64 * 1024;

/// An open blob, and the place of its reader.
pub(super) struct BlobStream {
    blob: Arc<dyn Blob>,
    slot: Option<Slot>,
}

impl Services {
    /// Opens a blob of `size` bytes for a reader. `None` if it is missing or cut short.
    pub(super) async fn open_blob(
        &self,
        holder: Holder,
        hash: BlobHash,
        size: u64,
    ) -> Result<Option<BlobStream>, ServiceError> {
        let store = self.files.blobs.clone();
        let opened = blocking(move || -> io::Result<Option<Box<dyn Blob>>> {
            let Some(blob) = store.open(&hash)? else { return Ok(None) };
            Ok((blob.size()? == size).then_some(blob))
        });
        let opened = opened.await?.map_err(ServiceError::internal)?;
        opened.map(|blob| self.stream_blob(holder, blob.into(), size)).transpose()
    }

    /// Takes a place for a reader of `size` bytes, if there are many.
    pub(super) fn stream_blob(
        &self,
        holder: Holder,
        blob: Arc<dyn Blob>,
        size: u64,
    ) -> Result<BlobStream, ServiceError> {
        let is_large = size > saturate::to_u64(MEMORY_BYTES_MAX);
        let slot = is_large.then(|| self.files.downloads.enter(holder));
        let slot = slot.map(|slot| {
            let why = "too many files are being received at once; try again later";
            slot.ok_or_else(|| ServiceError::later(Code::Overloaded, why, 1_000))
        });
        Ok(BlobStream { blob, slot: slot.transpose()? })
    }
}

impl BlobStream {
    /// Returns a part in chunks, and counts them. The blob is closed when the client has received
    /// everything, has disconnected, has exceeded [`time_for`] the part, or when `lost` resolves.
    pub(super) fn pieces(
        self,
        from: u64,
        bytes: u64,
        lost: impl Future<Output = ()> + Send + 'static,
        counter: Counter,
    ) -> impl Stream<Item = io::Result<Bytes>> + 'static {
        let Self { blob, slot } = self;
        let (weak, sent) = (Arc::downgrade(&blob), CancellationToken::new());
        let ended = sent.clone().drop_guard();
        tokio::spawn(async move {
            tokio::select! {
                () = sent.cancelled() => {}
                () = tokio::time::sleep(time_for(bytes)) => {
                    tracing::debug!(bytes, "a client took too long to receive a file");
                }
                () = lost => {}
            }
            drop((blob, slot));
        });
        let end = from.saturating_add(bytes);
        stream::try_unfold((weak, from, ended, counter), move |(blob, at, ended, counter)| async move {
            let left = saturate::to_usize(end.saturating_sub(at)).min(PIECE_BYTES);
            if left == 0 {
                return Ok(None);
            }
            let Some(open) = blob.upgrade() else { return Err(io::ErrorKind::TimedOut.into()) };
            let read = blocking(move || open.read_at(at, left)).await;
            let piece = read.map_err(io::Error::other)??;
            counter.inc_by(saturate::to_u64(left));
            let next = at.saturating_add(saturate::to_u64(left));
            Ok(Some((Bytes::from(piece), (blob, next, ended, counter))))
        })
    }
}
