//! The entries of a pack that were read so far, by offset: later deltas refer to them.
//!
//! Invariant: 16 bytes per entry, stored in blocks, so that growing never copies the whole table.

use super::pack_reader::HASH_BYTES;

/// Number of entries per block of the table.
const BLOCK_ENTRIES: usize = 16 * 1024;
/// Low bits of a packed record: 3 for the kind, 13 for the depth.
const KIND_BITS: u32 = 3;
const DEPTH_BITS: u32 = 13;

/// The type of a git object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackEntryKind {
    Commit,
    Tree,
    Blob,
    Tag,
}

impl PackEntryKind {
    /// Returns the kind for the type code in an entry header; `None` for a delta.
    pub(super) fn from_code(code: u8) -> Option<Self> {
        [None, Some(Self::Commit), Some(Self::Tree), Some(Self::Blob), Some(Self::Tag)]
            .get(usize::from(code))
            .copied()
            .flatten()
    }

    fn code(kind: Option<Self>) -> u64 {
        match kind {
            None => 0,
            Some(Self::Commit) => 1,
            Some(Self::Tree) => 2,
            Some(Self::Blob) => 3,
            Some(Self::Tag) => 4,
        }
    }

    pub(super) fn with_article(self) -> &'static str {
        match self {
            Self::Commit => "a commit",
            Self::Tree => "a tree",
            Self::Blob => "a file",
            Self::Tag => "a tag",
        }
    }
}

/// The base of a delta.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Base {
    /// The entry at this offset of the pack.
    At(u64),
    /// An object of the repository or of the pack, by its id.
    Named([u8; HASH_BYTES]),
}

/// The properties of an entry that limit deltas on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    /// `None` if unknown: the chain begins at an object outside of the entries read so far.
    pub(super) kind: Option<PackEntryKind>,
    /// Length of the delta chain up to this entry.
    pub(super) depth: u32,
    /// Bytes that git produces to read it: its own size plus the sizes of all its bases.
    pub(super) cost: u64,
}

/// All entries, ordered by offset.
#[derive(Debug, Default)]
pub(super) struct EntryTable {
    /// (offset << 16 | depth << 3 | kind, cost)
    blocks: Vec<Vec<(u64, u64)>>,
}

impl EntryTable {
    /// Appends an entry; `offset` must be greater than all offsets before it.
    pub(super) fn push(&mut self, offset: u64, kind: Option<PackEntryKind>, cost: u64, depth: u32) {
        let depth = u64::from(depth).min((1 << DEPTH_BITS) - 1);
        let record = (offset << (KIND_BITS + DEPTH_BITS)) | (depth << KIND_BITS) | PackEntryKind::code(kind);
        match self.blocks.last_mut().filter(|block| block.len() < BLOCK_ENTRIES) {
            Some(block) => block.push((record, cost)),
            None => {
                // Most packs are small: the first block grows with them.
                let capacity = if self.blocks.is_empty() { 0 } else { BLOCK_ENTRIES };
                let mut block = Vec::with_capacity(capacity);
                block.push((record, cost));
                self.blocks.push(block);
            }
        }
    }

    /// Returns the entry that begins at `offset`.
    pub(super) fn get(&self, offset: u64) -> Option<Known> {
        let offset_of = |record: u64| record >> (KIND_BITS + DEPTH_BITS);
        let behind = self
            .blocks
            .partition_point(|block| block.first().is_some_and(|(record, _)| offset_of(*record) <= offset));
        let block = self.blocks.get(behind.checked_sub(1)?)?;
        let at = block.binary_search_by_key(&offset, |(record, _)| offset_of(*record)).ok()?;
        let (record, cost) = *block.get(at)?;
        let depth = (record >> KIND_BITS) & ((1 << DEPTH_BITS) - 1);
        let kind = u8::try_from(record & ((1 << KIND_BITS) - 1)).ok()?;
        let depth = u32::try_from(depth).unwrap_or(u32::MAX);
        Some(Known { kind: PackEntryKind::from_code(kind), depth, cost })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn entry_table_finds_entries_by_offset(gaps in proptest::collection::vec(1..1_000u64, 1..200)) {
            let (mut table, mut offset, mut offsets) = (EntryTable::default(), 12, Vec::new());
            for gap in gaps {
                let kind = PackEntryKind::from_code(u8::try_from(gap % 5).unwrap());
                let depth = u32::try_from(gap % 4096).unwrap();
                table.push(offset, kind, gap * 7, depth);
                offsets.push((offset, Known { kind, depth, cost: gap * 7 }));
                offset += gap;
            }
            for (offset, known) in &offsets {
                prop_assert_eq!(table.get(*offset), Some(*known));
            }
            prop_assert_eq!(table.get(11), None);
            prop_assert_eq!(table.get(offset), None);
        }
    }

    #[test]
    fn entry_table_finds_entries_across_blocks() {
        let mut table = EntryTable::default();
        let count = 3 * u64::try_from(BLOCK_ENTRIES).unwrap() + 5;
        for n in 0..count {
            table.push(n * 20, Some(PackEntryKind::Tree), n, 0);
        }
        for n in [0, 1, 16_383, 16_384, 16_385, count - 1] {
            assert_eq!(table.get(n * 20).map(|known| known.cost), Some(n));
            assert_eq!(table.get(n * 20 + 1), None);
        }
    }
}
