//! Metrics of pools.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::pool::PoolRefusal;
use crate::core::metrics::{Export, Labelled, labelled_seconds};
use crate::core::saturate;

/// The pools of an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolName {
    /// Advertisements of refs to known users.
    GitAdvertisements,
    /// Clones and fetches of known users.
    GitReads,
    /// All git reads of clients without an account.
    GitVisitors,
    /// Pushes.
    GitWrites,
    Archives,
    /// Large raw files and blames.
    Bulk,
    /// Answers about the content of a repository at one commit.
    Browses,
    /// Answers about the history of that content.
    Histories,
    /// Comparisons of files and commits with the query of a search.
    Searches,
    /// Memory for large deltas of pushes, in bytes.
    Unpacking,
    /// Objects of pushes that arrive.
    PushedObjects,
    /// Password hashes of networks without an account.
    Hashes,
    /// Password hashes of users who are logged in or in a familiar network.
    HashesKnown,
    /// Password hashes of networks with many failed logins.
    HashesSuspect,
    /// Logins in every stage but the next one.
    Logins,
    /// Logins that wait for their turn at an account.
    LoginsDelayed,
    /// Sessions of known users over all transports.
    Sessions,
    /// Sessions of known users over WebSocket.
    WebSockets,
    /// HTTP connections.
    Http,
    /// Space for large answers on disk, in pieces of 64 KiB.
    Spool,
    /// Reads from the database.
    Readers,
    /// Bytes of large answers in memory that their clients have not received yet.
    Answers,
    /// Requests that are forwarded to other nodes.
    Proxied,
    /// Uploads of files in chats.
    Uploads,
    /// Files in chats that clients receive.
    Downloads,
    /// Child processes that make thumbnails and avatars.
    Pictures,
}

impl PoolName {
    pub const ALL: [Self; 26] = [
        Self::GitAdvertisements,
        Self::GitReads,
        Self::GitVisitors,
        Self::GitWrites,
        Self::Archives,
        Self::Bulk,
        Self::Browses,
        Self::Histories,
        Self::Searches,
        Self::Unpacking,
        Self::PushedObjects,
        Self::Hashes,
        Self::HashesKnown,
        Self::HashesSuspect,
        Self::Logins,
        Self::LoginsDelayed,
        Self::Sessions,
        Self::WebSockets,
        Self::Http,
        Self::Spool,
        Self::Readers,
        Self::Answers,
        Self::Proxied,
        Self::Uploads,
        Self::Downloads,
        Self::Pictures,
    ];

    pub fn text(self) -> &'static str {
        match self {
            Self::GitAdvertisements => "git_advertisements",
            Self::GitReads => "git_reads",
            Self::GitVisitors => "git_visitors",
            Self::GitWrites => "git_writes",
            Self::Archives => "archives",
            Self::Bulk => "bulk",
            Self::Browses => "browses",
            Self::Histories => "histories",
            Self::Searches => "searches",
            Self::Unpacking => "unpacking",
            Self::PushedObjects => "pushed_objects",
            Self::Hashes => "hashes",
            Self::HashesKnown => "hashes_known",
            Self::HashesSuspect => "hashes_suspect",
            Self::Logins => "logins",
            Self::LoginsDelayed => "logins_delayed",
            Self::Sessions => "sessions",
            Self::WebSockets => "websockets",
            Self::Http => "http",
            Self::Spool => "spool",
            Self::Readers => "readers",
            Self::Answers => "answers",
            Self::Proxied => "proxied",
            Self::Uploads => "uploads",
            Self::Downloads => "downloads",
            Self::Pictures => "pictures",
        }
    }
}

/// All pools of one application. Clones share their numbers.
#[derive(Debug, Clone)]
pub struct PoolMetrics {
    permits: Labelled<Gauge, 1>,
    inside: Labelled<Gauge, 1>,
    waiting: Labelled<Gauge, 1>,
    refusals: Labelled<Counter, 2>,
    cut: Labelled<Counter, 1>,
    wait_seconds: Labelled<Histogram, 1>,
}

/// The metrics of one pool. Cheap to clone.
#[derive(Debug, Clone)]
pub struct PoolMeter(Arc<PoolGauges>);

#[derive(Debug)]
struct PoolGauges {
    permits: Gauge,
    inside: Gauge,
    waiting: Gauge,
    refused_queue: Counter,
    refused_patience: Counter,
    cut: Counter,
    wait_seconds: Histogram,
}

impl Default for PoolMetrics {
    fn default() -> Self {
        let this = Self {
            permits: Labelled::default(),
            inside: Labelled::default(),
            waiting: Labelled::default(),
            refusals: Labelled::default(),
            cut: Labelled::default(),
            wait_seconds: labelled_seconds(),
        };
        for name in PoolName::ALL {
            drop(this.meter(name));
        }
        this
    }
}

impl PoolMetrics {
    pub fn meter(&self, name: PoolName) -> PoolMeter {
        let own = [("pool", name.text())];
        let refused =
            |reason| self.refusals.get_or_create_owned(&[("pool", name.text()), ("reason", reason)]);
        PoolMeter(Arc::new(PoolGauges {
            permits: self.permits.get_or_create_owned(&own),
            inside: self.inside.get_or_create_owned(&own),
            waiting: self.waiting.get_or_create_owned(&own),
            refused_queue: refused("queue"),
            refused_patience: refused("patience"),
            cut: self.cut.get_or_create_owned(&own),
            wait_seconds: self.wait_seconds.get_or_create_owned(&own),
        }))
    }
}

impl PoolMeter {
    pub(super) fn sized(&self, permits: usize) {
        self.0.permits.set(saturate::to_i64(permits));
    }

    pub(super) fn counted(&self, inside: usize, waiting: usize) {
        self.0.inside.set(saturate::to_i64(inside));
        self.0.waiting.set(saturate::to_i64(waiting));
    }

    pub(super) fn refused(&self, why: PoolRefusal) {
        match why {
            PoolRefusal::Queue => drop(self.0.refused_queue.inc()),
            PoolRefusal::Patience => drop(self.0.refused_patience.inc()),
            PoolRefusal::Closed => {}
        }
    }

    /// A place was taken back.
    pub fn cut(&self) {
        self.0.cut.inc();
    }

    pub(super) fn waited(&self, wait: Duration) {
        self.0.wait_seconds.observe(wait.as_secs_f64());
    }
}

impl Export for PoolMetrics {
    fn export(&self, registry: &mut Registry) {
        registry.register("netbit_pool_places", "Places of a pool", self.permits.clone());
        registry.register("netbit_pool_inside", "Places that are taken", self.inside.clone());
        registry.register("netbit_pool_waiting", "Requests that wait for a place", self.waiting.clone());
        let help = "Requests that got no place: the queue was full, or they waited too long";
        registry.register("netbit_pool_refusals", help, self.refusals.clone());
        let help = "Places taken back for a holder that had none";
        registry.register("netbit_pool_cut", help, self.cut.clone());
        let help = "Time that requests waited for a place before they got one";
        registry.register("netbit_pool_wait_seconds", help, self.wait_seconds.clone());
    }
}
