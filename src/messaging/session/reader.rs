//! The reading half of a socket: bytes into packets, never more of them than the session's window.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Acquire};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::actor::{Finished, Frame, Gone, SessionActor};
use super::state::Incoming;
use crate::actors::hub::Outbox;
use crate::core::actor::Mailbox;
use crate::core::limits::Limits;
use crate::protocol::answer::GoodbyeCode;
use crate::protocol::framing;
use crate::protocol::packet::{self, PacketError};

/// Bytes asked of the socket at once.
const CHUNK_BYTES: usize = 16 * 1024;
/// A buffer that has grown beyond this is given back when it is empty: idle sessions stay small.
const KEEP_BYTES: usize = 1024;
/// What a peer may still send while it is being said goodbye to.
const LINGER_CHUNKS_MAX: usize = 64;

pub(super) struct Reader {
    pub(super) socket: OwnedReadHalf,
    pub(super) session: Mailbox<SessionActor>,
    pub(super) window: Arc<Semaphore>,
    pub(super) outbox: Arc<Outbox>,
    /// Whether the session has been welcomed.
    pub(super) welcomed: Arc<AtomicBool>,
    /// The socket is closed, or the server stops.
    pub(super) closed: CancellationToken,
    pub(super) stopping: CancellationToken,
    pub(super) limits: Limits,
}

/// Why reading ended.
enum End {
    /// The socket was closed from our side, or broke.
    Closed,
    /// The peer has nothing more to say, and may still listen.
    Finished,
    Say(GoodbyeCode),
}

impl Reader {
    pub(super) async fn run(mut self) {
        let code = match self.read().await {
            End::Closed => None,
            End::Finished => return self.session.post(Finished),
            End::Say(code) => Some(code),
        };
        let linger = code.is_some();
        self.session.post(Gone { code });
        if linger {
            self.linger().await;
        }
    }

    /// Reads on for a moment and throws it away: closing a socket with unread bytes resets it, and the peer would lose
    /// our last words.
    async fn linger(&mut self) {
        let mut void = Vec::new();
        let drained = async {
            for _ in 0..LINGER_CHUNKS_MAX {
                void.clear();
                match (&mut self.socket).take(CHUNK_BYTES as u64).read_buf(&mut void).await {
                    Ok(0) | Err(_) => return,
                    Ok(_) => {}
                }
            }
        };
        drop(tokio::time::timeout(Duration::from_millis(self.limits.linger_ms), drained).await);
    }

    async fn read(&mut self) -> End {
        let mut buffer = Vec::new();
        let opened = Instant::now();
        // When the frame began of which a part is here.
        let mut began = None;
        loop {
            // Not before there is a place to put the next packet: so a Hello is settled, one way or the other, before
            // it is decided how long the next bytes may take; and a full window keeps the socket unread.
            match self.place().await {
                Ok(free) => drop(free),
                Err(end) => return end,
            }
            let patience = self.patience(opened, began);
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
                Ok(Ok(0)) => return End::Finished,
                Ok(Err(_)) => return End::Closed,
                Ok(Ok(_)) => {}
                Err(_) if !self.welcomed.load(Acquire) => return End::Say(GoodbyeCode::Unauthenticated),
                Err(_) if !buffer.is_empty() => return End::Say(GoodbyeCode::BadRequest),
                Err(_) => return End::Say(GoodbyeCode::Idle),
            }
            let waiting = buffer.len();
            if let Some(end) = self.deliver(&mut buffer).await {
                return end;
            }
            let delivered = buffer.len() < waiting;
            began = began.filter(|_| !delivered).or(Some(Instant::now())).filter(|_| !buffer.is_empty());
        }
    }

    /// How long the next bytes may take.
    fn patience(&self, opened: Instant, began: Option<Instant>) -> Duration {
        let left = |ms, since: Instant| Duration::from_millis(ms).saturating_sub(since.elapsed());
        match began {
            _ if !self.welcomed.load(Acquire) => left(self.limits.hello_timeout_ms, opened),
            Some(began) => left(self.limits.frame_timeout_ms, began),
            None => Duration::from_millis(self.limits.silence_ms),
        }
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

    /// A place for one more packet. Also waits while the outbox is more than half full: whoever does not read answers
    /// is not asked for more questions, so that the answers too are bounded.
    async fn place(&self) -> Result<OwnedSemaphorePermit, End> {
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
