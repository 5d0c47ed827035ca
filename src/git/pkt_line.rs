//! The pkt-line framing of git's smart protocol (gitprotocol-common): four hex digits of length,
//! which include themselves, then data. `0000` is a flush.

use bytes::{BufMut, Bytes, BytesMut};

/// Maximum number of data bytes in a line (gitprotocol-common: 65520 with the length).
pub const DATA_BYTES_MAX: usize = 65_516;
/// Maximum number of data bytes in a side-band line: one byte is the band number.
const BAND_BYTES_MAX: usize = DATA_BYTES_MAX - 1;

/// Number of hex digits of the length of a line.
pub(super) const LENGTH_DIGITS: usize = 4;

pub const FLUSH: &[u8] = b"0000";

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    Flush,
    Data(Bytes),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the data is not in pkt-line format")]
pub struct MalformedLine;

/// The frame at the beginning of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PktFrame {
    Flush,
    /// A line of this many bytes, including the four bytes of its length.
    Line(usize),
}

impl PktFrame {
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Flush => LENGTH_DIGITS,
            Self::Line(bytes) => bytes,
        }
    }
}

/// Returns the first frame of the input; `None` if it is incomplete.
pub(super) fn frame(input: &[u8]) -> Result<Option<PktFrame>, MalformedLine> {
    let Some(digits) = input.get(..LENGTH_DIGITS) else { return Ok(None) };
    let digits = std::str::from_utf8(digits).map_err(|_| MalformedLine)?;
    if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(MalformedLine);
    }
    let length = usize::from_str_radix(digits, 16).map_err(|_| MalformedLine)?;
    match length {
        0 => Ok(Some(PktFrame::Flush)),
        // 1 to 3 are special lines of protocol version 2, which pushes do not use; 4 is an empty
        // line, which must not be sent.
        1..=LENGTH_DIGITS => Err(MalformedLine),
        _ if length - LENGTH_DIGITS > DATA_BYTES_MAX => Err(MalformedLine),
        _ if input.len() < length => Ok(None),
        _ => Ok(Some(PktFrame::Line(length))),
    }
}

/// Removes and returns the first line of the input; `None` if it is incomplete.
pub fn take(input: &mut BytesMut) -> Result<Option<Line>, MalformedLine> {
    let Some(frame) = frame(input)? else { return Ok(None) };
    let mut line = input.split_to(frame.bytes()).freeze();
    Ok(Some(match frame {
        PktFrame::Flush => Line::Flush,
        PktFrame::Line(_) => Line::Data(line.split_off(LENGTH_DIGITS)),
    }))
}

/// Appends a line. Data beyond [`DATA_BYTES_MAX`] is truncated.
pub fn put(output: &mut BytesMut, data: &[u8]) {
    let data = data.get(..DATA_BYTES_MAX).unwrap_or(data);
    output.put_slice(format!("{:04x}", data.len() + 4).as_bytes());
    output.put_slice(data);
}

/// Appends `data` on a side band, split into as many lines as necessary.
pub fn put_band(output: &mut BytesMut, band: u8, data: &[u8]) {
    for part in data.chunks(BAND_BYTES_MAX) {
        output.put_slice(format!("{:04x}", part.len() + 5).as_bytes());
        output.put_u8(band);
        output.put_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn take_returns_complete_lines_in_order() {
        let mut input = BytesMut::from(&b"0006a\n0000000bhello\n!00"[..]);
        assert_eq!(take(&mut input), Ok(Some(Line::Data(Bytes::from_static(b"a\n")))));
        assert_eq!(take(&mut input), Ok(Some(Line::Flush)));
        assert_eq!(take(&mut input), Ok(Some(Line::Data(Bytes::from_static(b"hello\n!")))));
        assert_eq!(take(&mut input), Ok(None));
        assert_eq!(&input[..], b"00");
    }

    #[test]
    fn take_rejects_malformed_lengths() {
        for bad in ["zzzz", "0001", "0004", "+00a", "fffff", "00 5x"] {
            assert_eq!(take(&mut BytesMut::from(bad.as_bytes())), Err(MalformedLine), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn take_returns_data_written_by_put(data in proptest::collection::vec(any::<u8>(), 1..2000)) {
            let mut bytes = BytesMut::new();
            put(&mut bytes, &data);
            prop_assert_eq!(take(&mut bytes), Ok(Some(Line::Data(Bytes::from(data)))));
            prop_assert!(bytes.is_empty());
        }

        #[test]
        fn take_never_panics_on_arbitrary_bytes(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = BytesMut::from(&data[..]);
            while let Ok(Some(_)) = take(&mut bytes) {}
        }
    }
}
