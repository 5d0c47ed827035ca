//! Whether the writer waits for PostgreSQL with a batch whose outcome is unclear.
//!
//! The writer is blocked meanwhile and cannot refuse commands, so the callers refuse them: nothing
//! waits for a database that is away. Commands that are in the mailbox already wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Set by the executor, read by every handle. Clones share the state.
#[derive(Debug, Clone, Default)]
pub struct Outage(Arc<AtomicBool>);

impl Outage {
    pub(super) fn set(&self, is_away: bool) {
        self.0.store(is_away, Ordering::Relaxed);
    }

    pub(super) fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
