//! Tracks line boundaries in the output of git, so that the server can append its own line.

use bytes::{Bytes, BytesMut};

use crate::git::pkt_line::{self, LENGTH_DIGITS};
use crate::git::report::ERROR_BAND;

/// The side bands of a pack and of text for users (gitprotocol-pack).
const BANDS: [u8; 2] = [1, 2];
/// The prefix of an error line, which ends a transfer without side bands.
const ERROR: &[u8] = b"ERR ";

/// Tracks the lines of an output while it is forwarded.
#[derive(Debug, Default)]
pub(super) struct Framing {
    /// The received digits of an incomplete length.
    digits: Vec<u8>,
    /// Number of bytes of the current line that are missing.
    left: usize,
    /// The first bytes of the last non-empty line.
    beginning: Vec<u8>,
    /// The output does not consist of lines, or a part of it was lost.
    is_broken: bool,
    has_begun: bool,
}

impl Framing {
    /// Returns whether no output was forwarded yet.
    pub(super) fn is_new(&self) -> bool {
        !self.has_begun && !self.is_broken
    }

    /// Tracks the next forwarded bytes.
    pub(super) fn pass(&mut self, mut bytes: &[u8]) {
        self.has_begun |= !bytes.is_empty();
        while !bytes.is_empty() && !self.is_broken {
            if self.left > 0 {
                let taken = self.left.min(bytes.len());
                let missing = ERROR.len().saturating_sub(self.beginning.len()).min(taken);
                self.beginning.extend_from_slice(bytes.get(..missing).unwrap_or_default());
                self.left -= taken;
                bytes = bytes.get(taken..).unwrap_or_default();
                continue;
            }
            let taken = (LENGTH_DIGITS - self.digits.len()).min(bytes.len());
            self.digits.extend_from_slice(bytes.get(..taken).unwrap_or_default());
            bytes = bytes.get(taken..).unwrap_or_default();
            if self.digits.len() == LENGTH_DIGITS {
                self.begin_line();
            }
        }
    }

    fn begin_line(&mut self) {
        let digits = std::mem::take(&mut self.digits);
        let text =
            std::str::from_utf8(&digits).ok().filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()));
        match text.and_then(|text| usize::from_str_radix(text, 16).ok()) {
            // A flush, the end of a section, or the end of a response: lines without content.
            Some(0..=2) => {}
            Some(length) if length > LENGTH_DIGITS => {
                self.left = length - LENGTH_DIGITS;
                self.beginning.clear();
            }
            _ => self.is_broken = true,
        }
    }

    /// Records that a part of the output was lost.
    pub(super) fn lose(&mut self) {
        self.is_broken = true;
    }

    fn is_between_lines(&self) -> bool {
        !self.is_broken && self.left == 0 && self.digits.is_empty()
    }

    /// Returns whether the last line is complete and contains the reason why the transfer ends.
    pub(super) fn ends_in_error(&self) -> bool {
        self.is_between_lines() && (self.beginning == ERROR || self.beginning.first() == Some(&ERROR_BAND))
    }

    /// Returns a line with the reason why the transfer ends; `None` within a line.
    pub(super) fn error(&self, why: &str) -> Option<Bytes> {
        if !self.is_between_lines() {
            return None;
        }
        let mut line = BytesMut::new();
        match self.beginning.first() {
            Some(first) if BANDS.contains(first) => {
                pkt_line::put_band(&mut line, ERROR_BAND, format!("{why}\n").as_bytes());
            }
            _ => pkt_line::put(&mut line, format!("ERR {why}").as_bytes()),
        }
        Some(line.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_after(output: &[u8], piece: usize) -> Option<Bytes> {
        let mut framing = Framing::default();
        output.chunks(piece).for_each(|piece| framing.pass(piece));
        framing.error("why")
    }

    #[test]
    fn error_line_is_added_only_between_lines() {
        let output = b"000dpackfile\n0008\x02abc0001";
        for piece in [1, 3, 100] {
            for end in 1..output.len() {
                let error = error_after(&output[..end], piece);
                assert_eq!(error.is_some(), [13, 21, 25].contains(&end), "{piece} {end}");
            }
        }
    }

    #[test]
    fn error_line_uses_error_band_if_output_has_side_bands() {
        let plain = Some(Bytes::from_static(b"000bERR why"));
        assert_eq!(error_after(b"", 1), plain);
        assert_eq!(error_after(b"0008NAK\n", 4), plain);
        assert_eq!(error_after(b"0008NAK\n0007\x01PA", 4), Some(Bytes::from_static(b"0009\x03why\n")));
    }

    #[test]
    fn error_of_git_is_recognised_as_end_of_transfer() {
        let ends = |output: &[u8], piece: usize| {
            let mut framing = Framing::default();
            output.chunks(piece).for_each(|piece| framing.pass(piece));
            framing.ends_in_error()
        };
        for piece in [1, 3, 100] {
            assert!(ends(b"0008NAK\n000bERR why", piece));
            assert!(ends(b"0007\x01PA0009\x03why\n0000", piece));
            assert!(!ends(b"000bERR wh", piece) && !ends(b"0008NAK\n", piece) && !ends(b"", piece));
            assert!(!ends(b"000bERR why0008NAK\n", piece));
        }
    }

    #[test]
    fn error_line_is_not_added_to_output_without_lines() {
        assert_eq!(error_after(b"0008NAK\nPACK\0\0\0\x02", 5), None);
        let mut framing = Framing::default();
        framing.lose();
        assert_eq!(framing.error("why"), None);
    }
}
