//! Output of a push while its request body is still arriving.
//!
//! Reverse proxies end a request, or stop forwarding it, when the response begins before its body was read: nginx by
//! back-pressure, Go's HTTP/1 server by closing the body. So the head of the response waits for the end of the body, and
//! this is where git's output waits meanwhile. git must be able to write all the time, otherwise it stops reading.
//!
//! Invariants
//! * Text for people beyond [`TEXT_BYTES_MAX`] is left out; lines of git's report never are.
//! * Order is kept, and a line stays whole.

use bytes::{Bytes, BytesMut};
use tokio_util::sync::CancellationToken;

use crate::git::pkt_line::{self, FLUSH, Line};
use crate::git::report::{self, TEXT_BAND};

/// Text that is kept for one push.
const TEXT_BYTES_MAX: usize = 256 * 1024;
const LEFT_OUT: &str = "(further lines are left out)\n";

/// Keeps output until the request body was read.
pub(super) struct Early {
    body_read: CancellationToken,
    /// The output is made of lines on side bands.
    side_band: bool,
    kept: BytesMut,
    /// The beginning of a line.
    partial: BytesMut,
    text_left_out: bool,
}

impl Early {
    pub(super) fn new(body_read: CancellationToken, side_band: bool) -> Self {
        Self { body_read, side_band, kept: BytesMut::new(), partial: BytesMut::new(), text_left_out: false }
    }

    /// Whether output still has to wait.
    pub(super) fn must_wait(&self) -> bool {
        !self.body_read.is_cancelled()
    }

    pub(super) fn add(&mut self, output: &[u8]) {
        if !self.side_band {
            // Without side bands there is no text, only the report.
            self.kept.extend_from_slice(output);
            return;
        }
        self.partial.extend_from_slice(output);
        loop {
            match pkt_line::take(&mut self.partial) {
                Ok(Some(Line::Data(line))) => self.add_line(&line),
                Ok(Some(Line::Flush)) => self.kept.extend_from_slice(FLUSH),
                Ok(None) => return,
                // Not what git writes: passed on as it is.
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

    /// All that was kept.
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
    fn early_output_is_kept_in_order_and_whole() {
        let output = b"0009\x02abc\n000a\x01000012300000008\x02de0007\x02f";
        let halves: Vec<&[u8]> = output.chunks(3).collect();
        assert_eq!(&kept(true, &halves)[..], output);
        assert_eq!(&kept(false, &halves)[..], output);
        assert_eq!(&kept(true, &[b"not framed", b" at all"])[..], b"not framed at all");
    }

    #[test]
    fn early_text_is_bounded_and_the_report_is_not() {
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
