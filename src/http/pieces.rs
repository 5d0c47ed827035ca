//! Bodies that are sent in chunks.
//!
//! The HTTP library copies the bytes of a body into the connection's buffer. A large body that is
//! yielded at once would be in memory twice, and its space would be released before the client has
//! read anything.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::core::saturate;
use crate::core::shares::Slot;
use crate::services::spool::time_for;

const PIECE_BYTES: usize = 16 * 1024;

/// A body in memory.
pub(crate) struct Pieces {
    source: Source,
    sent: usize,
    size: usize,
}

enum Source {
    /// All clients get the same bytes, which are in memory once.
    Shared(Bytes),
    /// The bytes of a single client. A task owns them; it ends with the guard.
    Counted { counted: Weak<CountedBytes>, _ended: DropGuard },
}

struct CountedBytes {
    bytes: Bytes,
    _space: Slot,
}

impl Pieces {
    pub(crate) fn shared(bytes: Bytes) -> Self {
        Self { sent: 0, size: bytes.len(), source: Source::Shared(bytes) }
    }

    /// A body with its space. Both are released when the client has received everything, has
    /// disconnected, or has exceeded [`time_for`] the body.
    pub(crate) fn counted(bytes: Bytes, space: Slot) -> Self {
        let (size, sent) = (bytes.len(), CancellationToken::new());
        let ended = sent.clone().drop_guard();
        let counted = Arc::new(CountedBytes { bytes, _space: space });
        let source = Source::Counted { counted: Arc::downgrade(&counted), _ended: ended };
        actix_web::rt::spawn(async move {
            let within = time_for(saturate::to_u64(size));
            if tokio::time::timeout(within, sent.cancelled()).await.is_err() {
                tracing::debug!(size, "a client took too long to read a response");
            }
            drop(counted);
        });
        Self { source, sent: 0, size }
    }
}

impl MessageBody for Pieces {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        BodySize::Sized(saturate::to_u64(self.size))
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, io::Error>>> {
        let piece = self.sent..self.size.min(self.sent.saturating_add(PIECE_BYTES));
        if piece.is_empty() {
            return Poll::Ready(None);
        }
        self.sent = piece.end;
        Poll::Ready(Some(match &self.source {
            Source::Shared(bytes) => Ok(bytes.slice(piece)),
            Source::Counted { counted, .. } => {
                counted.upgrade().map(|kept| kept.bytes.slice(piece)).ok_or(io::ErrorKind::TimedOut.into())
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::shares::{Holder, Slots};

    #[actix_web::test]
    async fn body_is_whole_and_its_space_free_at_the_end() {
        let (crowd, bytes) = (Slots::of_space(1_000_000), Bytes::from(vec![7; 100_000]));
        let space = crowd.enter_many(Holder::Operator, bytes.len()).unwrap();
        let mut body = Box::pin(Pieces::counted(bytes.clone(), space));
        let first = std::future::poll_fn(|context| body.as_mut().poll_next(context)).await;
        assert_eq!((first.unwrap().unwrap().len(), crowd.taken()), (PIECE_BYTES, 100_000));
        drop(body);
        while crowd.taken() > 0 {
            tokio::task::yield_now().await;
        }
        let whole = actix_web::body::to_bytes(Pieces::shared(bytes.clone())).await.unwrap();
        assert_eq!(whole, bytes);
    }
}
