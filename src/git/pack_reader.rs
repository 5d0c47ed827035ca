//! Parses a pack while it is streamed to git (gitformat-pack), and refuses oversized packs before
//! git has received them.
//!
//! Purpose: admission control for the bytes of a push. git checks a pack only after it holds all of
//! it in memory. So every size is checked here first, entry by entry ([`PackLimits`]): the declared
//! size, the inflated size, the size of the result of a delta, the length of delta chains, the
//! number of entries and the total.
//!
//! Invariants
//! * [`PackReader::feed`] never returns a byte of the checksum. git treats a pack as complete once
//!   it has the checksum, so the caller decides about a push by holding the checksum back.
//! * A refused entry is never forwarded completely: git never sees a complete pack.
//! * Memory is bounded by [`PackLimits::entries`] (see [`EntryTable`]) and one scratch buffer.
//!
//! Deliberately absent: resolving deltas. The size of a result is at the beginning of the delta.
//! git refuses a delta whose base has another size than the delta declares.

mod error;
mod numbers;

use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use flate2::{Decompress, FlushDecompress, Status};

pub use error::PackError;
use numbers::{DeltaSizes, VARINT_BYTES_MAX, base_offset, entry_size, varint_bytes};

use super::browse::open_repository;
use super::pack_entries::{Base, EntryTable, PackEntryKind};
use super::pack_limits::{PackCost, PackLimits, PackTotals};
use crate::core::saturate;

/// Length of the pack header: `PACK`, version, number of entries.
const HEADER_BYTES: usize = 12;
/// Length of a SHA-1: the checksum at the end of a pack, or the name of the base of a delta.
pub(super) const HASH_BYTES: usize = 20;
/// Maximum number of bytes that are inflated at once.
const SCRATCH_BYTES: usize = 64 * 1024;
/// Maximum length of the sizes of base and result at the beginning of a delta.
const DELTA_HEAD_BYTES: usize = 2 * VARINT_BYTES_MAX;

/// Looks up the kind of an object in the repository, for deltas on objects outside of the pack.
pub type FindKind = Box<dyn FnMut(&[u8; HASH_BYTES]) -> Option<PackEntryKind> + Send>;

/// Returns a lookup in the repository at `path`, which is opened at the first call.
pub(super) fn kinds_in(path: PathBuf) -> FindKind {
    let mut opened = None;
    Box::new(move |name| {
        let repository = opened.get_or_insert_with(|| open_repository(&path).ok()).as_ref()?;
        let oid = git2::Oid::from_bytes(name).ok()?;
        match repository.odb().ok()?.read_header(oid).ok()?.1 {
            git2::ObjectType::Commit => Some(PackEntryKind::Commit),
            git2::ObjectType::Tree => Some(PackEntryKind::Tree),
            git2::ObjectType::Blob => Some(PackEntryKind::Blob),
            git2::ObjectType::Tag => Some(PackEntryKind::Tag),
            git2::ObjectType::Any => None,
        }
    })
}

/// Parses a pack that arrives in pieces.
pub struct PackReader {
    limits: PackLimits,
    find_kind: FindKind,
    totals: PackTotals,
    entries: EntryTable,
    stage: PackStage,
    announced: Option<u32>,
    entries_left: u32,
    /// The received part of an incomplete header.
    partial: BytesMut,
    current: PackEntry,
    /// Size in bytes of the largest delta that overlaps the last piece.
    delta_passing: u64,
    /// Offset of the current entry, and number of bytes of the pack that were read.
    entry_offset: u64,
    offset: u64,
    inflate: Decompress,
    scratch: Vec<u8>,
    checksum: BytesMut,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PackStage {
    Header,
    /// The header of an entry: type, size, and the base of a delta.
    Entry,
    Content,
    Checksum,
}

/// The entry that is being read.
#[derive(Debug, Default)]
struct PackEntry {
    /// `None` for a delta.
    kind: Option<PackEntryKind>,
    base: Option<Base>,
    declared: u64,
    inflated: u64,
    /// The first inflated bytes of a delta, until both sizes are known.
    delta_head: BytesMut,
    delta_read: bool,
}

impl PackReader {
    pub fn new(limits: PackLimits, find_kind: FindKind) -> Self {
        Self {
            find_kind,
            totals: PackTotals::new(limits),
            limits,
            entries: EntryTable::default(),
            stage: PackStage::Header,
            announced: None,
            entries_left: 0,
            partial: BytesMut::new(),
            current: PackEntry::default(),
            delta_passing: 0,
            entry_offset: 0,
            offset: 0,
            inflate: Decompress::new(true),
            scratch: vec![0; SCRATCH_BYTES],
            checksum: BytesMut::new(),
        }
    }

    /// Reads the next bytes; returns those that may be forwarded to git now.
    ///
    /// # Errors
    /// The pack is malformed or exceeds a limit. From then on, nothing of the push may be forwarded
    /// to git.
    pub fn feed(&mut self, bytes: &Bytes) -> Result<Bytes, PackError> {
        let mut at = 0;
        let is_delta = self.stage == PackStage::Content && self.current.kind.is_none();
        self.delta_passing = if is_delta { self.current.declared } else { 0 };
        while at < bytes.len() {
            let rest = bytes.get(at..).unwrap_or_default();
            let taken = match self.stage {
                PackStage::Header => self.header(rest)?,
                PackStage::Entry => self.entry(rest)?,
                PackStage::Content => self.content(rest)?,
                PackStage::Checksum => {
                    if self.checksum.len() + rest.len() > HASH_BYTES {
                        return Err(PackError::Trailing);
                    }
                    self.checksum.extend_from_slice(rest);
                    return Ok(bytes.slice(..at));
                }
            };
            at += taken;
            self.offset = self.offset.saturating_add(saturate::to_u64(taken));
            if self.stage == PackStage::Entry && self.partial.is_empty() {
                self.entry_offset = self.offset;
            }
        }
        Ok(bytes.clone())
    }

    /// Returns the checksum once it is complete: the pack is then complete too.
    pub fn checksum(&self) -> Option<&[u8]> {
        (self.checksum.len() == HASH_BYTES).then_some(&self.checksum[..])
    }

    /// Returns the number of entries that the pack announces, once its header was read.
    pub fn announced(&self) -> Option<u32> {
        self.announced
    }

    /// Returns the number of entries whose content has begun.
    pub fn entries_read(&self) -> u32 {
        let finished = self.announced.unwrap_or(0).saturating_sub(self.entries_left);
        finished.saturating_add(u32::from(self.stage == PackStage::Content))
    }

    /// Returns the size in bytes of the largest delta that overlaps the last piece: git holds it in
    /// memory.
    pub fn delta_passing_bytes(&self) -> u64 {
        self.delta_passing
    }

    /// Returns the cost for git to unpack the pack.
    pub fn cost(&self) -> PackCost {
        self.totals.cost(self.announced.unwrap_or(0))
    }

    /// Appends bytes to the partial header until it has `wanted` bytes; returns the number of bytes
    /// taken.
    fn collect(&mut self, rest: &[u8], wanted: usize) -> usize {
        let take = wanted.saturating_sub(self.partial.len()).min(rest.len());
        self.partial.extend_from_slice(rest.get(..take).unwrap_or_default());
        take
    }

    fn header(&mut self, rest: &[u8]) -> Result<usize, PackError> {
        let taken = self.collect(rest, HEADER_BYTES);
        let Some((magic, count)) = self.partial.first_chunk::<HEADER_BYTES>().map(|h| h.split_at(8)) else {
            return Ok(taken);
        };
        // git accepts versions 2 and 3.
        if !matches!(magic, b"PACK\0\0\0\x02" | b"PACK\0\0\0\x03") {
            return Err(PackError::Malformed);
        }
        self.entries_left = count.try_into().map(u32::from_be_bytes).map_err(|_| PackError::Malformed)?;
        if self.entries_left > self.limits.entries {
            let (count, max) = (self.entries_left, self.limits.entries);
            return Err(PackError::TooManyEntries { count, max });
        }
        self.announced = Some(self.entries_left);
        self.next_entry();
        Ok(taken)
    }

    fn next_entry(&mut self) {
        self.partial.clear();
        self.current = PackEntry::default();
        self.stage = if self.entries_left == 0 { PackStage::Checksum } else { PackStage::Entry };
    }

    fn entry(&mut self, rest: &[u8]) -> Result<usize, PackError> {
        // One byte at a time: headers are short, and the bytes after a header must not be consumed.
        let taken = self.collect(rest, self.partial.len() + 1);
        let Some(size_bytes) = varint_bytes(&self.partial)? else { return Ok(taken) };
        let (size, tail) = self.partial.split_at_checked(size_bytes).ok_or(PackError::Malformed)?;
        let code = size.first().map_or(0, |first| (first >> 4) & 7);
        let base = match code {
            1..=4 => None,
            6 if varint_bytes(tail)?.is_none() => return Ok(taken),
            6 => Some(Base::At(base_offset(self.entry_offset, tail).ok_or(PackError::Malformed)?)),
            7 => match tail.first_chunk::<HASH_BYTES>() {
                Some(hash) => Some(Base::Named(*hash)),
                None => return Ok(taken),
            },
            _ => return Err(PackError::Malformed),
        };
        let declared = entry_size(size).ok_or(PackError::Malformed)?;
        self.current =
            PackEntry { kind: PackEntryKind::from_code(code), base, declared, ..PackEntry::default() };
        match self.current.kind {
            Some(kind) => {
                self.limits.check_object(kind, declared)?;
                self.entries.push(self.entry_offset, Some(kind), declared, 0);
            }
            None => {
                self.limits.check_delta_bytes(declared)?;
                self.delta_passing = self.delta_passing.max(declared);
            }
        }
        self.totals.entry_at(self.entry_offset);
        self.totals.unpacked(declared)?;
        self.inflate.reset(true);
        self.stage = PackStage::Content;
        Ok(taken)
    }

    fn content(&mut self, rest: &[u8]) -> Result<usize, PackError> {
        let mut taken = 0;
        loop {
            let input = rest.get(taken..).unwrap_or_default();
            let (before_in, before_out) = (self.inflate.total_in(), self.inflate.total_out());
            let status = self
                .inflate
                .decompress(input, &mut self.scratch, FlushDecompress::None)
                .map_err(|_| PackError::Malformed)?;
            let used = saturate::to_usize(self.inflate.total_in() - before_in);
            let made = saturate::to_usize(self.inflate.total_out() - before_out);
            taken += used;
            self.inflated(made)?;
            match status {
                Status::StreamEnd => {
                    self.end_entry()?;
                    return Ok(taken);
                }
                _ if taken >= rest.len() && used == 0 && made == 0 => return Ok(taken),
                _ if used == 0 && made == 0 => return Err(PackError::Malformed),
                _ => {}
            }
        }
    }

    /// Counts inflated bytes of the current entry: the first `made` bytes of the scratch buffer.
    fn inflated(&mut self, made: usize) -> Result<(), PackError> {
        let entry = &mut self.current;
        entry.inflated = entry.inflated.saturating_add(saturate::to_u64(made));
        if entry.inflated > entry.declared {
            return Err(PackError::Malformed);
        }
        let Some(base) = entry.base.filter(|_| !entry.delta_read) else { return Ok(()) };
        let room = DELTA_HEAD_BYTES.saturating_sub(entry.delta_head.len());
        entry.delta_head.extend_from_slice(self.scratch.get(..made.min(room)).unwrap_or_default());
        let Some(sizes) = DeltaSizes::read(&entry.delta_head)? else { return Ok(()) };
        entry.delta_read = true;
        self.delta(base, sizes)
    }

    /// Checks the result of a delta before git receives its last byte.
    fn delta(&mut self, base: Base, sizes: DeltaSizes) -> Result<(), PackError> {
        let found = match base {
            Base::At(offset) => Some(self.entries.get(offset).ok_or(PackError::Malformed)?),
            Base::Named(_) => None,
        };
        let kind = match (found, base) {
            (Some(base), _) => base.kind,
            // Small enough for any kind: no lookup in the repository is needed.
            (None, Base::Named(_)) if sizes.result <= self.limits.commit_bytes => None,
            (None, Base::Named(name)) => (self.find_kind)(&name),
            (None, Base::At(_)) => None,
        };
        let declared = self.current.declared;
        PackLimits::check_delta_ratio(declared, sizes.result)?;
        self.limits.check_delta_bytes(sizes.base)?;
        self.limits.check_delta(kind, sizes.result)?;
        self.totals.delta(declared, sizes.base, sizes.result)?;
        let (depth, cost) = match found {
            Some(base) => (base.depth, base.cost),
            None => (0, sizes.base),
        };
        let (depth, cost) = (depth.saturating_add(1), cost.saturating_add(sizes.result));
        self.limits.check_chain(depth, cost, sizes.result)?;
        self.entries.push(self.entry_offset, kind, cost, depth);
        if found.is_none() {
            self.totals.unknown_base(sizes.result)?;
        }
        Ok(())
    }

    fn end_entry(&mut self) -> Result<(), PackError> {
        let entry = &self.current;
        if entry.inflated != entry.declared || (entry.base.is_some() && !entry.delta_read) {
            return Err(PackError::Malformed);
        }
        self.entries_left = self.entries_left.saturating_sub(1);
        self.next_entry();
        Ok(())
    }
}

#[cfg(test)]
#[path = "pack_reader_test.rs"]
mod tests;
