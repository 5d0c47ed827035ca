//! Flow control and limits of incoming packets: the same for every transport.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Acquire};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::metrics::ConnectionMeter;
use super::handle::SessionHandle;
use crate::actors::outbox::Outbox;
use crate::core::limits::Limits;
use crate::protocol::answer::GoodbyeCode;
use crate::services::Services;

/// The session's state as its reading task uses it.
pub(super) struct ReaderContext {
    pub(super) session: SessionHandle,
    pub(super) window: Arc<Semaphore>,
    pub(super) outbox: Arc<Outbox>,
    /// Whether the session has received its `Welcome`.
    pub(super) welcomed: Arc<AtomicBool>,
    /// Cancelled when the socket is closed or the server stops.
    pub(super) closed: CancellationToken,
    pub(super) stopping: CancellationToken,
    pub(super) services: Arc<Services>,
    pub(super) meter: ConnectionMeter,
}

/// Reason why reading ended.
pub(super) enum ReadEnd {
    /// This side closed the socket, or the socket failed.
    Closed,
    /// The peer closed its sending half and may still receive.
    EndOfStream,
    CloseWith(GoodbyeCode),
    /// `Goodbye`, after the answers to all received packets.
    CloseAfterReplies(GoodbyeCode),
}

impl ReaderContext {
    pub(super) fn limits(&self) -> &Limits {
        &self.services.limits
    }

    pub(super) fn is_welcomed(&self) -> bool {
        self.welcomed.load(Acquire)
    }

    /// Returns the maximum size of a packet in bytes.
    pub(super) fn bytes_max(&self) -> usize {
        if self.is_welcomed() { self.limits().frame_bytes } else { self.limits().stranger_frame_bytes }
    }

    /// Returns how long to wait for the next bytes. `began` is the start of a packet of which a
    /// part has arrived.
    pub(super) fn patience(&self, opened: Instant, began: Option<Instant>) -> Duration {
        let left = |ms, since: Instant| Duration::from_millis(ms).saturating_sub(since.elapsed());
        match began {
            _ if !self.is_welcomed() => left(self.limits().hello_timeout_ms, opened),
            Some(began) => left(self.limits().frame_timeout_ms, began),
            None => Duration::from_millis(self.limits().silence_ms),
        }
    }

    /// Acquires a window permit for one packet. First waits until the outbox is at most half full:
    /// a client that does not read answers cannot send further requests, so the answers are bounded
    /// too.
    pub(super) async fn permit(&self) -> Result<OwnedSemaphorePermit, ReadEnd> {
        tokio::select! {
            biased;
            () = self.closed.cancelled() => Err(ReadEnd::Closed),
            () = self.stopping.cancelled() => Err(ReadEnd::CloseWith(GoodbyeCode::Shutdown)),
            window_permit = async {
                self.outbox.room().await;
                self.window.clone().acquire_owned().await
            } => window_permit.map_err(|_| ReadEnd::Closed),
        }
    }

    /// Notifies the session that reading ended; returns whether the peer receives a `Goodbye`.
    pub(super) fn end(&self, end: ReadEnd) -> bool {
        match end {
            ReadEnd::Closed => self.session.close_now(None),
            ReadEnd::EndOfStream => self.session.close_after_replies(None),
            ReadEnd::CloseWith(code) => self.session.close_now(Some(code)),
            ReadEnd::CloseAfterReplies(code) => self.session.close_after_replies(Some(code)),
        }
        matches!(end, ReadEnd::CloseWith(_) | ReadEnd::CloseAfterReplies(_))
    }
}
