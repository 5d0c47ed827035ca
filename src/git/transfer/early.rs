//! Buffers the output of a push while its request body is still arriving.
//!
//! Reverse proxies end a request, or stop forwarding it, if the response begins before its body was
//! read: nginx by backpressure, Go's HTTP/1 server by closing the body. So the head of the response
//! waits for the end of the body, and git's output is buffered here meanwhile. git must always be
//! able to write; otherwise it stops reading.
//!
//! Invariants
//! * Text for users beyond [`TEXT_BYTES_MAX`] is omitted; lines of git's report never are.
//! * The order is preserved, and lines are never split.

use bytes::{Bytes, BytesMut};
use tokio_util::sync::CancellationToken;

use crate::git::pkt_line::{self, FLUSH, Line};
use crate::git::report::{self, TEXT_BAND};

/// Maximum number of text bytes kept per push.
const TEXT_BYTES_MAX: usize = 256 * 1024;
const LEFT_OUT: &str = "(further lines are omitted)\n";

/// Buffers output until the request body was read.
pub(super) struct Early {
    body_read: CancellationToken,
    /// The output consists of lines on side bands.
    side_band: bool,
    kept: BytesMut,
    /// The received part of an incomplete line.
    partial: BytesMut,
    text_left_out: bool,
}

impl Early {
    pub(super) fn new(body_read: CancellationToken, side_band: bool) -> Self {
        Self { body_read, side_band, kept: BytesMut::new(), partial: BytesMut::new(), text_left_out: false }
    }

    /// Returns whether output still has to wait.
    pub(super) fn must_wait(&self) -> bool {
        !self.body_read.is_cancelled()
    }

    pub(super) fn add(&mut self, output: &[u8]) {
        if !self.side_band {
            // Without side bands the output contains only the report, not text.
            self.kept.extend_from_slice(output);
            return;
        }
        self.partial.extend_from_slice(output);
        loop {
            match pkt_line::take(&mut self.partial) {
                Ok(Some(Line::Data(line))) => self.add_line(&line),
                Ok(Some(Line::Flush)) => self.kept.extend_from_slice(FLUSH),
                Ok(None) => return,
                // Not in pkt-line format: passed on unchanged.
                Err(_) => {
                    self.side_band = false;
                    self.kept.unsplit(std::mem::take(&mut self.partial));
                    return;
                }
            }
        }
    }

    fn add_line(&mut self, line: &Bytes) {
        let is_text = line.first() == Some(&TEXT_BAND);
        if !is_text || self.kept.len().saturating_add(line.len()) <= TEXT_BYTES_MAX {
            pkt_line::put(&mut self.kept, line);
        } else if !self.text_left_out {
            self.text_left_out = true;
            self.kept.extend_from_slice(&report::text(LEFT_OUT));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.partial.is_empty()
    }

    /// Returns the buffered output.
    pub(super) fn into_bytes(mut self) -> Bytes {
        self.kept.unsplit(self.partial);
        self.kept.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(side_band: bool, pieces: &[&[u8]]) -> Bytes {
        let mut early = Early::new(CancellationToken::new(), side_band);
        for piece in pieces {
            early.add(piece);
        }
        early.into_bytes()
    }

    #[test]
    fn early_output_is_kept_complete_and_in_order() {
        let output = b"0009\x02abc\n000a\x01000012300000008\x02de0007\x02f";
        let halves: Vec<&[u8]> = output.chunks(3).collect();
        assert_eq!(&kept(true, &halves)[..], output);
        assert_eq!(&kept(false, &halves)[..], output);
        assert_eq!(&kept(true, &[b"not framed", b" at all"])[..], b"not framed at all");
    }

    #[test]
    fn early_output_bounds_text_but_not_report() {
        let mut line = BytesMut::new();
        pkt_line::put_band(&mut line, TEXT_BAND, &[b'x'; 1000]);
        let mut report = BytesMut::new();
        pkt_line::put_band(&mut report, 1, &[b'y'; 60_000]);
        let mut early = Early::new(CancellationToken::new(), true);
        for _ in 0..5_000 {
            early.add(&line);
        }
        for _ in 0..10 {
            early.add(&report);
        }
        let kept = early.into_bytes();
        assert!(kept.len() < TEXT_BYTES_MAX + 610_000, "{}", kept.len());
        assert_eq!(kept.iter().filter(|byte| **byte == b'y').count(), 600_000);
        let note = LEFT_OUT.as_bytes();
        assert_eq!(kept.windows(note.len()).filter(|window| *window == note).count(), 1);
    }
}
