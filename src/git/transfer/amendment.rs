//! Extends the report of a push (gitprotocol-pack, "Report Status") with lines about refs that were
//! not forwarded to git.
//!
//! Invariants
//! * Text for users passes immediately; the report, which comes last, is buffered until it is
//!   complete.
//! * Output that is not in pkt-line format passes unchanged.

use bytes::{Bytes, BytesMut};

use crate::git::pkt_line::{self, FLUSH, Line};
use crate::git::report::REPORT_BAND;

/// Appends lines to a report.
pub(super) struct Amendment {
    /// The output consists of lines on side bands.
    side_band: bool,
    lines: Bytes,
    /// The received part of an incomplete line.
    partial: BytesMut,
    report: BytesMut,
}

impl Amendment {
    pub(super) fn new(side_band: bool, lines: Bytes) -> Self {
        Self { side_band, lines, partial: BytesMut::new(), report: BytesMut::new() }
    }

    /// Processes output; returns the part that does not belong to the report.
    pub(super) fn pass(&mut self, output: &[u8]) -> Bytes {
        if !self.side_band {
            self.report.extend_from_slice(output);
            return Bytes::new();
        }
        self.partial.extend_from_slice(output);
        let mut passed = BytesMut::new();
        loop {
            match pkt_line::take(&mut self.partial) {
                Ok(Some(Line::Data(line))) if line.first() == Some(&REPORT_BAND) => {
                    self.report.extend_from_slice(line.get(1..).unwrap_or_default());
                }
                Ok(Some(Line::Data(line))) => pkt_line::put(&mut passed, &line),
                Ok(Some(Line::Flush)) => passed.extend_from_slice(FLUSH),
                Ok(None) => return passed.freeze(),
                Err(_) => {
                    passed.unsplit(std::mem::take(&mut self.partial));
                    return passed.freeze();
                }
            }
        }
    }

    /// Returns the extended report, if there is one.
    pub(super) fn finish(self) -> Bytes {
        let Self { side_band, lines, partial, mut report } = self;
        if let Some(before_flush) = report.strip_suffix(FLUSH).map(<[u8]>::len) {
            report.truncate(before_flush);
            report.extend_from_slice(&lines);
            report.extend_from_slice(FLUSH);
        }
        if !side_band {
            return report.freeze();
        }
        let mut output = partial;
        pkt_line::put_band(&mut output, REPORT_BAND, &report);
        output.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: Bytes = Bytes::from_static(b"0015ng refs/pull/1 x\n");

    #[test]
    fn amendment_extends_report_for_any_piece_size() {
        let output = b"0009\x02abc\n0013\x01000eunpack ok\n0006\x02d0009\x010000";
        for piece in [1, 5, 1_000] {
            let mut amendment = Amendment::new(true, LINES);
            let mut passed = BytesMut::new();
            output.chunks(piece).for_each(|piece| passed.extend_from_slice(&amendment.pass(piece)));
            assert_eq!(&passed[..], b"0009\x02abc\n0006\x02d", "{piece}");
            let report = amendment.finish();
            assert_eq!(&report[4..], b"\x01000eunpack ok\n0015ng refs/pull/1 x\n0000", "{piece}");
        }
        let mut plain = Amendment::new(false, LINES);
        assert!(plain.pass(b"000eunpack ok\n0000").is_empty());
        assert_eq!(plain.finish(), "000eunpack ok\n0015ng refs/pull/1 x\n0000");
    }

    #[test]
    fn amendment_keeps_output_without_a_report() {
        let mut none = Amendment::new(true, LINES);
        assert_eq!(none.pass(b"0009\x02abc\n"), "0009\x02abc\n");
        assert!(none.finish().is_empty());
        let mut broken = Amendment::new(true, LINES);
        assert_eq!(broken.pass(b"not framed"), "not framed");
        assert!(broken.finish().is_empty());
    }
}
