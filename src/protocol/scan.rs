//! Checks the shape of MessagePack bytes before any value is built from them.
//!
//! Invariant: after `Ok`, the bytes are exactly one map, no deeper than [`DEPTH_MAX`], with every
//! length inside the frame. The scan allocates nothing and is linear in the frame.

/// The maximum nesting depth of a packet.
pub const DEPTH_MAX: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MalformedMap {
    #[error("the message is not JSON")]
    NotJson,
    #[error("the frame is not MessagePack")]
    NotMessagePack,
    #[error("the frame ends in the middle of a value")]
    Truncated,
    #[error("there are bytes after the packet")]
    Trailing,
    #[error("the packet nests deeper than 16 levels")]
    TooDeep,
    #[error("a packet must be a map")]
    NotAMap,
    #[error("the keys of a packet must be strings")]
    KeyNotText,
}

pub fn scan(frame: &[u8]) -> Result<(), MalformedMap> {
    let is_map = frame.first().is_some_and(|byte| matches!(byte, 0x80..=0x8f | 0xde | 0xdf));
    if !is_map {
        return Err(if frame.first() == Some(&0xc1) {
            MalformedMap::NotMessagePack
        } else {
            MalformedMap::NotAMap
        });
    }
    let mut rest = frame;
    let count = match take(&mut rest, 1)?.first().copied().unwrap_or(0xc1) {
        0xde => length(&mut rest, 2)?,
        0xdf => length(&mut rest, 4)?,
        fixed => usize::from(fixed & 0x0f),
    };
    if count > rest.len() {
        return Err(MalformedMap::Truncated);
    }
    for _ in 0..count {
        // Decoders accept integers as field indexes; only string keys name a field.
        if !rest.first().is_some_and(|byte| matches!(byte, 0xa0..=0xbf | 0xd9..=0xdb)) {
            return Err(if rest.is_empty() { MalformedMap::Truncated } else { MalformedMap::KeyNotText });
        }
        value(&mut rest, 2)?;
        value(&mut rest, 2)?;
    }
    if rest.is_empty() { Ok(()) } else { Err(MalformedMap::Trailing) }
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], MalformedMap> {
    let (head, tail) = rest.split_at_checked(count).ok_or(MalformedMap::Truncated)?;
    *rest = tail;
    Ok(head)
}

/// Reads a big-endian unsigned integer of `count` bytes.
fn length(rest: &mut &[u8], count: usize) -> Result<usize, MalformedMap> {
    let bytes = take(rest, count)?;
    Ok(bytes.iter().fold(0usize, |sum, byte| (sum << 8) | usize::from(*byte)))
}

fn value(rest: &mut &[u8], depth: usize) -> Result<(), MalformedMap> {
    let marker = take(rest, 1)?.first().copied().unwrap_or(0xc1);
    let low = |mask: u8| usize::from(marker & mask);
    let skip = match marker {
        0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => 0,
        0xc1 => return Err(MalformedMap::NotMessagePack),
        0xcc | 0xd0 => 1,
        0xcd | 0xd1 => 2,
        0xca | 0xce | 0xd2 => 4,
        0xcb | 0xcf | 0xd3 => 8,
        0xd4..=0xd8 => 1 + (1 << (marker - 0xd4)),
        0xa0..=0xbf => low(0x1f),
        0xc4 | 0xd9 => length(rest, 1)?,
        0xc5 | 0xda => length(rest, 2)?,
        0xc6 | 0xdb => length(rest, 4)?,
        0xc7 => 1 + length(rest, 1)?,
        0xc8 => 1 + length(rest, 2)?,
        0xc9 => 1 + length(rest, 4)?,
        0x90..=0x9f => return values(rest, low(0x0f), depth),
        0x80..=0x8f => return values(rest, 2 * low(0x0f), depth),
        0xdc => {
            let count = length(rest, 2)?;
            return values(rest, count, depth);
        }
        0xdd => {
            let count = length(rest, 4)?;
            return values(rest, count, depth);
        }
        0xde => {
            let count = length(rest, 2)?;
            return values(rest, 2 * count, depth);
        }
        0xdf => {
            let count = length(rest, 4)?;
            return values(rest, 2 * count, depth);
        }
    };
    take(rest, skip).map(drop)
}

fn values(rest: &mut &[u8], count: usize, depth: usize) -> Result<(), MalformedMap> {
    if depth > DEPTH_MAX {
        return Err(MalformedMap::TooDeep);
    }
    // Each value takes at least one byte: a count beyond the end of the frame is refused at once.
    if count > rest.len() {
        return Err(MalformedMap::Truncated);
    }
    for _ in 0..count {
        value(rest, depth + 1)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn scan_refuses_hostile_shapes() {
        let cases: [(&[u8], MalformedMap); 9] = [
            (&[], MalformedMap::NotAMap),
            (&[0x93, 1, 2, 3], MalformedMap::NotAMap),
            (&[0xc1; 1000], MalformedMap::NotMessagePack),
            (&[0xdf, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0], MalformedMap::Truncated),
            (&[0x81, 0xa1, b'a', 0xdd, 0xff, 0xff, 0xff, 0xff, 0, 0], MalformedMap::Truncated),
            (&[0x81, 0xa1, b'a', 1, 7], MalformedMap::Trailing),
            (&[0x81, 0x00, 0xa4, b'P', b'i', b'n', b'g'], MalformedMap::KeyNotText),
            (&[0x82, 0xa1, b'a', 1], MalformedMap::Truncated),
            (&[0x81, 0xa1, b'a', 0xdb, 0, 0, 0, 9, b'x'], MalformedMap::Truncated),
        ];
        for (bytes, expected) in cases {
            assert_eq!(scan(bytes), Err(expected), "{bytes:x?}");
        }
        let mut deep = vec![0x81, 0xa1, b'a'];
        deep.extend([0x91; 10_000]);
        deep.push(1);
        assert_eq!(scan(&deep), Err(MalformedMap::TooDeep));
    }

    proptest! {
        #[test]
        fn scan_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = scan(&bytes);
        }

        #[test]
        fn scan_accepts_encoded_packets(text in ".{0,80}", number: i64, list in proptest::collection::vec(any::<f64>(), 0..20)) {
            #[derive(serde::Serialize)]
            struct Packet { text: String, number: i64, list: Vec<f64>, none: Option<u8> }
            let bytes = rmp_serde::to_vec_named(&Packet { text, number, list, none: None }).unwrap();
            prop_assert_eq!(scan(&bytes), Ok(()));
        }
    }
}
