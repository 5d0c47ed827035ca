//! Large responses on disk: a response that a slow client has not received yet takes an unnamed
//! file, and no memory.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream;
use tokio_util::sync::CancellationToken;

use super::blocking::blocking;
use super::entitlement::Entitlement;
use super::{ServiceError, Services};
use crate::core::machine;
use crate::core::saturate;
use crate::core::shares::{Holder, Slot};
use crate::git::child::GitCommand;
use crate::git::run_child;
use crate::git::store::{Store, StoreError};

/// A larger response is sent from disk.
pub const MEMORY_BYTES_MAX: usize = 64 * 1024;
/// Bytes read from a file at once, and the unit in which disk space is shared.
const PIECE_BYTES: usize = 64 * 1024;
/// Minimum rate at which a client must read a response, averaged over the whole response, after the
/// first minute.
pub(super) const BYTES_PER_SECOND: u64 = 8 * 1024;
const TIME_MIN: Duration = Duration::from_secs(60);

/// A response on disk. Dropping this value deletes the file.
pub struct Spooled {
    file: Arc<File>,
    pub size_bytes: u64,
    /// Whether the whole response is UTF-8 without NUL.
    pub is_text: bool,
    permit: Slot,
    entitlement: Option<Box<Entitlement>>,
}

impl Spooled {
    /// Ends the response when this access is lost.
    pub(super) fn with_entitlement(self, entitlement: Entitlement) -> Self {
        Self { entitlement: Some(Box::new(entitlement)), ..self }
    }

    /// Returns the first bytes of the response, at most `bytes_max`.
    pub(super) async fn first_bytes(&self, bytes_max: usize) -> Result<Vec<u8>, ServiceError> {
        let (file, bytes) = (self.file.clone(), saturate::to_usize(self.size_bytes).min(bytes_max));
        blocking_io(move || read_piece(&file, 0, bytes)).await
    }

    /// Returns the response in chunks. File and space are released when the client has received
    /// everything, has disconnected, has exceeded [`time_for`] the response, or has lost its
    /// access.
    pub fn pieces(self) -> impl Stream<Item = io::Result<Bytes>> + 'static {
        let Self { file, size_bytes, permit, entitlement, .. } = self;
        let weak = Arc::downgrade(&file);
        let sent = CancellationToken::new();
        let ended = sent.clone().drop_guard();
        tokio::spawn(async move {
            let kept = (file, permit);
            let lost = async {
                match entitlement {
                    Some(entitlement) => entitlement.lost().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = sent.cancelled() => {}
                () = lost => {}
                () = tokio::time::sleep(time_for(size_bytes)) => {
                    tracing::debug!(size_bytes, "a client took too long to read a response");
                }
            }
            drop(kept);
        });
        stream::try_unfold((weak, 0_u64, ended), move |(file, at, permit)| async move {
            let left = saturate::to_usize(size_bytes.saturating_sub(at)).min(PIECE_BYTES);
            if left == 0 {
                return Ok(None);
            }
            let Some(open) = file.upgrade() else { return Err(io::ErrorKind::TimedOut.into()) };
            let read = blocking(move || read_piece(&open, at, left)).await;
            let piece = read.map_err(io::Error::other)??;
            Ok(Some((Bytes::from(piece), (file, at.saturating_add(left as u64), permit))))
        })
    }
}

/// Returns the time that a client may take for a response of `size_bytes`.
pub fn time_for(size_bytes: u64) -> Duration {
    TIME_MIN.saturating_add(Duration::from_secs(size_bytes / BYTES_PER_SECOND))
}

impl Services {
    /// Moves a response to disk.
    pub async fn spool(
        &self,
        holder: Holder,
        answer: Vec<u8>,
        is_text: bool,
    ) -> Result<Spooled, ServiceError> {
        let permit = self.git.spool_permit(holder, pieces_of(answer.len()))?;
        let store = self.git.store.clone();
        let size_bytes = saturate::to_u64(answer.len());
        let reserve_bytes = self.limits.disk_reserve_bytes;
        let write = move || -> io::Result<Arc<File>> {
            let mut file = scratch(&store, size_bytes, reserve_bytes)?;
            file.write_all(&answer)?;
            Ok(Arc::new(file))
        };
        let file = blocking_io(write).await?;
        Ok(Spooled { file, size_bytes, is_text, permit, entitlement: None })
    }

    /// Runs a child process that writes a response of `size_bytes` to disk.
    pub(super) async fn spool_output(
        &self,
        holder: Holder,
        command: GitCommand,
        size_bytes: usize,
    ) -> Result<Spooled, ServiceError> {
        let permit = self.git.spool_permit(holder, pieces_of(size_bytes))?;
        let (store, reserve_bytes) = (self.git.store.clone(), self.limits.disk_reserve_bytes);
        let wanted = saturate::to_u64(size_bytes);
        let file = blocking_io(move || scratch(&store, wanted, reserve_bytes)).await?;
        let output = file.try_clone().map_err(StoreError::Io)?;
        let within = Duration::from_millis(self.limits.git_compute_ms);
        // The child holds a file that is stored as a delta in memory as a whole, so few may run at
        // once.
        let _permit = self.git.browse_permit(holder).await?;
        run_child::run_to_file(command, output, within).await?;
        let file = Arc::new(file);
        let written = file.clone();
        let is_text = blocking_io(move || {
            let length = written.metadata()?.len();
            if length != wanted {
                return Err(io::Error::other(format!("git wrote {length} bytes of {wanted}")));
            }
            is_text(&written, length)
        })
        .await?;
        Ok(Spooled { file, size_bytes: wanted, is_text, permit, entitlement: None })
    }
}

impl Services {
    /// Returns an unnamed file, if the disk has room for `bytes`.
    pub(super) async fn scratch_file(&self, bytes: u64) -> Result<File, ServiceError> {
        let (store, reserve_bytes) = (self.git.store.clone(), self.limits.disk_reserve_bytes);
        blocking_io(move || scratch(&store, bytes, reserve_bytes)).await
    }
}

/// Returns an unnamed file, if the disk has room for it above the reserve for chats.
fn scratch(store: &Store, size_bytes: u64, reserve_bytes: u64) -> io::Result<File> {
    if machine::space(store.root())?.above_reserve(reserve_bytes) < size_bytes {
        return Err(io::ErrorKind::StorageFull.into());
    }
    store.scratch_file()
}

async fn blocking_io<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, ServiceError> {
    Ok(blocking(work).await?.map_err(StoreError::Io)?)
}

/// Returns the number of pieces that `bytes` take.
pub(super) fn pieces_of(bytes: usize) -> usize {
    bytes.div_ceil(PIECE_BYTES)
}

fn read_piece(file: &File, at: u64, bytes: usize) -> io::Result<Vec<u8>> {
    let mut piece = vec![0; bytes];
    file.read_exact_at(&mut piece, at)?;
    Ok(piece)
}

fn is_text(file: &File, length: u64) -> io::Result<bool> {
    let (mut check, mut at) = (TextCheck::default(), 0);
    while at < length && !check.failed {
        let left = saturate::to_usize(length.saturating_sub(at)).min(PIECE_BYTES);
        check.feed(&read_piece(file, at, left)?);
        at = at.saturating_add(left as u64);
    }
    Ok(check.is_text())
}

/// Checks chunk by chunk whether bytes are UTF-8 without NUL.
#[derive(Debug, Default)]
pub struct TextCheck {
    /// A character that continues in the next chunk.
    begun: Vec<u8>,
    failed: bool,
}

impl TextCheck {
    pub fn feed(&mut self, piece: &[u8]) {
        self.begun.extend_from_slice(piece);
        self.failed |= piece.contains(&0);
        match std::str::from_utf8(&self.begun) {
            Ok(_) => self.begun.clear(),
            Err(error) if error.error_len().is_none() => drop(self.begun.drain(..error.valid_up_to())),
            Err(_) => self.failed = true,
        }
    }

    pub fn is_text(&self) -> bool {
        !self.failed && self.begun.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_has_a_minute_plus_a_second_per_8_kib() {
        assert_eq!(time_for(0), TIME_MIN);
        assert_eq!(time_for(64 * 1024 * 1024), TIME_MIN + Duration::from_secs(8192));
    }

    #[test]
    fn text_check_gives_same_result_for_every_chunk_size() {
        let is_text = |bytes: &[u8], step: usize| {
            let mut check = TextCheck::default();
            bytes.chunks(step).for_each(|piece| check.feed(piece));
            check.is_text()
        };
        for step in 1..9 {
            assert!(is_text("<b>ü€😀</b>".as_bytes(), step) && is_text(b"", step));
            assert!(
                !is_text(b"a\0b", step)
                    && !is_text(b"\xff\xfe", step)
                    && !is_text("a€".as_bytes().split_at(2).0, step)
            );
        }
    }
}
