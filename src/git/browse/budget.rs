//! What one request may read: every object that a [`super::Browser`] reads is charged here first.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::history::deadline;
use super::limits::Bound;
use super::packs::Stored;
use super::{BrowseError, BrowseLimits};

/// libgit2 keeps the bases of deltas, so many bytes for each pack (`GIT_PACK_CACHE_MEMORY_LIMIT`).
const BASES_BYTES_PER_PACK: usize = 16 * 1024 * 1024;

/// The rest of a request's budget.
pub(super) struct ReadBudget {
    /// Bytes of objects.
    bytes_left: Cell<usize>,
    until: Instant,
    /// Bases that libgit2 may be keeping, by pack.
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

    /// More bytes, for a walk that compares the trees of a history.
    pub(super) fn extend(&self, bytes: usize) {
        self.bytes_left.set(self.bytes_left.get().saturating_add(bytes));
    }

    /// Whether an object was refused because the request has read enough.
    pub(super) fn is_spent(&self) -> bool {
        self.spent().is_some()
    }

    /// The limit that the request met.
    pub(super) fn spent(&self) -> Option<Bound> {
        self.spent.get()
    }

    /// An object was not read. Where the answer goes on without it, another time it may hold more: packing changes what an
    /// object takes to be read, and a missing one may be restored.
    pub(super) fn note_missed(&self) {
        self.missed.set(true);
    }

    pub(super) fn has_missed(&self) -> bool {
        self.missed.get()
    }

    /// When the request has read for long enough.
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    /// Charges one object that is about to be read.
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
                "the answer takes more reading than one request may do (limit read_bytes)",
            );
        };
        if Instant::now() >= self.until {
            return refuse(
                Bound::ReadMs,
                "the answer takes longer to read than one request may (limit read_ms)",
            );
        }
        if !self.keeps_bases(object, limits) {
            return refuse(
                Bound::BasesBytes,
                "the answer takes more deltas to be built than one request may (limit bases_bytes)",
            );
        }
        self.bytes_left.set(left);
        Ok(())
    }

    /// Whether the bases that libgit2 keeps stay within their bound.
    fn keeps_bases(&self, object: &Stored, limits: &BrowseLimits) -> bool {
        let Some(pack) = object.deltas_of else { return true };
        let mut bases = self.bases.borrow_mut();
        let kept = bases.entry(pack).or_default();
        *kept = kept.saturating_add(object.chain_bytes).min(BASES_BYTES_PER_PACK);
        bases.values().sum::<usize>() <= limits.bases_bytes
    }
}

/// What a text takes in JSON, in bytes: control characters take six.
pub(super) fn json_bytes(text: &[u8]) -> usize {
    let cost = |byte: u8| match byte {
        0..=0x1f => 6,
        b'"' | b'\\' => 2,
        _ => 1,
    };
    text.iter().copied().map(cost).fold(0, usize::saturating_add)
}
