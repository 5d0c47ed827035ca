//! All metrics of the application. They are created before the components that update them, so
//! every series exists from the first scrape on.

use std::sync::Arc;

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::actors::cache::{CacheActor, CacheCounters};
use crate::actors::freshness::Freshness;
use crate::actors::hub::HubActor;
use crate::actors::outbox::DeliveryMetrics;
use crate::actors::presence::{DatagramCounters, PresenceActor};
use crate::actors::search::{SearchActor, SearchMetrics};
use crate::actors::writer::{CommitMetrics, DbWriterActor};
use crate::blobs::StoreMetrics;
use crate::cluster::ProxyMetrics;
use crate::core::actor::ActorStats;
use crate::core::bus::BusMetrics;
use crate::core::config::Config;
use crate::core::data_dir::DataDir;
use crate::core::metrics::{Export, Mailboxes, Process};
use crate::core::shares::PoolMetrics;
use crate::domain::timestamp::Timestamp;
use crate::git::metrics::{HistoryMetrics, TransferMetrics};
use crate::http::metrics::HttpMetrics;
use crate::messaging::{ConnectionMetrics, SessionHandle, SessionMetrics, Transport};
use crate::services::health::HealthSources;
use crate::services::{FileMetrics, OwnAddress};
use crate::storage::metrics::{DatabaseFiles, ReadMetrics};

/// The metrics of one application.
pub(super) struct Instruments {
    pub(super) writer: Arc<ActorStats>,
    pub(super) cache: Arc<ActorStats>,
    pub(super) hub: Arc<ActorStats>,
    pub(super) presence: Arc<ActorStats>,
    pub(super) search: Arc<ActorStats>,
    pub(super) sessions: SessionMetrics,
    pub(super) cached: CacheCounters,
    pub(super) datagrams: DatagramCounters,
    pub(super) bus: BusMetrics,
    pub(super) commits: CommitMetrics,
    pub(super) searches: SearchMetrics,
    pub(super) reads: ReadMetrics,
    pub(super) transfers: TransferMetrics,
    pub(super) histories: HistoryMetrics,
    pub(super) uploaded: FileMetrics,
    pub(super) stored: StoreMetrics,
    pub(super) pools: PoolMetrics,
    pub(super) http: HttpMetrics,
    pub(super) proxied: ProxyMetrics,
    pub(super) started_at: Timestamp,
    pub(super) ready: Gauge,
    /// 1 from the beginning of the stop.
    pub(super) stopping: Gauge,
    pub(super) freshness: Freshness,
    /// 1 while this node runs the chores of the database.
    pub(super) chores: Gauge,
    pub(super) own_address: OwnAddress,
    /// The size of a database on PostgreSQL.
    pub(super) database_bytes: Gauge,
    files: DatabaseFiles,
    pub(super) registry: Arc<Registry>,
}

impl Instruments {
    pub(super) fn new(config: &Config, hubs: usize) -> Self {
        let (limits, measures) = (&config.limits, config.ops.measure);
        let pools = PoolMetrics::default();
        let sessions = SessionMetrics {
            actors: SessionHandle::stats(measures),
            connections: ConnectionMetrics::default(),
            deliveries: DeliveryMetrics::default(),
            pools: pools.clone(),
        };
        for (hub, transport) in (0..hubs).flat_map(|hub| Transport::ALL.map(|transport| (hub, transport))) {
            drop(sessions.deliveries.meter(transport.name(), hub));
        }
        let database_bytes = Gauge::default();
        let mut this = Self {
            writer: ActorStats::measuring::<DbWriterActor>(measures, Some(limits.writer_commands)),
            cache: ActorStats::measuring::<CacheActor>(measures, Some(limits.cache_queries)),
            hub: ActorStats::measuring::<HubActor>(measures, None),
            presence: ActorStats::measuring::<PresenceActor>(measures, Some(limits.presence_queries)),
            search: ActorStats::measuring::<SearchActor>(measures, Some(limits.searches)),
            sessions,
            cached: CacheCounters::default(),
            datagrams: DatagramCounters::default(),
            bus: BusMetrics::default(),
            commits: CommitMetrics::default(),
            searches: SearchMetrics::default(),
            reads: ReadMetrics::default(),
            transfers: TransferMetrics::default(),
            histories: HistoryMetrics::default(),
            uploaded: FileMetrics::default(),
            stored: StoreMetrics::default(),
            pools,
            http: HttpMetrics::default(),
            proxied: ProxyMetrics::default(),
            started_at: Timestamp::now(),
            ready: Gauge::default(),
            stopping: Gauge::default(),
            freshness: Freshness::new(config.stale_after()),
            chores: Gauge::default(),
            own_address: OwnAddress::default(),
            files: DatabaseFiles {
                database: DataDir::database_in(&config.data_dir.0),
                on_server: config.database_url().map(|_| database_bytes.clone()),
            },
            database_bytes,
            registry: Arc::default(),
        };
        let mut registry = Registry::default();
        let mailboxes = Mailboxes(this.actors());
        let all: [&dyn Export; 19] = [
            &mailboxes,
            &this.bus,
            &this.cached,
            &this.commits,
            &this.searches,
            &this.files,
            &this.reads,
            &this.http,
            &this.proxied,
            &this.sessions.connections,
            &this.sessions.deliveries,
            &this.datagrams,
            &this.transfers,
            &this.histories,
            &this.uploaded,
            &this.stored,
            &this.pools,
            &this.freshness,
            &Process::started(),
        ];
        for metrics in all {
            metrics.export(&mut registry);
        }
        let help = "1 when the server serves, 0 while it starts and stops";
        registry.register("netbit_ready", help, this.ready.clone());
        let help = "1 from the beginning of the stop: the server drains and ends its sessions";
        registry.register("netbit_stopping", help, this.stopping.clone());
        let help = "1 while this node runs the chores of the database: expiry, retention, removal";
        registry.register("netbit_chores", help, this.chores.clone());
        let help = "1 while this node of several does not reach itself at its cluster.address";
        registry.register("netbit_own_address_wrong", help, this.own_address.wrong.clone());
        this.registry = Arc::new(registry);
        this
    }

    /// Returns the statistics of every kind of actor.
    pub(super) fn actors(&self) -> Vec<Arc<ActorStats>> {
        [&self.writer, &self.cache, &self.hub, &self.presence, &self.search, &self.sessions.actors]
            .map(Arc::clone)
            .to_vec()
    }

    /// Returns the counters that administrators may read.
    pub(super) fn health(&self) -> HealthSources {
        HealthSources {
            started_at: self.started_at,
            ready: self.ready.clone(),
            sessions: self.sessions.connections.sessions(),
            actors: self.actors(),
            cache: self.cached.clone(),
            datagrams: self.datagrams.clone(),
            files: self.files.clone(),
        }
    }
}
