//! The body of a request: unchanged, or inflated while it is read.
//!
//! Invariant: draining reads the bytes that the client sends, never the inflated bytes. A few
//! kilobytes of gzip inflate to megabytes.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_compression::tokio::bufread::GzipDecoder;
use tokio::io::{self, AsyncBufRead, AsyncRead, AsyncReadExt, ReadBuf};

/// Maximum number of bytes that [`Input::drain`] reads, and its total time.
const DRAIN_BYTES_MAX: u64 = 256 * 1024 * 1024;
const DRAIN_PATIENCE: Duration = Duration::from_secs(10);

/// The body of a request.
pub enum Input {
    Plain(Pin<Box<dyn AsyncRead>>),
    Gzip(Box<GzipDecoder<Pin<Box<dyn AsyncBufRead>>>>),
}

impl Input {
    pub fn plain(body: impl AsyncRead + 'static) -> Self {
        Self::Plain(Box::pin(body))
    }

    /// Returns an input that reads the inflated `body`.
    pub fn gzip(body: impl AsyncBufRead + 'static) -> Self {
        Self::Gzip(Box::new(GzipDecoder::new(Box::pin(body))))
    }

    /// Reads and discards the rest of a refused body, within limits of bytes and time.
    ///
    /// Without this, a client that is still sending would lose its connection and the reason of the
    /// refusal. The caller has already released its permit.
    pub async fn drain(&mut self) {
        let read = async {
            let mut sink = io::sink();
            match self {
                Self::Plain(body) => io::copy(&mut body.take(DRAIN_BYTES_MAX), &mut sink).await,
                Self::Gzip(decoder) => {
                    io::copy(&mut decoder.get_mut().take(DRAIN_BYTES_MAX), &mut sink).await
                }
            }
        };
        if tokio::time::timeout(DRAIN_PATIENCE, read).await.is_err() {
            tracing::debug!("drain timed out: the client is still sending a refused body");
        }
    }
}

impl AsyncRead for Input {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(body) => body.as_mut().poll_read(context, buffer),
            Self::Gzip(decoder) => Pin::new(decoder.as_mut()).poll_read(context, buffer),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use async_compression::tokio::bufread::GzipEncoder;

    use super::*;

    /// Counts the bytes that are read from it.
    struct Counted {
        bytes: std::io::Cursor<Vec<u8>>,
        taken: Arc<AtomicUsize>,
    }

    impl AsyncRead for Counted {
        fn poll_read(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let before = buffer.filled().len();
            let read = Pin::new(&mut self.bytes).poll_read(context, buffer);
            self.taken.fetch_add(buffer.filled().len() - before, Relaxed);
            read
        }
    }

    #[tokio::test]
    async fn drain_reads_a_gzip_body_without_inflating_it() {
        let mut packed = Vec::new();
        let text = vec![b'x'; 1000];
        GzipEncoder::new(&text[..]).read_to_end(&mut packed).await.unwrap();
        // A gzip decoder stops here.
        packed.extend(vec![b'!'; 3_000_000]);
        let (taken, bytes) = (Arc::new(AtomicUsize::new(0)), packed.len());
        let counted = Counted { bytes: std::io::Cursor::new(packed), taken: taken.clone() };
        let mut input = Input::gzip(tokio::io::BufReader::new(counted));
        let mut first = [0; 10];
        input.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"xxxxxxxxxx");
        input.drain().await;
        assert_eq!(taken.load(Relaxed), bytes);
    }
}
