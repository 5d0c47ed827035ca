//! Starts the actors, each on a thread of its own.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicI16, AtomicUsize};

use actix::{Arbiter, ArbiterHandle};
use tokio::sync::Notify;

use super::StartError;
use super::instruments::Instruments;
use crate::actors::cache::{CacheActor, CacheHandle, LogReader, ReadModels, Sources};
use crate::actors::commit::{NewestCommit, Place};
use crate::actors::hub::{HubActor, HubHandle};
use crate::actors::presence::{ClusterLink, PresenceActor, PresenceHandle};
use crate::actors::search::{SearchActor, SearchHandle, SearchSources};
use crate::actors::writer::{
    BatchExecutor, Checkpointer, DbWriterActor, Outage, WalSizeEstimator, WriterHandle,
};
use crate::core::actor::{ActorStats, FatalSignal, Gate, start};
use crate::core::bus::Bus;
use crate::core::config::Config;
use crate::core::data_dir::DataDir;
use crate::core::database::postgres::Server;
use crate::core::database::{DatabaseError, Source};
use crate::core::limits::Limits;
use crate::core::shares::PoolName;
use crate::domain::node::NodeName;
use crate::git::store::Store;
use crate::messaging::SessionThread;
use crate::services::ActorHandles;
use crate::storage::readers::{ReadError, Readers};
use crate::storage::replicas::{Included, Replicas};
use crate::storage::snapshot::Snapshot;

/// The actors of a running server.
pub(super) struct StartedActors {
    pub(super) handles: ActorHandles,
    pub(super) session_threads: Vec<SessionThread>,
    pub(super) threads: Vec<Arbiter>,
    /// The thread of the search, which makes its index durable at the end.
    pub(super) search_thread: Option<Arbiter>,
    pub(super) checkpointer: Checkpointer,
}

/// The parts that all actors are made from.
pub(super) struct ActorSources<'a> {
    pub(super) config: &'a Config,
    pub(super) data_dir: &'a Arc<DataDir>,
    pub(super) database: &'a Source,
    pub(super) instruments: &'a Instruments,
    pub(super) fatal: &'a FatalSignal,
    /// The name of this node. `None`: the server is the only node.
    pub(super) node: Option<NodeName>,
    /// Requests reads of the log of commits, on PostgreSQL.
    pub(super) log: Option<LogReader>,
    /// The place of this node in the log of commits, on PostgreSQL.
    pub(super) place: Option<LogPlace>,
    /// Receives a hint after each commit.
    pub(super) hints: Option<Bus>,
    /// Connects presence to the other nodes of a cluster.
    pub(super) cluster: Option<ClusterLink>,
}

/// The place of a node in the log of commits.
#[derive(Clone)]
pub(super) struct LogPlace {
    /// The number of the node.
    pub(super) node: i16,
    pub(super) newest: NewestCommit,
    /// The version of events that all running nodes read.
    pub(super) format: Arc<AtomicI16>,
}

impl LogPlace {
    /// Returns the executor of the node.
    fn take(self, executor: BatchExecutor, epoch: i64) -> BatchExecutor {
        executor.on_node(self.node).announcing(self.newest, epoch).writing(self.format)
    }
}

/// Starts all actors: those that receive events first, then the cache, then the writer.
pub(super) fn start_actors(
    sources: ActorSources<'_>,
    snapshot: Snapshot,
    executor: BatchExecutor,
    udp: UdpSocket,
) -> Result<StartedActors, StartError> {
    let epoch = snapshot.epoch;
    let mut threads = Threads { sources, started: Vec::new() };
    let (hubs, session_threads) = threads.start_hubs();
    let presence = threads.start_presence(udp);
    let readers = threads.sources.open_readers()?;
    let cache = threads.start_cache(snapshot, &readers, (hubs, presence.clone()));
    let (writer, checkpointer) = threads.start_writer(executor, epoch, &cache)?;
    let search = threads.start_search(epoch, &cache, &readers)?;
    let search_thread = threads.started.pop();
    let searches = threads.sources.instruments.searches.clone();
    let handles = ActorHandles { cache, writer, readers, presence, search, searches };
    Ok(StartedActors { handles, session_threads, threads: threads.started, search_thread, checkpointer })
}

impl ActorSources<'_> {
    /// Returns a gate that admits `capacity` requests at once, and `per_user` of one user.
    fn gate(&self, capacity: usize, per_user: usize, stats: &Arc<ActorStats>) -> Gate {
        Gate::new(capacity, per_user, self.config.limits.ask_patience(), stats.clone())
    }

    fn open_readers(&self) -> Result<Readers, StartError> {
        let meters = (self.instruments.reads.clone(), self.instruments.pools.meter(PoolName::Readers));
        Ok(Readers::open(self.database.clone(), &self.config.limits, self.replicas()?, meters)?)
    }

    /// Returns the read replicas of the configuration.
    fn replicas(&self) -> Result<Option<Replicas>, StartError> {
        let (Some(url), Some(place)) = (self.config.replicas_url(), &self.place) else { return Ok(None) };
        let server = Server::replicas(url).map_err(DatabaseError::Postgres)?;
        let newest = place.newest.clone();
        let newest = move || {
            let Place { epoch, commit_no, batch } = newest.visible();
            Some(Included { epoch, commit_no, batch: batch? })
        };
        let reads = self.instruments.reads.clone();
        Ok(Some(Replicas::new(server, &self.config.limits, newest, reads).map_err(ReadError::Connection)?))
    }
}

/// The threads of the actors that were started.
struct Threads<'a> {
    sources: ActorSources<'a>,
    started: Vec<Arbiter>,
}

impl Threads<'_> {
    fn next(&mut self) -> ArbiterHandle {
        let arbiter = Arbiter::new();
        let handle = arbiter.handle();
        self.started.push(arbiter);
        handle
    }

    /// Starts the hubs. Each shares its thread with the sessions that it serves.
    fn start_hubs(&mut self) -> (Vec<HubHandle>, Vec<SessionThread>) {
        let limits = &self.sources.config.limits;
        let (mut hubs, mut session_threads) = (Vec::new(), Vec::new());
        for _ in 0..Limits::per_core(limits.session_threads) {
            let (thread, pending) = (self.next(), Arc::new(AtomicUsize::new(0)));
            let (stats, fatal) = (self.sources.instruments.hub.clone(), self.sources.fatal.clone());
            let owned = pending.clone();
            let mailbox = start(&thread, stats, fatal, move |_| HubActor::new(owned));
            hubs.push(HubHandle::new(mailbox, pending, limits.lane_bytes));
            session_threads.push(SessionThread(thread));
        }
        (hubs, session_threads)
    }

    fn start_presence(&mut self, udp: UdpSocket) -> PresenceHandle {
        let thread = self.next();
        let cluster = self.sources.cluster.take();
        let ActorSources { config, instruments, fatal, .. } = &self.sources;
        let (limits, stats) = (config.limits.clone(), &instruments.presence);
        let gate = self.sources.gate(limits.presence_queries, limits.presence_queries_per_user, stats);
        let counters = instruments.datagrams.clone();
        let mailbox = start(&thread, stats.clone(), (*fatal).clone(), move |own| {
            PresenceActor::new(udp, counters, own.clone(), limits, cluster)
        });
        PresenceHandle::new(mailbox, gate)
    }

    /// Starts the cache, which delivers events to `receivers`.
    fn start_cache(
        &mut self,
        snapshot: Snapshot,
        readers: &Readers,
        receivers: (Vec<HubHandle>, PresenceHandle),
    ) -> CacheHandle {
        let thread = self.next();
        let ActorSources { config, instruments, fatal, .. } = &self.sources;
        let (limits, stats) = (config.limits.clone(), &instruments.cache);
        let gate = self.sources.gate(limits.cache_queries, limits.queries_per_user, stats);
        let models = ReadModels::load(snapshot, config.cache.window, config.cache.max_bytes);
        let log = self.sources.log.clone();
        let newest = self.sources.place.as_ref().map(|place| place.newest.clone());
        let sources = Sources { readers: readers.clone(), cache: config.cache.clone(), limits, log, newest };
        let (counters, own_gate, own_fatal) = (instruments.cached.clone(), gate.clone(), (*fatal).clone());
        let mailbox = start(&thread, stats.clone(), (*fatal).clone(), move |mailbox| {
            let own = CacheHandle::new(mailbox.clone(), own_gate);
            CacheActor::new(models, receivers, counters, sources, own, own_fatal)
        });
        CacheHandle::new(mailbox, gate)
    }

    /// Starts the search, which follows the cache.
    fn start_search(
        &mut self,
        epoch: i64,
        cache: &CacheHandle,
        readers: &Readers,
    ) -> Result<SearchHandle, StartError> {
        let thread = self.next();
        let ActorSources { config, data_dir, instruments, fatal, .. } = &self.sources;
        let (limits, stats) = (config.limits.clone(), &instruments.search);
        let gate = self.sources.gate(limits.searches, 1, stats);
        let path = data_dir.search_index();
        let store = Store::at(data_dir.path()).map_err(StartError::Repositories)?;
        let node = self.sources.node.clone();
        let (cache, readers) = (cache.clone(), readers.clone());
        let sources = SearchSources { path, epoch, cache, readers, store, node, limits };
        let metrics = instruments.searches.clone();
        let mailbox = start(&thread, stats.clone(), (*fatal).clone(), move |own| {
            SearchActor::new(sources, metrics, own.clone())
        });
        Ok(SearchHandle::new(mailbox, gate))
    }

    /// Starts the writer and its checkpointer.
    fn start_writer(
        &mut self,
        executor: BatchExecutor,
        epoch: i64,
        cache: &CacheHandle,
    ) -> Result<(WriterHandle, Checkpointer), StartError> {
        let ActorSources { config, data_dir, database, instruments, fatal, place, .. } = &self.sources;
        let placed = {
            let place = place.clone();
            move |executor: BatchExecutor| match place.clone() {
                Some(place) => place.take(executor, epoch),
                None => executor,
            }
        };
        let hints = self.sources.hints.clone();
        let executor: BatchExecutor = placed(executor);
        // The cache has loaded this commit.
        executor.announce();
        let (limits, commits) = (config.limits.clone(), instruments.commits.clone());
        let source = (*database).clone();
        let wal = Arc::new(WalSizeEstimator::default());
        wal.committed(executor.commit_no(), 0);
        let checkpointer =
            Checkpointer::start(source.file(), (*data_dir).clone(), epoch, wal.clone(), commits.clone())?;
        let stats = instruments.writer.clone();
        let gate = self.sources.gate(limits.writer_commands, limits.commands_per_user, &stats);
        let (fan_outs, outage) = (Arc::new(Notify::new()), Outage::default());
        let reopen = {
            let (limits, fan_outs, outage) = (limits.clone(), fan_outs.clone(), outage.clone());
            let hints = hints.clone();
            let synchronous = config.storage.synchronous;
            Box::new(move || {
                let db = source.open_writer(synchronous)?;
                let executor = BatchExecutor::new(db, limits.clone(), commits.clone())?.unconfirmed();
                Ok(placed(executor).waking(fan_outs.clone()).hinting(hints.clone()).reporting(outage.clone()))
            })
        };
        let executor = executor.waking(fan_outs.clone()).hinting(hints).reporting(outage.clone());
        let (cache, wake) = (cache.clone(), checkpointer.waker());
        let (fatal, own_fatal) = ((*fatal).clone(), (*fatal).clone());
        let mailbox = start(&self.next(), stats, fatal, move |_| {
            DbWriterActor::new(executor, reopen, cache, wal, wake, own_fatal, limits)
        });
        Ok((WriterHandle::new(mailbox, gate, fan_outs, outage), checkpointer))
    }
}
