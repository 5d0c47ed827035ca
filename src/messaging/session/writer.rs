//! The writing half of a socket: sends all waiting frames of the outbox in one write where they
//! fit.

use std::future::poll_fn;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use super::super::admission::ConnectionSlot;
use crate::actors::outbox::{Drained, OutboxDrain};

/// Frames per system call (Linux accepts up to 1024, IOV_MAX).
const SLICES_MAX: usize = 64;

/// After a batch of at most this many frames, a larger buffer is freed.
const FEW: usize = 4;

/// Writes until the outbox is closed or the peer accepts nothing for `stall`; then cancels
/// `closed`.
pub(super) async fn run(
    mut socket: impl AsyncWrite + Unpin,
    mut outbox: OutboxDrain,
    stall: Duration,
    closed: CancellationToken,
    slot: ConnectionSlot,
) {
    // The connection counts until its last bytes are sent.
    let _slot = slot;
    let _cancel = closed.drop_guard();
    let mut frames = Vec::new();
    loop {
        let drained = outbox.next(&mut frames).await;
        let count = frames.len();
        if write_all(&mut socket, &mut outbox, &mut frames, stall).await.is_err() {
            return;
        }
        if matches!(drained, Drained::Closed(_)) {
            // The peer may have closed already.
            drop(tokio::time::timeout(stall, socket.shutdown()).await);
            return;
        }
        let keep = if count > FEW { SLICES_MAX } else { FEW };
        if frames.capacity() > keep {
            frames = Vec::new();
        }
    }
}

/// Makes one system call. Its slices live on the stack, not in the session's task: idle sessions
/// stay small.
fn write_some(
    socket: Pin<&mut impl AsyncWrite>,
    context: &mut Context<'_>,
    frames: &[Bytes],
) -> Poll<std::io::Result<usize>> {
    let mut slices = [IoSlice::new(&[]); SLICES_MAX];
    for (slice, frame) in slices.iter_mut().zip(frames) {
        *slice = IoSlice::new(frame);
    }
    let count = frames.len().min(SLICES_MAX);
    socket.poll_write_vectored(context, slices.get(..count).unwrap_or_default())
}

/// The peer is gone or accepts nothing.
struct Stalled;

async fn write_all(
    socket: &mut (impl AsyncWrite + Unpin),
    outbox: &mut OutboxDrain,
    frames: &mut Vec<Bytes>,
    stall: Duration,
) -> Result<(), Stalled> {
    let mut first = 0;
    while let Some(rest) = frames.get_mut(first..).filter(|rest| !rest.is_empty()) {
        let write = poll_fn(|context| write_some(Pin::new(&mut *socket), context, rest));
        let written = tokio::time::timeout(stall, write).await;
        let Ok(Ok(mut written @ 1..)) = written else { return Err(Stalled) };
        let (bytes, mut done) = (written, 0);
        for frame in rest {
            let taken = written.min(frame.len());
            frame.advance(taken);
            written -= taken;
            if !frame.is_empty() {
                break;
            }
            done += 1;
            if written == 0 {
                break;
            }
        }
        outbox.written(done, bytes);
        first += done;
    }
    frames.clear();
    // TLS may buffer the last bytes.
    match tokio::time::timeout(stall, socket.flush()).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(Stalled),
    }
}
