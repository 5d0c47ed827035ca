//! Frames: a `u32` big-endian length, then that many bytes. Lengths are checked before any
//! allocation.

use bytes::Bytes;
use serde::Serialize;

const PREFIX_BYTES: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("a frame must not be empty")]
    Empty,
    #[error("a frame of {length} bytes is above the limit of {max}")]
    TooLong { length: usize, max: usize },
}

/// Returns the first frame of `input` and the number of bytes it takes; `None` while it is
/// incomplete.
pub fn split(input: &[u8], max: usize) -> Result<Option<(&[u8], usize)>, FrameError> {
    let Some((prefix, rest)) = input.split_first_chunk::<PREFIX_BYTES>() else { return Ok(None) };
    let length = usize::try_from(u32::from_be_bytes(*prefix)).unwrap_or(usize::MAX);
    if length == 0 {
        return Err(FrameError::Empty);
    }
    if length > max {
        return Err(FrameError::TooLong { length, max });
    }
    Ok(rest.get(..length).map(|frame| (frame, PREFIX_BYTES + length)))
}

/// Returns the packet inside a complete frame of the server.
pub fn packet_of(frame: &Bytes) -> Bytes {
    frame.slice(PREFIX_BYTES.min(frame.len())..)
}

/// A size that fits most packets.
const USUAL_BYTES: usize = 256;

/// Encodes `packet` as a complete frame: length, then a MessagePack map with string keys.
pub fn encode(packet: &impl Serialize) -> Result<Bytes, rmp_serde::encode::Error> {
    encode_about(packet, USUAL_BYTES)
}

/// Like [`encode`], with an initial capacity of `bytes`: the buffer of a page is not reallocated as
/// it grows.
pub fn encode_about(packet: &impl Serialize, bytes: usize) -> Result<Bytes, rmp_serde::encode::Error> {
    let mut frame = Vec::with_capacity(bytes);
    frame.extend_from_slice(&[0; PREFIX_BYTES]);
    packet.serialize(&mut rmp_serde::Serializer::new(&mut frame).with_struct_map())?;
    let length = u32::try_from(frame.len() - PREFIX_BYTES)
        .map_err(|_| rmp_serde::encode::Error::Syntax("a frame above 4 GiB".into()))?;
    if let Some(prefix) = frame.first_chunk_mut::<PREFIX_BYTES>() {
        *prefix = length.to_be_bytes();
    }
    Ok(Bytes::from(frame))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_is_split_wherever_the_stream_is_cut() {
        let stream = [0, 0, 0, 2, b'a', b'b', 0, 0, 0, 1, b'c'];
        for cut in 0..6 {
            assert_eq!(split(&stream[..cut], 10), Ok(None));
        }
        assert_eq!(split(&stream, 10), Ok(Some((&b"ab"[..], 6))));
        assert_eq!(split(&stream[6..], 10), Ok(Some((&b"c"[..], 5))));
    }

    #[test]
    fn bad_length_is_refused_before_its_bytes_arrive() {
        assert_eq!(split(&[0, 0, 0, 0], 10), Err(FrameError::Empty));
        assert_eq!(split(&[0, 0, 0, 11], 10), Err(FrameError::TooLong { length: 11, max: 10 }));
        assert!(split(&[0xff; 4], 10).is_err());
    }

    #[test]
    fn encoded_frame_can_be_split() {
        let frame = encode(&std::collections::BTreeMap::from([("a", 1)])).unwrap();
        assert_eq!(frame[..], [0, 0, 0, 4, 0x81, 0xa1, b'a', 1]);
        assert_eq!(split(&frame, 100).unwrap().unwrap().1, frame.len());
    }
}
