//! The framing of git's smart protocol (gitprotocol-common): four hex digits of length, themselves included, then data.
//! `0000` is a flush.

use bytes::{BufMut, Bytes, BytesMut};

/// The most data in one line (gitprotocol-common: 65520 with the length).
pub const DATA_BYTES_MAX: usize = 65_516;
/// The most text in one side-band line: one byte names the band.
const BAND_BYTES_MAX: usize = DATA_BYTES_MAX - 1;

/// Hex digits of a line's length.
pub(super) const LENGTH_DIGITS: usize = 4;

pub const FLUSH: &[u8] = b"0000";

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    Flush,
    Data(Bytes),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the data is not framed as git frames it")]
pub struct Malformed;

/// What the next bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame {
    Flush,
    /// A line of so many bytes, the four of its length among them.
    Line(usize),
}

impl Frame {
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Flush => LENGTH_DIGITS,
            Self::Line(bytes) => bytes,
        }
    }
}

/// The frame at the front, if it is there whole.
pub(super) fn frame(input: &[u8]) -> Result<Option<Frame>, Malformed> {
    let Some(digits) = input.get(..LENGTH_DIGITS) else { return Ok(None) };
    let digits = std::str::from_utf8(digits).map_err(|_| Malformed)?;
    if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(Malformed);
    }
    let length = usize::from_str_radix(digits, 16).map_err(|_| Malformed)?;
    match length {
        0 => Ok(Some(Frame::Flush)),
        // 1 to 3 are special lines of version 2, which no push has; 4 is an empty line, which nobody may send.
        1..=LENGTH_DIGITS => Err(Malformed),
        _ if length - LENGTH_DIGITS > DATA_BYTES_MAX => Err(Malformed),
        _ if input.len() < length => Ok(None),
        _ => Ok(Some(Frame::Line(length))),
    }
}

/// Takes the next line off the front, if it is there whole.
pub fn take(input: &mut BytesMut) -> Result<Option<Line>, Malformed> {
    let Some(frame) = frame(input)? else { return Ok(None) };
    let mut line = input.split_to(frame.bytes()).freeze();
    Ok(Some(match frame {
        Frame::Flush => Line::Flush,
        Frame::Line(_) => Line::Data(line.split_off(LENGTH_DIGITS)),
    }))
}

/// Appends a line. Data beyond [`DATA_BYTES_MAX`] is cut.
pub fn put(output: &mut BytesMut, data: &[u8]) {
    let data = data.get(..DATA_BYTES_MAX).unwrap_or(data);
    output.put_slice(format!("{:04x}", data.len() + 4).as_bytes());
    output.put_slice(data);
}

/// Appends `data` on a side band, in as many lines as it needs.
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
    fn lines_come_one_by_one_and_only_whole() {
        let mut input = BytesMut::from(&b"0006a\n0000000bhello\n!00"[..]);
        assert_eq!(take(&mut input), Ok(Some(Line::Data(Bytes::from_static(b"a\n")))));
        assert_eq!(take(&mut input), Ok(Some(Line::Flush)));
        assert_eq!(take(&mut input), Ok(Some(Line::Data(Bytes::from_static(b"hello\n!")))));
        assert_eq!(take(&mut input), Ok(None));
        assert_eq!(&input[..], b"00");
    }

    #[test]
    fn what_is_not_framed_is_refused() {
        for bad in ["zzzz", "0001", "0004", "+00a", "fffff", "00 5x"] {
            assert_eq!(take(&mut BytesMut::from(bad.as_bytes())), Err(Malformed), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_put_is_taken_again(data in proptest::collection::vec(any::<u8>(), 1..2000)) {
            let mut bytes = BytesMut::new();
            put(&mut bytes, &data);
            prop_assert_eq!(take(&mut bytes), Ok(Some(Line::Data(Bytes::from(data)))));
            prop_assert!(bytes.is_empty());
        }

        #[test]
        fn any_bytes_are_lines_or_malformed_and_never_a_panic(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = BytesMut::from(&data[..]);
            while let Ok(Some(_)) = take(&mut bytes) {}
        }
    }
}
