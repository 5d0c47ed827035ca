//! The limits of a pack, and the sums over the part of it that was read so far.

use super::pack_entries::PackEntryKind;
use super::pack_reader::PackError;
use crate::core::limits::Limits;

/// Bytes that a delta chain may produce, whatever the size of its object.
const CHAIN_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// Bytes that a delta chain may produce, as a multiple of the size of its object. git's own chains
/// are 50 deltas long.
const CHAIN_RATIO: u64 = 64;
/// Bytes that all deltas on unknown objects may produce together: their chains cannot be measured.
const UNKNOWN_BASE_BYTES: u64 = 4 * 1024 * 1024 * 1024;

/// Bytes by which a delta may exceed its result. git makes deltas smaller than their results.
const DELTA_MARGIN_BYTES: u64 = 64 * 1024;
/// A delta is large if its base or its result has more bytes than this: git loads and hashes both.
const LARGE_BYTES: u64 = 4 * 1024 * 1024;

/// Limits of one push, from `core/limits`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackLimits {
    /// Number of entries in the pack.
    pub entries: u32,
    /// Size in bytes of a commit or an annotated tag.
    pub commit_bytes: u64,
    /// Size in bytes of a tree.
    pub tree_bytes: u64,
    /// Size in bytes of a blob that is not sent as a delta: git streams those.
    pub blob_bytes: u64,
    /// Size in bytes of a delta, of its base and of its result, each: git holds all three in
    /// memory.
    pub delta_bytes: u64,
    /// Number of deltas in a chain.
    pub chain_length: u32,
    /// Bytes of all objects after unpacking. [`PackLimits::unpacked_ratio`] bytes are added for
    /// each byte received.
    pub unpacked_bytes: u64,
    pub unpacked_ratio: u64,
    /// Bytes of all large deltas: for each, the larger of its result and base.
    /// [`PackLimits::large_unpacked_ratio`] bytes are added for each byte received.
    pub large_unpacked_bytes: u64,
    pub large_unpacked_ratio: u64,
}

impl PackLimits {
    pub fn of(limits: &Limits) -> Self {
        Self {
            entries: limits.git_push_objects,
            commit_bytes: limits.git_commit_bytes,
            tree_bytes: limits.git_tree_bytes,
            blob_bytes: limits.git_blob_bytes,
            delta_bytes: limits.git_delta_bytes,
            chain_length: limits.git_delta_chain,
            unpacked_bytes: limits.git_unpacked_bytes,
            unpacked_ratio: limits.git_unpacked_ratio,
            large_unpacked_bytes: limits.git_large_unpacked_bytes,
            large_unpacked_ratio: limits.git_large_unpacked_ratio,
        }
    }

    pub(super) fn check_object(&self, kind: PackEntryKind, bytes: u64) -> Result<(), PackError> {
        let max = match kind {
            PackEntryKind::Commit | PackEntryKind::Tag => self.commit_bytes,
            PackEntryKind::Tree => self.tree_bytes,
            PackEntryKind::Blob => self.blob_bytes,
        };
        if bytes > max { Err(PackError::TooLarge { kind, bytes, max }) } else { Ok(()) }
    }

    /// Checks the size of a delta, before its base is known.
    pub(super) fn check_delta_bytes(&self, bytes: u64) -> Result<(), PackError> {
        let max = self.delta_bytes;
        if bytes > max { Err(PackError::DeltaTooLarge { bytes, max }) } else { Ok(()) }
    }

    /// Checks the size of the result of a delta. An object of unknown kind may be a tree.
    pub(super) fn check_delta(&self, kind: Option<PackEntryKind>, bytes: u64) -> Result<(), PackError> {
        match kind {
            Some(PackEntryKind::Blob) => self.check_delta_bytes(bytes),
            Some(kind) => self.check_object(kind, bytes),
            None if bytes > self.tree_bytes => Err(PackError::UnknownBase { bytes, max: self.tree_bytes }),
            None => Ok(()),
        }
    }

    /// Checks the size of a delta against its result: git holds the delta in memory while it
    /// arrives.
    pub(super) fn check_delta_ratio(bytes: u64, result: u64) -> Result<(), PackError> {
        let max = result.saturating_add(DELTA_MARGIN_BYTES);
        if bytes > max { Err(PackError::DeltaLargerThanResult { bytes, result }) } else { Ok(()) }
    }

    /// Checks a chain of `depth` deltas that produces `cost` bytes to read an object of `bytes`.
    pub(super) fn check_chain(&self, depth: u32, cost: u64, bytes: u64) -> Result<(), PackError> {
        if depth > self.chain_length {
            return Err(PackError::ChainTooLong { depth, max: self.chain_length });
        }
        if cost > CHAIN_BYTES.max(bytes.saturating_mul(CHAIN_RATIO)) {
            return Err(PackError::ChainTooCostly { bytes: cost });
        }
        Ok(())
    }
}

#[cfg(test)]
impl PackLimits {
    pub(super) const SMALL: Self = Self {
        entries: 1000,
        commit_bytes: 1000,
        tree_bytes: 8000,
        blob_bytes: 1 << 30,
        delta_bytes: 128_000,
        chain_length: 60,
        unpacked_bytes: 4 << 20,
        unpacked_ratio: 20,
        large_unpacked_bytes: 1 << 40,
        large_unpacked_ratio: 0,
    };
}

/// The cost for git to unpack a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PackCost {
    /// Number of entries in the pack.
    pub objects: u32,
    /// Bytes of all objects after unpacking: git hashes them.
    pub unpacked_bytes: u64,
    /// Bytes of the largest delta, or of the largest result or base of a delta.
    pub largest_delta_bytes: u64,
    /// Maximum, over all deltas, of the bytes of delta, base and result together: git holds all
    /// three in memory.
    pub delta_memory_bytes: u64,
    /// Bytes of all large deltas: for each, the larger of its result and base.
    pub large_unpacked_bytes: u64,
}

/// Running sums over a pack.
#[derive(Debug)]
pub(super) struct PackTotals {
    limits: PackLimits,
    received: u64,
    unpacked: u64,
    on_unknown_bases: u64,
    largest_delta: u64,
    delta_memory: u64,
    large: u64,
}

impl PackTotals {
    pub(super) fn new(limits: PackLimits) -> Self {
        Self {
            limits,
            received: 0,
            unpacked: 0,
            on_unknown_bases: 0,
            largest_delta: 0,
            delta_memory: 0,
            large: 0,
        }
    }

    /// Records that an entry begins at `offset`, so that many bytes were received.
    pub(super) fn entry_at(&mut self, offset: u64) {
        self.received = offset;
    }

    /// Adds the bytes of an entry, or of the result of a delta.
    pub(super) fn unpacked(&mut self, bytes: u64) -> Result<(), PackError> {
        self.unpacked = self.unpacked.saturating_add(bytes);
        let earned = self.received.saturating_mul(self.limits.unpacked_ratio);
        let max = self.limits.unpacked_bytes.saturating_add(earned);
        if self.unpacked > max { Err(PackError::TooMuch { max }) } else { Ok(()) }
    }

    /// Adds a delta of `declared` bytes.
    pub(super) fn delta(&mut self, declared: u64, base: u64, result: u64) -> Result<(), PackError> {
        self.largest_delta = self.largest_delta.max(base).max(result).max(declared);
        self.delta_memory = self.delta_memory.max(base.saturating_add(result).saturating_add(declared));
        self.unpacked(result)?;
        if base.max(result) <= LARGE_BYTES {
            return Ok(());
        }
        self.large = self.large.saturating_add(base.max(result));
        let earned = self.received.saturating_mul(self.limits.large_unpacked_ratio);
        let max = self.limits.large_unpacked_bytes.saturating_add(earned);
        if self.large > max { Err(PackError::TooMuchLarge { max }) } else { Ok(()) }
    }

    pub(super) fn unknown_base(&mut self, result: u64) -> Result<(), PackError> {
        self.on_unknown_bases = self.on_unknown_bases.saturating_add(result);
        let max = UNKNOWN_BASE_BYTES;
        if self.on_unknown_bases > max { Err(PackError::TooMuch { max }) } else { Ok(()) }
    }

    /// Returns the cost of a pack with `objects` entries.
    pub(super) fn cost(&self, objects: u32) -> PackCost {
        PackCost {
            objects,
            unpacked_bytes: self.unpacked,
            largest_delta_bytes: self.largest_delta,
            delta_memory_bytes: self.delta_memory,
            large_unpacked_bytes: self.large,
        }
    }
}
