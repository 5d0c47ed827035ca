//! The reading half of a socket: bytes into packets, never more of them than the session's window.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Acquire};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::actor::{Frame, Gone, SessionActor};
use super::state::Incoming;
use crate::core::actor::Mailbox;
use crate::core::limits::Limits;
use crate::protocol::answer::GoodbyeCode;
use crate::protocol::framing;
use crate::protocol::packet::{self, PacketError};

/// Bytes asked of the socket at once.
const CHUNK_BYTES: usize = 16 * 1024;
/// A buffer that has grown beyond this is given back when it is empty: idle sessions stay small.
const KEEP_BYTES: usize = 1024;

pub(super) struct Reader {
    pub(super) socket: OwnedReadHalf,
    pub(super) session: Mailbox<SessionActor>,
    pub(super) window: Arc<Semaphore>,
    /// Whether the session has been welcomed.
    pub(super) welcomed: Arc<AtomicBool>,
    /// The socket is closed, or the server stops.
    pub(super) closed: CancellationToken,
    pub(super) stopping: CancellationToken,
    pub(super) limits: Limits,
}

/// Why reading ended.
enum End {
    /// The peer has gone, or the socket was closed from our side.
    Closed,
    Say(GoodbyeCode),
}

impl Reader {
    pub(super) async fn run(mut self) {
        let code = match self.read().await {
            End::Closed => None,
            End::Say(code) => Some(code),
        };
        self.session.post(Gone { code });
    }

    async fn read(&mut self) -> End {
        let mut buffer = Vec::new();
        let opened = tokio::time::Instant::now();
        loop {
            // Not before there is a place to put the next packet: so a Hello is settled, one way or the other, before
            // it is decided how long the next bytes may take; and a full window keeps the socket unread.
            match self.place().await {
                Ok(free) => drop(free),
                Err(end) => return end,
            }
            let patience = self.patience(&buffer, opened);
            let read = async {
                self.socket.readable().await?;
                buffer.reserve(CHUNK_BYTES);
                (&mut self.socket).take(CHUNK_BYTES as u64).read_buf(&mut buffer).await
            };
            let read = tokio::select! {
                biased;
                () = self.closed.cancelled() => return End::Closed,
                () = self.stopping.cancelled() => return End::Say(GoodbyeCode::Shutdown),
                read = tokio::time::timeout(patience, read) => read,
            };
            match read {
                Ok(Ok(0) | Err(_)) => return End::Closed,
                Ok(Ok(_)) => {}
                Err(_) if !self.welcomed.load(Acquire) => return End::Say(GoodbyeCode::Unauthenticated),
                Err(_) if !buffer.is_empty() => return End::Say(GoodbyeCode::BadRequest),
                Err(_) => return End::Say(GoodbyeCode::Idle),
            }
            if let Some(end) = self.deliver(&mut buffer).await {
                return end;
            }
        }
    }

    /// How long the next bytes may take.
    fn patience(&self, buffer: &[u8], opened: tokio::time::Instant) -> Duration {
        if !self.welcomed.load(Acquire) {
            return Duration::from_millis(self.limits.hello_timeout_ms).saturating_sub(opened.elapsed());
        }
        let ms = if buffer.is_empty() { self.limits.silence_ms } else { self.limits.frame_timeout_ms };
        Duration::from_millis(ms)
    }

    /// Hands over every whole frame, as the window allows.
    async fn deliver(&mut self, buffer: &mut Vec<u8>) -> Option<End> {
        let mut used = 0;
        while used < buffer.len() {
            // First a place, then the look: while a Hello is being answered, its limit is still the stranger's.
            let place = match self.place().await {
                Ok(place) => place,
                Err(end) => return Some(end),
            };
            let known = self.welcomed.load(Acquire);
            let max = if known { self.limits.frame_bytes } else { self.limits.stranger_frame_bytes };
            match framing::split(buffer.get(used..).unwrap_or_default(), max) {
                Ok(None) => break,
                Ok(Some((frame, length))) => {
                    let incoming = decode(frame);
                    let last = matches!(incoming, Incoming::Malformed);
                    self.session.post(Frame { incoming, place });
                    used += length;
                    if last {
                        return Some(End::Say(GoodbyeCode::BadRequest));
                    }
                }
                Err(_) => return Some(End::Say(GoodbyeCode::BadRequest)),
            }
        }
        buffer.drain(..used);
        if buffer.is_empty() && buffer.capacity() > KEEP_BYTES {
            *buffer = Vec::new();
        }
        None
    }

    async fn place(&self) -> Result<OwnedSemaphorePermit, End> {
        tokio::select! {
            biased;
            () = self.closed.cancelled() => Err(End::Closed),
            () = self.stopping.cancelled() => Err(End::Say(GoodbyeCode::Shutdown)),
            place = self.window.clone().acquire_owned() => place.map_err(|_| End::Closed),
        }
    }
}

fn decode(frame: &[u8]) -> Incoming {
    match packet::decode(frame) {
        Ok(packet) => Incoming::Packet(Box::new(packet)),
        Err(PacketError::BadField { request_id, reason }) => Incoming::BadField { request_id, reason },
        Err(PacketError::Malformed(malformed)) => {
            tracing::debug!(%malformed, "a frame is no packet");
            Incoming::Malformed
        }
    }
}
