//! Packs built by hand, entry by entry, with arbitrary declared sizes. For tests only: those of the
//! pack reader, and those that attack a server (`tests/it/hostile/`), which include this file.

#![allow(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "for tests"
)]
#![allow(unreachable_pub, reason = "included in other crates")]
#![allow(dead_code, reason = "each user needs a part")]

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;

/// A pack built by hand; its entries need not be valid.
#[derive(Clone)]
pub struct Handmade {
    pub bytes: Vec<u8>,
    pub offsets: Vec<u64>,
}

pub const COMMIT: u8 = 1;
pub const TREE: u8 = 2;
pub const BLOB: u8 = 3;
pub const OFFSET_DELTA: u8 = 6;
pub const NAMED_DELTA: u8 = 7;

impl Handmade {
    pub fn new(count: u32) -> Self {
        Self { bytes: [&b"PACK\0\0\0\x02"[..], &count.to_be_bytes()].concat(), offsets: Vec::new() }
    }

    /// Adds an entry that declares `size`, with `base` after its header and `content` deflated.
    pub fn entry(mut self, code: u8, size: u64, base: &[u8], content: &[u8]) -> Self {
        self.offsets.push(self.bytes.len() as u64);
        let mut rest = size >> 4;
        let mut byte = (code << 4) | (size & 15) as u8;
        while rest > 0 {
            self.bytes.push(byte | 0x80);
            byte = (rest & 0x7f) as u8;
            rest >>= 7;
        }
        self.bytes.push(byte);
        self.bytes.extend_from_slice(base);
        let mut deflated = ZlibEncoder::new(Vec::new(), Compression::best());
        deflated.write_all(content).unwrap();
        self.bytes.extend_from_slice(&deflated.finish().unwrap());
        self
    }

    pub fn object(self, code: u8, content: &[u8]) -> Self {
        self.entry(code, content.len() as u64, &[], content)
    }

    /// Adds a delta on entry number `base` that declares a base of `from` bytes and a result of
    /// `result` bytes.
    pub fn delta(self, base: usize, from: u64, result: u64) -> Self {
        let distance = self.bytes.len() as u64 - self.offsets[base];
        let content = [size(from), size(result), vec![0x90, 1]].concat();
        self.entry(OFFSET_DELTA, content.len() as u64, &back(distance), &content)
    }

    pub fn named_delta(self, from: u64, result: u64) -> Self {
        let content = [size(from), size(result), vec![0x90, 1]].concat();
        self.entry(NAMED_DELTA, content.len() as u64, &[9; 20], &content)
    }
}

/// Encodes a size as in a delta.
pub fn size(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 0x7f {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// Encodes the distance back to the base of an offset delta.
pub fn back(mut distance: u64) -> Vec<u8> {
    let mut bytes = vec![(distance & 0x7f) as u8];
    while distance > 0x7f {
        distance = (distance >> 7) - 1;
        bytes.push((distance & 0x7f) as u8 | 0x80);
    }
    bytes.reverse();
    bytes
}
