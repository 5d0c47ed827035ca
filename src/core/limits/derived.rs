//! Values derived from limits.

use std::time::Duration;

use super::Limits;
use crate::core::saturate;

impl Limits {
    pub fn ask_patience(&self) -> Duration {
        Duration::from_millis(self.ask_patience_ms)
    }

    /// Returns the space for answers on disk in pieces of 64 KiB, the unit in which it is shared.
    pub fn git_spool_pieces(&self) -> usize {
        saturate::to_usize(self.git_spool_bytes / (64 * 1024)).min(u32::MAX as usize)
    }

    /// Returns how long a storage node may take from the end of a request to the head of its
    /// answer: the request waits for its turn and is computed. A fifth more is for all else.
    pub fn proxy_head(&self) -> Duration {
        let decided_ms = self.git_patience_ms.saturating_add(self.git_compute_ms);
        Duration::from_millis(decided_ms.saturating_add(decided_ms / 5).min(self.proxy_idle_ms))
    }

    /// Returns how many of the HTTP connections may be WebSockets.
    pub fn websockets(&self) -> usize {
        self.http_connections.saturating_sub(self.http_reserve.min(self.http_connections / 2)).max(1)
    }

    /// Resolves a count where 0 stands for "one per core".
    pub fn per_core(count: usize) -> usize {
        if count > 0 { count } else { std::thread::available_parallelism().map_or(1, std::num::NonZero::get) }
    }
}
