//! Counters of the cache: hits, misses, evictions, bytes.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde::Serialize;
use utoipa::ToSchema;

use crate::core::metrics::Export;

/// Written by the cache, read by metrics. Clones share their numbers.
#[derive(Debug, Clone, Default)]
pub struct CacheCounters {
    pub(super) hits: Counter,
    pub(super) misses: Counter,
    pub(super) evictions: Counter,
    pub(super) reloads: Counter,
    pub(super) window_bytes: Gauge,
}

/// A snapshot of [`CacheCounters`].
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CacheSnapshot {
    pub hits: u64,
    pub misses: u64,
    pub evictions: u64,
    pub reloads: u64,
    pub window_bytes: i64,
}

impl CacheCounters {
    pub fn snapshot(&self) -> CacheSnapshot {
        CacheSnapshot {
            hits: self.hits.get(),
            misses: self.misses.get(),
            evictions: self.evictions.get(),
            reloads: self.reloads.get(),
            window_bytes: self.window_bytes.get(),
        }
    }
}

impl Export for CacheCounters {
    fn export(&self, registry: &mut Registry) {
        let (hits, misses) = (self.hits.clone(), self.misses.clone());
        registry.register("netbit_cache_hits", "Queries answered from memory", hits);
        registry.register("netbit_cache_misses", "Queries that needed the database", misses);
        let help = "Windows of recent messages evicted for others";
        registry.register("netbit_cache_evictions", help, self.evictions.clone());
        let help = "Reloads of the read models from the database";
        registry.register("netbit_cache_reloads", help, self.reloads.clone());
        let help = "Memory of the windows of recent messages";
        registry.register("netbit_cache_window_bytes", help, self.window_bytes.clone());
    }
}
