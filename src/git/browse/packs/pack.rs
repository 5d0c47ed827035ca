//! One pack: finds objects in its index and reads the headers of their entries (gitformat-pack).

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use flate2::{Decompress, FlushDecompress};
use git2::{ObjectType, Oid};

use super::{Stored, inflated, malformed};

/// Maximum length of a delta chain: the most that git itself creates (`pack.depth`).
const CHAIN_MAX: usize = 4_096;
/// Maximum number of deltas cached per pack during a request, about 60 bytes each.
const CHAINS_KNOWN_MAX: usize = 100_000;
const INDEX_MAGIC: [u8; 8] = [0xff, b't', b'O', b'c', 0, 0, 0, 2];
const FANOUT_BYTES: usize = 256 * 4;
const OID_BYTES: usize = 20;
const NAME_STEP: u64 = 20;
const NAMES_AT: u64 = 8 + 1024;
/// Number of remaining names that are read in one block.
const BLOCK: u32 = 32;
/// Number of bytes read of an entry for its header, its base and the sizes at the beginning of its
/// delta, per attempt. The first is usually sufficient. The code tables of a deflate block take up
/// to about 300 bytes, and empty blocks may precede it.
const ENTRY_BYTES: [usize; 3] = [160, 1024, 64 * 1024];

/// Maximum size of the type and size fields of an entry.
const ENTRY_HEAD_BYTES: usize = 16;
pub(super) struct Pack {
    pub(super) path: PathBuf,
    /// Cached delta chains, by the offsets of their entries: adjacent versions in a history share
    /// their bases.
    chains: HashMap<u64, Chain>,
    /// `None` if many packs are open: the index is then opened for each search.
    index: Option<File>,
    fanout: Vec<u32>,
    data: Option<File>,
}

/// A delta with all of its bases.
#[derive(Clone, Copy)]
struct Chain {
    kind: ObjectType,
    bytes: usize,
    peak_bytes: usize,
    all_bytes: usize,
    length: usize,
}

enum PackedObject {
    Whole(ObjectType, usize),
    Delta { base: u64, delta_bytes: usize, bytes: usize },
}

impl Pack {
    pub(super) fn open(path: PathBuf, keep: bool) -> io::Result<Self> {
        let index = File::open(&path)?;
        let mut head = [0; INDEX_MAGIC.len() + FANOUT_BYTES];
        index.read_exact_at(&mut head, 0)?;
        let (magic, fanout) = head.split_at(INDEX_MAGIC.len());
        if magic != INDEX_MAGIC {
            return Err(malformed("the index of a pack does not have version 2"));
        }
        let fanout = fanout.chunks_exact(4).map(number).collect();
        Ok(Self { path, chains: HashMap::new(), index: keep.then_some(index), fanout, data: None })
    }

    /// Returns the offset of the object's entry.
    pub(super) fn find(&self, oid: Oid) -> io::Result<Option<u64>> {
        let wanted = oid.as_bytes();
        let first = usize::from(wanted.first().copied().unwrap_or_default());
        let count = |at: usize| self.fanout.get(at).copied().unwrap_or_default();
        let (mut low, mut high) = (first.checked_sub(1).map_or(0, count), count(first));
        if low >= high {
            return Ok(None);
        }
        let opened;
        let index = match &self.index {
            Some(index) => index,
            None => {
                opened = File::open(&self.path)?;
                &opened
            }
        };
        while high.saturating_sub(low) > BLOCK {
            let middle = low.midpoint(high);
            let mut name = [0; OID_BYTES];
            index.read_exact_at(&mut name, name_at(middle))?;
            if name.as_slice() <= wanted { low = middle } else { high = middle }
        }
        let count = usize::try_from(high.saturating_sub(low)).unwrap_or_default();
        let mut names = vec![0; count.saturating_mul(OID_BYTES)];
        index.read_exact_at(&mut names, name_at(low))?;
        let Some(place) = names.chunks_exact(OID_BYTES).position(|name| name == wanted) else {
            return Ok(None);
        };
        self.offset(index, low.saturating_add(u32::try_from(place).unwrap_or(u32::MAX))).map(Some)
    }

    fn offset(&self, index: &File, place: u32) -> io::Result<u64> {
        let total = u64::from(self.fanout.last().copied().unwrap_or_default());
        // The names are followed by their checksums, the 31-bit offsets and the 64-bit offsets.
        let offsets_at = NAMES_AT.saturating_add(total.saturating_mul(24));
        let mut word = [0; 4];
        index.read_exact_at(&mut word, offsets_at.saturating_add(u64::from(place).saturating_mul(4)))?;
        let offset = u32::from_be_bytes(word);
        if offset & 0x8000_0000 == 0 {
            return Ok(u64::from(offset));
        }
        let large_at = offsets_at.saturating_add(total.saturating_mul(4));
        let mut word = [0; 8];
        let place = u64::from(offset & 0x7fff_ffff).saturating_mul(8);
        index.read_exact_at(&mut word, large_at.saturating_add(place))?;
        Ok(u64::from_be_bytes(word))
    }

    /// Returns the cost of reading the object at `offset`.
    ///
    /// # Errors
    /// `FileTooLarge` for a chain of more than [`CHAIN_MAX`] deltas. A push can store such a chain,
    /// because deltas may refer to a base that arrives later.
    pub(super) fn stored(&mut self, offset: u64, number: usize) -> io::Result<Stored> {
        let (mut at, mut above) = (offset, Vec::new());
        let mut chain = loop {
            if let Some(known) = self.chains.get(&at) {
                break *known;
            }
            if above.len() >= CHAIN_MAX {
                return Err(too_many_deltas());
            }
            match self.entry(at)? {
                PackedObject::Whole(kind, bytes) => {
                    break Chain { kind, bytes, peak_bytes: bytes, all_bytes: bytes, length: 1 };
                }
                PackedObject::Delta { base, delta_bytes, bytes } => {
                    above.push((at, delta_bytes, bytes));
                    at = base;
                }
            }
        };
        for (at, delta_bytes, bytes) in above.into_iter().rev() {
            let peak_bytes = bytes.max(delta_bytes).max(chain.peak_bytes);
            let all_bytes = chain.all_bytes.saturating_add(bytes).saturating_add(delta_bytes);
            chain = Chain { bytes, peak_bytes, all_bytes, length: chain.length.saturating_add(1), ..chain };
            if chain.length > CHAIN_MAX {
                return Err(too_many_deltas());
            }
            if self.chains.len() < CHAINS_KNOWN_MAX {
                self.chains.insert(at, chain);
            }
        }
        let Chain { kind, bytes, peak_bytes, all_bytes: chain_bytes, length } = chain;
        let deltas_of = (length > 1).then_some(number);
        Ok(Stored { kind, bytes, peak_bytes, chain_bytes, deltas_of })
    }

    pub(super) fn first_bytes(&mut self, offset: u64, bytes_max: usize) -> io::Result<Option<Vec<u8>>> {
        if !matches!(self.entry(offset)?, PackedObject::Whole(..)) {
            return Ok(None);
        }
        let head = self.read(offset, ENTRY_HEAD_BYTES)?;
        let length = head.iter().take_while(|byte| *byte & 0x80 != 0).count().saturating_add(1);
        let mut data = File::open(self.path.with_extension("pack"))?;
        data.seek(SeekFrom::Start(offset.saturating_add(length as u64)))?;
        inflated(data, bytes_max).map(Some)
    }

    /// Reads the header of the entry at `at`, and for a delta also the sizes at its beginning.
    fn entry(&mut self, at: u64) -> io::Result<PackedObject> {
        for length in ENTRY_BYTES {
            let bytes = self.read(at, length)?;
            if let Some(entry) = self.entry_in(at, &bytes)? {
                return Ok(entry);
            }
        }
        Err(malformed("a delta does not begin with its sizes"))
    }

    /// Parses the first bytes of an entry; `None` if they do not contain the sizes of a delta.
    fn entry_in(&mut self, at: u64, mut bytes: &[u8]) -> io::Result<Option<PackedObject>> {
        let first = take(&mut bytes)?;
        let (mut size, mut shift, mut more) = (usize::from(first & 15), 4_u32, first & 0x80 != 0);
        while more {
            let byte = take(&mut bytes)?;
            size |= shifted(byte, shift)?;
            (shift, more) = (shift.saturating_add(7), byte & 0x80 != 0);
        }
        let base = match (first >> 4) & 7 {
            1 => return Ok(Some(PackedObject::Whole(ObjectType::Commit, size))),
            2 => return Ok(Some(PackedObject::Whole(ObjectType::Tree, size))),
            3 => return Ok(Some(PackedObject::Whole(ObjectType::Blob, size))),
            4 => return Ok(Some(PackedObject::Whole(ObjectType::Tag, size))),
            6 => {
                let back = distance(&mut bytes)?;
                at.checked_sub(back).filter(|base| *base < at)
            }
            7 => {
                let oid = bytes.get(..OID_BYTES).and_then(|name| Oid::from_bytes(name).ok());
                bytes = bytes.get(OID_BYTES..).unwrap_or_default();
                oid.map(|oid| self.find(oid)).transpose()?.flatten()
            }
            _ => None,
        };
        let base = base.ok_or_else(|| malformed("an entry of a pack has no base"))?;
        let mut begin = [0; 32];
        let mut inflater = Decompress::new(true);
        inflater.decompress(bytes, &mut begin, FlushDecompress::None).map_err(io::Error::other)?;
        let length = usize::try_from(inflater.total_out()).unwrap_or_default();
        let mut begin = begin.get(..length).unwrap_or_default();
        // Each of the two sizes ends with a byte without the high bit.
        if begin.iter().filter(|byte| *byte & 0x80 == 0).count() < 2 {
            return Ok(None);
        }
        let _base_bytes = varint(&mut begin)?;
        Ok(Some(PackedObject::Delta { base, delta_bytes: size, bytes: varint(&mut begin)? }))
    }

    fn read(&mut self, at: u64, length: usize) -> io::Result<Vec<u8>> {
        let data = match self.data.take() {
            Some(data) => data,
            None => File::open(self.path.with_extension("pack"))?,
        };
        let mut bytes = vec![0; length];
        let read = data.read_at(&mut bytes, at)?;
        self.data = self.index.is_some().then_some(data);
        bytes.truncate(read);
        Ok(bytes)
    }
}

fn too_many_deltas() -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, "the delta chain of an object is too long")
}

fn name_at(place: u32) -> u64 {
    NAMES_AT.saturating_add(u64::from(place).saturating_mul(NAME_STEP))
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

fn take(bytes: &mut &[u8]) -> io::Result<u8> {
    let (first, rest) = bytes.split_first().ok_or_else(|| malformed("an entry of a pack is truncated"))?;
    *bytes = rest;
    Ok(*first)
}

fn shifted(byte: u8, shift: u32) -> io::Result<usize> {
    let bits = usize::from(byte & 0x7f);
    let value = bits.checked_shl(shift).filter(|value| value >> shift == bits);
    value.ok_or_else(|| malformed("a size in a pack is too large"))
}

/// Reads a number of seven bits per byte, lowest first.
fn varint(bytes: &mut &[u8]) -> io::Result<usize> {
    let (mut value, mut shift) = (0, 0_u32);
    loop {
        let byte = take(bytes)?;
        value |= shifted(byte, shift)?;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
        shift = shift.saturating_add(7);
    }
}

/// Reads the distance back to the base of a delta: seven bits per byte, highest first. Each further
/// byte adds one before the shift.
fn distance(bytes: &mut &[u8]) -> io::Result<u64> {
    let mut byte = take(bytes)?;
    let mut value = u64::from(byte & 0x7f);
    while byte & 0x80 != 0 {
        byte = take(bytes)?;
        let next = value.saturating_add(1).checked_mul(128);
        value = next
            .ok_or_else(|| malformed("a delta base is before the start of its pack"))?
            .saturating_add(u64::from(byte & 0x7f));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::handmade_pack::{BLOB, Handmade};
    use std::fs;
    use std::io::Write;

    /// Some ordinary pushes of a changed program were unreadable: the deflate tables before the
    /// sizes of their deltas took more bytes than were read. In this test, empty blocks replace the
    /// tables.
    #[test]
    fn delta_sizes_are_found_at_any_distance_from_entry_start() {
        // From 200 to 300 bytes, by copying the first.
        let delta = [0xc8, 1, 0xac, 2, 0x90, 1];
        let mut deflated = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        deflated.write_all(&delta).unwrap();
        let deflated = deflated.finish().unwrap();
        for blocks in [0, 40, 400] {
            let empty = [0, 0, 0, 0xff, 0xff].repeat(blocks);
            let entry = [&[0x66, 12, 0x78, 0x01][..], &empty, &deflated].concat();
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("pack-x.idx");
            fs::write(path.with_extension("pack"), [&[0; 20][..], &entry].concat()).unwrap();
            let mut pack = Pack { path, chains: HashMap::new(), index: None, fanout: Vec::new(), data: None };
            let found = pack.entry(20).unwrap();
            assert!(matches!(found, PackedObject::Delta { base: 8, delta_bytes: 6, bytes: 300 }), "{blocks}");
            assert_eq!(pack.entry_in(20, &entry[..10.min(entry.len())]).unwrap().is_none(), blocks > 0);
        }
    }

    /// A chain beyond the limit is reported as a large object (413), not as damage (500).
    #[test]
    fn delta_chain_is_too_large_beyond_chain_max() {
        for (deltas, readable) in [(CHAIN_MAX - 1, true), (CHAIN_MAX, false)] {
            let mut made = Handmade::new(0).object(BLOB, b"x");
            for base in 0..deltas {
                made = made.delta(base, 1, 1);
            }
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("pack-x.idx");
            fs::write(path.with_extension("pack"), &made.bytes).unwrap();
            let mut pack = Pack { path, chains: HashMap::new(), index: None, fanout: Vec::new(), data: None };
            let found = pack.stored(made.offsets[deltas], 0).map_err(|error| error.kind());
            assert_eq!(found.is_ok(), readable, "{deltas}: {found:?}");
            assert!(readable || found == Err(io::ErrorKind::FileTooLarge));
        }
    }
}
