//! The reading half of a socket: decodes bytes into packets, at most as many as the session's
//! window allows.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, ReadHalf};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;

use super::reader_context::{ReadEnd, ReaderContext};
use super::state::Incoming;
use crate::protocol::answer::GoodbyeCode;
use crate::protocol::framing;
use crate::protocol::packet;

/// Maximum number of bytes per read.
const CHUNK_BYTES: usize = 16 * 1024;
/// An empty buffer above this capacity is freed: idle sessions stay small.
const KEEP_BYTES: usize = 1024;
/// Maximum number of chunks that are read from a peer after the session sent `Goodbye`.
const LINGER_CHUNKS_MAX: usize = 64;

/// Source of frames.
pub(super) trait Source: AsyncRead + Unpin {
    /// Bytes per read. A waiting session holds this much memory, unless it can wait without a
    /// buffer.
    const CHUNK_BYTES: usize;

    /// Waits until there may be something to read, without holding a buffer.
    fn readable(&self) -> impl Future<Output = std::io::Result<()>>;
}

impl Source for OwnedReadHalf {
    const CHUNK_BYTES: usize = CHUNK_BYTES;

    async fn readable(&self) -> std::io::Result<()> {
        Self::readable(self).await
    }
}

impl Source for ReadHalf<TlsStream<TcpStream>> {
    const CHUNK_BYTES: usize = 1024;

    /// Returns at once: decrypted bytes may be buffered, which only a read shows.
    async fn readable(&self) -> std::io::Result<()> {
        Ok(())
    }
}

pub(super) struct Reader<S> {
    pub(super) socket: S,
    pub(super) context: ReaderContext,
}

impl<S: Source> Reader<S> {
    pub(super) async fn run(mut self) {
        let end = self.read().await;
        if self.context.end(end) {
            self.linger().await;
        }
    }

    /// Drains and discards input for a short time. Closing a socket with unread bytes resets it,
    /// and the peer would lose the last frames.
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
        drop(tokio::time::timeout(Duration::from_millis(self.context.limits().linger_ms), drained).await);
    }

    async fn read(&mut self) -> ReadEnd {
        let mut buffer = Vec::new();
        let opened = Instant::now();
        // Start of the frame of which a part has arrived.
        let mut began = None;
        loop {
            // A permit for the next packet must be free before the read. So a `Hello` is settled
            // before its outcome determines the time limit of the next bytes, and a full window
            // leaves the socket unread.
            match self.context.permit().await {
                Ok(free) => drop(free),
                Err(end) => return end,
            }
            let patience = self.context.patience(opened, began);
            let read = async {
                self.socket.readable().await?;
                buffer.reserve(S::CHUNK_BYTES);
                (&mut self.socket).take(S::CHUNK_BYTES as u64).read_buf(&mut buffer).await
            };
            let read = tokio::select! {
                biased;
                () = self.context.closed.cancelled() => return ReadEnd::Closed,
                () = self.context.stopping.cancelled() => return ReadEnd::CloseWith(GoodbyeCode::Shutdown),
                read = tokio::time::timeout(patience, read) => read,
            };
            match read {
                Ok(Ok(0)) => return ReadEnd::EndOfStream,
                Ok(Err(_)) => return ReadEnd::Closed,
                Ok(Ok(_)) => {}
                Err(_) if !self.context.is_welcomed() => {
                    return ReadEnd::CloseWith(GoodbyeCode::Unauthenticated);
                }
                Err(_) if !buffer.is_empty() => return ReadEnd::CloseWith(GoodbyeCode::BadRequest),
                Err(_) => return ReadEnd::CloseWith(GoodbyeCode::Idle),
            }
            let waiting = buffer.len();
            if let Some(end) = self.deliver(&mut buffer).await {
                return end;
            }
            let delivered = buffer.len() < waiting;
            began = began.filter(|_| !delivered).or(Some(Instant::now())).filter(|_| !buffer.is_empty());
        }
    }

    /// Passes every complete frame to the session, as the window allows.
    async fn deliver(&mut self, buffer: &mut Vec<u8>) -> Option<ReadEnd> {
        let mut used = 0;
        while used < buffer.len() {
            // The permit comes before the size limit is read: while a `Hello` is being answered,
            // the limit of unauthenticated clients applies.
            let window_permit = match self.context.permit().await {
                Ok(window_permit) => window_permit,
                Err(end) => return Some(end),
            };
            match framing::split(buffer.get(used..).unwrap_or_default(), self.context.bytes_max()) {
                Ok(None) => break,
                Ok(Some((frame, length))) => {
                    let incoming = Incoming::of(packet::decode(frame));
                    let last = matches!(incoming, Incoming::Malformed);
                    self.context.session.receive(incoming, window_permit);
                    used += length;
                    self.context.meter.received(length);
                    if last {
                        self.context.meter.malformed();
                        return Some(ReadEnd::CloseWith(GoodbyeCode::BadRequest));
                    }
                }
                Err(_) => {
                    self.context.meter.malformed();
                    return Some(ReadEnd::CloseWith(GoodbyeCode::BadRequest));
                }
            }
        }
        buffer.drain(..used);
        if buffer.is_empty() && buffer.capacity() > KEEP_BYTES {
            *buffer = Vec::new();
        }
        None
    }
}
