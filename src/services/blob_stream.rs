//! Sends the bytes of a blob.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, stream};
use prometheus_client::metrics::counter::Counter;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::spool::{MEMORY_BYTES_MAX, time_for};
use super::store_calls::{StoreCalls, away};
use super::{ServiceError, Services};
use crate::blobs::{Blob, is_away};
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
    calls: StoreCalls,
    /// The size and the hash of bytes that are compared while a client receives all of them.
    unchecked: Option<(u64, BlobHash)>,
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
        let opened = self.files.store.read(move || -> io::Result<Option<Box<dyn Blob>>> {
            let Some(blob) = store.open(&hash)? else { return Ok(None) };
            Ok((blob.size()? == size).then_some(blob))
        });
        let opened = opened.await?.map_err(unreadable)?;
        opened.map(|blob| self.stream_blob(holder, blob.into(), (size, Some(hash)))).transpose()
    }

    /// Takes a place for a reader of `size` bytes, if there are many. `hash`: if it is known.
    pub(super) fn stream_blob(
        &self,
        holder: Holder,
        blob: Arc<dyn Blob>,
        (size, hash): (u64, Option<BlobHash>),
    ) -> Result<BlobStream, ServiceError> {
        let is_large = size > saturate::to_u64(MEMORY_BYTES_MAX);
        let slot = is_large.then(|| self.files.downloads.enter(holder));
        let slot = slot.map(|slot| {
            let why = "too many files are being received at once; try again later";
            slot.ok_or_else(|| ServiceError::later(Code::Overloaded, why, 1_000))
        });
        let unchecked = hash.filter(|_| !blob.is_checked()).map(|hash| (size, hash));
        let calls = self.files.store.clone();
        Ok(BlobStream { blob, slot: slot.transpose()?, calls, unchecked })
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
        let Self { blob, slot, calls, unchecked } = self;
        let whole = unchecked.filter(|(size, _)| from == 0 && *size == bytes);
        let checking = whole.map(|(_, hash)| Checking { hash, sent: Sha256::new() });
        let (weak, sent) = (Arc::downgrade(&blob), CancellationToken::new());
        let ended = sent.clone().drop_guard();
        let closed = CancellationToken::new();
        let closes = closed.clone().drop_guard();
        tokio::spawn(async move {
            let _closes = closes;
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
        let state = (weak, from, checking, (ended, closed, counter, calls));
        stream::try_unfold(state, move |(blob, at, mut checking, held)| async move {
            let left = saturate::to_usize(end.saturating_sub(at)).min(PIECE_BYTES);
            if left == 0 {
                return Ok(None);
            }
            let Some(open) = blob.upgrade() else { return Err(io::ErrorKind::TimedOut.into()) };
            let next = at.saturating_add(saturate::to_u64(left));
            let (_, closed, counter, calls) = &held;
            let read = calls.read(move || -> io::Result<_> {
                let piece = open.read_at(at, left)?;
                checking.as_mut().map(|all| all.check(&piece, next == end)).transpose()?;
                Ok((piece, checking))
            });
            // A store may answer late, and the client may have lost its access meanwhile.
            let read = closed.run_until_cancelled(read).await.ok_or(io::ErrorKind::TimedOut)?;
            let (piece, checking) = read.map_err(io::Error::other)?.inspect_err(|error| {
                tracing::warn!(%error, "a download ends early: its bytes cannot be read");
            })?;
            counter.inc_by(saturate::to_u64(left));
            Ok(Some((Bytes::from(piece), (blob, next, checking, held))))
        })
    }
}

/// Returns the error for bytes that the store does not return.
pub(super) fn unreadable(error: io::Error) -> ServiceError {
    if is_away(&error) { away(error) } else { ServiceError::internal(error) }
}

/// The hash of all bytes of a blob, while a client receives them. The last piece of wrong bytes is
/// not sent.
struct Checking {
    hash: BlobHash,
    sent: Sha256,
}

impl Checking {
    fn check(&mut self, piece: &[u8], is_last: bool) -> io::Result<()> {
        self.sent.update(piece);
        if is_last && BlobHash(self.sent.finalize_reset().into()) != self.hash {
            tracing::error!(hash = %self.hash, "the store of files returned wrong bytes");
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(())
    }
}
