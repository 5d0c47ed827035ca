//! What may come in, and when: the same for every transport.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Acquire};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::metrics::ConnectionMeter;
use super::actor::{Finished, Gone, SessionActor};
use crate::actors::hub::Outbox;
use crate::core::actor::Mailbox;
use crate::core::limits::Limits;
use crate::protocol::answer::GoodbyeCode;
use crate::services::Services;

/// The session as its reading task sees it.
pub(super) struct Intake {
    pub(super) session: Mailbox<SessionActor>,
    pub(super) window: Arc<Semaphore>,
    pub(super) outbox: Arc<Outbox>,
    /// Whether the session has been welcomed.
    pub(super) welcomed: Arc<AtomicBool>,
    /// The socket is closed, or the server stops.
    pub(super) closed: CancellationToken,
    pub(super) stopping: CancellationToken,
    pub(super) services: Arc<Services>,
    pub(super) meter: ConnectionMeter,
}

/// Why reading ended.
pub(super) enum End {
    /// The socket was closed from our side, or broke.
    Closed,
    /// The peer has nothing more to say, and may still listen.
    Finished,
    Say(GoodbyeCode),
    /// Goodbye, behind the answers to what was asked.
    SayLast(GoodbyeCode),
}

impl Intake {
    pub(super) fn limits(&self) -> &Limits {
        &self.services.limits
    }

    pub(super) fn is_welcomed(&self) -> bool {
        self.welcomed.load(Acquire)
    }

    /// How large a packet may be.
    pub(super) fn bytes_max(&self) -> usize {
        if self.is_welcomed() { self.limits().frame_bytes } else { self.limits().stranger_frame_bytes }
    }

    /// How long the next bytes may take; `began` is when the packet began of which a part is here.
    pub(super) fn patience(&self, opened: Instant, began: Option<Instant>) -> Duration {
        let left = |ms, since: Instant| Duration::from_millis(ms).saturating_sub(since.elapsed());
        match began {
            _ if !self.is_welcomed() => left(self.limits().hello_timeout_ms, opened),
            Some(began) => left(self.limits().frame_timeout_ms, began),
            None => Duration::from_millis(self.limits().silence_ms),
        }
    }

    /// A place for one more packet. Also waits while the outbox is more than half full: whoever does not read answers
    /// is not asked for more questions, so that the answers too are bounded.
    pub(super) async fn place(&self) -> Result<OwnedSemaphorePermit, End> {
        tokio::select! {
            biased;
            () = self.closed.cancelled() => Err(End::Closed),
            () = self.stopping.cancelled() => Err(End::Say(GoodbyeCode::Shutdown)),
            place = async {
                self.outbox.room().await;
                self.window.clone().acquire_owned().await
            } => place.map_err(|_| End::Closed),
        }
    }

    /// Tells the session that nothing more comes; answers whether the peer is being said goodbye to.
    pub(super) fn end(&self, end: End) -> bool {
        match end {
            End::Closed => self.session.post(Gone { code: None }),
            End::Finished => self.session.post(Finished { code: None }),
            End::Say(code) => self.session.post(Gone { code: Some(code) }),
            End::SayLast(code) => self.session.post(Finished { code: Some(code) }),
        }
        matches!(end, End::Say(_) | End::SayLast(_))
    }
}
