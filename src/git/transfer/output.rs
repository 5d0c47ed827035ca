//! The pump from the child to the client, and the response body that it feeds.

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
use crate::git::metrics::TransferMeter;
use crate::git::pkt_line::FLUSH;
use crate::git::process::{TransferProgress, TransferState};

/// Time that a client has to read the remaining output and the reason after the child was killed.
const LAST_PATIENCE: Duration = Duration::from_secs(2);
/// Pause before a body fails: actix drops unwritten output when a body fails, so it needs time to
/// write.
const FAILURE_PAUSE: Duration = Duration::from_millis(20);

/// Forwards the output of the child to the client.
pub(super) struct OutputPump {
    output: ChildStdout,
    sender: mpsc::Sender<Bytes>,
    killed: CancellationToken,
    progress: Arc<TransferProgress>,
    meter: Arc<TransferMeter>,
    /// Output of a push whose request body is still arriving.
    early: Option<Early>,
    /// Adds lines to the report of a push.
    amendment: Option<Amendment>,
    /// The last bytes of the output, held back.
    pub(super) held: BytesMut,
    /// Number of bytes that are held back until the child has ended.
    keep: usize,
    /// The output is read to its end even after the client has disconnected.
    outlives_client: bool,
    framing: Framing,
    client_left: bool,
}

impl OutputPump {
    pub(super) fn new(output: ChildStdout, sender: mpsc::Sender<Bytes>, shared: &Shared) -> Self {
        Self {
            output,
            sender,
            killed: shared.killed.clone(),
            progress: shared.progress.clone(),
            meter: shared.meter.clone(),
            early: None,
            amendment: None,
            held: BytesMut::with_capacity(BUFFER_BYTES),
            keep: 0,
            outlives_client: false,
            framing: Framing::default(),
            client_left: false,
        }
    }

    /// Returns the pump of a push, which ends even if the client disconnects. With side bands, the
    /// flush at the end of the output is held back.
    pub(super) fn of_push(self, early: Early, amendment: Option<Amendment>, side_band: bool) -> Self {
        let keep = if side_band { FLUSH.len() } else { 0 };
        Self { early: Some(early), amendment, keep, outlives_client: true, ..self }
    }

    /// Forwards the output of the child, and holds back its last bytes.
    ///
    /// Output that arrives after the push was refused or given up is dropped.
    pub(super) async fn run(&mut self) {
        loop {
            self.held.reserve(BUFFER_BYTES);
            match (&mut self.output).take(BUFFER_BYTES as u64).read_buf(&mut self.held).await {
                Ok(0) | Err(_) => {
                    self.end_report().await;
                    return;
                }
                Ok(_) => {}
            }
            if matches!(self.progress.state(), TransferState::Refused | TransferState::GivenUp) {
                self.held.clear();
                self.amendment = None;
                continue;
            }
            let ready = self.held.split_to(self.held.len().saturating_sub(self.keep)).freeze();
            let ready = match &mut self.amendment {
                Some(amendment) => amendment.pass(&ready),
                None => ready,
            };
            if !ready.is_empty() {
                self.pass(ready).await;
            }
            if self.client_left && !self.outlives_client {
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

    /// Sends the output kept while the request body was arriving.
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

    /// Drops the output that was not sent.
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
            self.killed.cancelled().await;
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

    /// Sends the remaining output, followed by the reason why the transfer was ended, if the
    /// framing allows it; returns whether the client can read it.
    async fn send_error(&mut self, why: &str) -> bool {
        self.send_held().await;
        let Some(error) = self.framing.error(why) else { return false };
        self.send(error).await;
        !self.client_left
    }

    /// Sends the reason why the transfer ended, unless git has already sent its own; returns
    /// whether the client can read it.
    pub(super) async fn send_end_reason(&mut self, why: &str) -> bool {
        self.send_held().await;
        if self.framing.ends_in_error() {
            return !self.client_left;
        }
        self.send_error(why).await
    }

    /// Returns whether nothing was sent yet.
    pub(super) fn is_unsent(&self) -> bool {
        self.framing.is_new()
    }

    /// Returns whether the child has written nothing.
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

/// The response body. Dropping it signals that the client has disconnected.
pub struct TransferBody {
    chunks: mpsc::Receiver<Bytes>,
    /// Otherwise the body breaks off with an error.
    ends_cleanly: Arc<AtomicBool>,
    _cancel: DropGuard,
    /// A guard that is dropped together with the body.
    _watch: Option<DropGuard>,
    pause: Option<Pin<Box<tokio::time::Sleep>>>,
    over: bool,
}

impl TransferBody {
    pub(super) fn new(chunks: mpsc::Receiver<Bytes>, shared: &Shared) -> Self {
        let (ends_cleanly, cancel) = (shared.ends_cleanly.clone(), shared.cancel.clone().drop_guard());
        Self { chunks, ends_cleanly, _cancel: cancel, _watch: None, pause: None, over: false }
    }

    /// Attaches a guard that is dropped together with the body.
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
                    if !self.ends_cleanly.load(Relaxed) {
                        self.pause = Some(Box::pin(tokio::time::sleep(FAILURE_PAUSE)));
                    }
                }
            }
        }
    }
}
