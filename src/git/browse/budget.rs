//! The read budget of a request. Every object is charged to it before a [`super::Browser`] reads
//! it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::history::deadline;
use super::limits::Bound;
use super::packs::Stored;
use super::{BrowseError, BrowseLimits};

/// Size of libgit2's cache of delta bases, per pack (`GIT_PACK_CACHE_MEMORY_LIMIT`).
const BASES_BYTES_PER_PACK: usize = 16 * 1024 * 1024;

/// The remaining budget of a request.
pub(super) struct ReadBudget {
    /// Bytes of objects that may still be read.
    bytes_left: Cell<usize>,
    until: Instant,
    /// Bytes of bases that libgit2 may have cached, by pack.
    bases: RefCell<HashMap<usize, usize>>,
    spent: Cell<Option<Bound>>,
    missed: Cell<bool>,
}

impl ReadBudget {
    pub(super) fn new(limits: &BrowseLimits) -> Self {
        Self {
            bytes_left: Cell::new(limits.read_bytes),
            until: deadline(Duration::from_millis(limits.read_ms)),
            bases: RefCell::default(),
            spent: Cell::new(None),
            missed: Cell::new(false),
        }
    }

    /// Adds bytes to the budget, for a walk that compares the trees of a history.
    pub(super) fn extend(&self, bytes: usize) {
        self.bytes_left.set(self.bytes_left.get().saturating_add(bytes));
    }

    /// Returns whether an object was refused because the budget is exhausted.
    pub(super) fn is_spent(&self) -> bool {
        self.spent().is_some()
    }

    /// Returns the limit that the request reached.
    pub(super) fn spent(&self) -> Option<Bound> {
        self.spent.get()
    }

    /// Records that an object was not read. A later response may contain it: packing changes the
    /// cost of reading an object, and a missing object may be restored.
    pub(super) fn note_missed(&self) {
        self.missed.set(true);
    }

    pub(super) fn has_missed(&self) -> bool {
        self.missed.get()
    }

    /// Returns the deadline for reads of the request.
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    /// Charges an object before it is read.
    ///
    /// # Errors
    /// [`BrowseError::TooLarge`] if the object or the request exceeds a limit.
    pub(super) fn charge(&self, object: &Stored, limits: &BrowseLimits) -> Result<(), BrowseError> {
        if object.peak_bytes > limits.object_peak_bytes || object.chain_bytes > limits.object_built_bytes {
            return Err(BrowseError::TooLarge(
                "the object takes too much memory to be shown; clone the repository",
            ));
        }
        let refuse = |bound, why| {
            self.spent.set(Some(bound));
            Err(BrowseError::TooLarge(why))
        };
        let Some(left) = self.bytes_left.get().checked_sub(object.bytes) else {
            return refuse(
                Bound::ReadBytes,
                "the response needs to read more bytes than one request may (limit read_bytes)",
            );
        };
        if Instant::now() >= self.until {
            return refuse(
                Bound::ReadMs,
                "the response takes longer to read than one request may (limit read_ms)",
            );
        }
        if !self.keeps_bases(object, limits) {
            return refuse(
                Bound::BasesBytes,
                "the response needs more delta bases than one request may keep (limit bases_bytes)",
            );
        }
        self.bytes_left.set(left);
        Ok(())
    }

    /// Returns whether the bases that libgit2 caches stay within their limit.
    fn keeps_bases(&self, object: &Stored, limits: &BrowseLimits) -> bool {
        let Some(pack) = object.deltas_of else { return true };
        let mut bases = self.bases.borrow_mut();
        let kept = bases.entry(pack).or_default();
        *kept = kept.saturating_add(object.chain_bytes).min(BASES_BYTES_PER_PACK);
        bases.values().sum::<usize>() <= limits.bases_bytes
    }
}

/// Returns the size of a text in JSON, in bytes. Control characters take six.
pub(super) fn json_bytes(text: &[u8]) -> usize {
    let cost = |byte: u8| match byte {
        0..=0x1f => 6,
        b'"' | b'\\' => 2,
        _ => 1,
    };
    text.iter().copied().map(cost).fold(0, usize::saturating_add)
}
