//! The pump from the child to the client, and the response body at its end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::Stream;
use tokio::io::AsyncReadExt;
use tokio::process::ChildStdout;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::amendment::Amendment;
use super::early::Early;
use super::framing::Framing;
use super::{BUFFER_BYTES, Shared};
use crate::core::shares::Direction;
use crate::git::metrics::Meter;
use crate::git::process::Progress;

/// How long the client may take for what was written before the child was ended by force, and for the reason.
const LAST_PATIENCE: Duration = Duration::from_secs(2);
/// actix drops what it has not written yet when a body fails: let it write first.
const FAILURE_PAUSE: Duration = Duration::from_millis(20);

/// Moves what the child writes to the client.
pub(super) struct OutputPump {
    output: ChildStdout,
    sender: mpsc::Sender<Bytes>,
    dead: CancellationToken,
    progress: Arc<Progress>,
    meter: Arc<Meter>,
    /// Output of a push whose request body is still arriving.
    early: Option<Early>,
    /// Lines for the report of a push.
    amendment: Option<Amendment>,
    /// The last bytes, held back.
    pub(super) held: BytesMut,
    framing: Framing,
    client_left: bool,
}

impl OutputPump {
    pub(super) fn new(output: ChildStdout, sender: mpsc::Sender<Bytes>, shared: &Shared) -> Self {
        Self {
            output,
            sender,
            dead: shared.dead.clone(),
            progress: shared.progress.clone(),
            meter: shared.meter.clone(),
            early: None,
            amendment: None,
            held: BytesMut::with_capacity(BUFFER_BYTES),
            framing: Framing::default(),
            client_left: false,
        }
    }

    pub(super) fn with_early(self, early: Early) -> Self {
        Self { early: Some(early), ..self }
    }

    pub(super) fn with_amendment(self, amendment: Option<Amendment>) -> Self {
        Self { amendment, ..self }
    }

    /// Moves all that the child writes, keeping the last `keep` bytes back. What comes while `refused` is set, or when
    /// the push was given up, is dropped. `to_the_end`: also when the client has left.
    pub(super) async fn run(&mut self, keep: usize, refused: &AtomicBool, to_the_end: bool) {
        loop {
            self.held.reserve(BUFFER_BYTES);
            match (&mut self.output).take(BUFFER_BYTES as u64).read_buf(&mut self.held).await {
                Ok(0) | Err(_) => {
                    self.end_report().await;
                    return;
                }
                Ok(_) => {}
            }
            if refused.load(Relaxed) || self.progress.given_up.load(Relaxed) {
                self.held.clear();
                self.amendment = None;
                continue;
            }
            let ready = self.held.split_to(self.held.len().saturating_sub(keep)).freeze();
            let ready = match &mut self.amendment {
                Some(amendment) => amendment.pass(&ready),
                None => ready,
            };
            if !ready.is_empty() {
                self.pass(ready).await;
            }
            if self.client_left && !to_the_end {
                return;
            }
        }
    }

    async fn pass(&mut self, ready: Bytes) {
        match &mut self.early {
            Some(early) if early.must_wait() => early.add(&ready),
            _ => {
                self.send_early().await;
                self.send(ready).await;
            }
        }
    }

    /// Sends what was kept while the request body was arriving.
    pub(super) async fn send_early(&mut self) {
        let kept = self.early.take().map(Early::into_bytes).unwrap_or_default();
        if !kept.is_empty() {
            self.send(kept).await;
        }
    }

    async fn end_report(&mut self) {
        let report = self.amendment.take().map(Amendment::finish).unwrap_or_default();
        if !report.is_empty() {
            self.pass(report).await;
        }
    }

    /// Drops what was not sent.
    pub(super) fn clear(&mut self) {
        self.early = None;
        self.held.clear();
    }

    pub(super) async fn send(&mut self, bytes: Bytes) {
        if self.client_left {
            return;
        }
        let count = bytes.len();
        self.framing.pass(&bytes);
        let ended = async {
            self.dead.cancelled().await;
            tokio::time::sleep(LAST_PATIENCE).await;
        };
        let sent = tokio::select! {
            biased;
            () = ended => false,
            sent = self.progress.pace.wait(Direction::Out, self.sender.send(bytes)) => sent.is_ok(),
        };
        self.client_left = !sent;
        if !sent {
            self.framing.lose();
        }
        if sent {
            self.progress.pace.moved(Direction::Out, count);
            self.meter.sent(count);
        }
    }

    /// Sends what is left, and behind it why the transfer was ended, where that fits; returns whether it did.
    async fn send_error(&mut self, why: &str) -> bool {
        self.send_held().await;
        let Some(error) = self.framing.error(why) else { return false };
        self.send(error).await;
        !self.client_left
    }

    /// Has the client read why the transfer ended, in git's words if it has written them; returns whether it can.
    pub(super) async fn tell(&mut self, why: &str) -> bool {
        self.send_held().await;
        if self.framing.ends_in_error() {
            return !self.client_left;
        }
        self.send_error(why).await
    }

    /// Whether nothing was sent yet.
    pub(super) fn is_unsent(&self) -> bool {
        self.framing.is_new()
    }

    /// Whether the child has written nothing.
    pub(super) fn is_silent(&self) -> bool {
        self.is_unsent() && self.held.is_empty() && self.early.as_ref().is_none_or(Early::is_empty)
    }

    pub(super) async fn send_held(&mut self) {
        self.send_early().await;
        let held = std::mem::take(&mut self.held);
        if held.has_remaining() {
            self.send(held.freeze()).await;
        }
    }
}

/// The response body. Dropping it means that the client has left.
pub struct TransferBody {
    chunks: mpsc::Receiver<Bytes>,
    clean: Arc<AtomicBool>,
    _cancel: DropGuard,
    /// What concerns the transfer while its client reads.
    _watch: Option<DropGuard>,
    pause: Option<Pin<Box<tokio::time::Sleep>>>,
    over: bool,
}

impl TransferBody {
    pub(super) fn new(chunks: mpsc::Receiver<Bytes>, shared: &Shared) -> Self {
        let (clean, cancel) = (shared.clean.clone(), shared.cancel.clone().drop_guard());
        Self { chunks, clean, _cancel: cancel, _watch: None, pause: None, over: false }
    }

    /// Drops the guard together with the body.
    pub fn with_watch(self, guard: DropGuard) -> Self {
        Self { _watch: Some(guard), ..self }
    }
}

impl Stream for TransferBody {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(context));
                self.pause = None;
                return Poll::Ready(Some(Err(io::Error::other("git failed"))));
            }
            if self.over {
                return Poll::Ready(None);
            }
            match ready!(self.chunks.poll_recv(context)) {
                Some(chunk) => return Poll::Ready(Some(Ok(chunk))),
                None => {
                    self.over = true;
                    if !self.clean.load(Relaxed) {
                        self.pause = Some(Box::pin(tokio::time::sleep(FAILURE_PAUSE)));
                    }
                }
            }
        }
    }
}
