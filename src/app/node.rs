//! The parts of this node of a database, from its registration to its tasks.
//!
//! A server on SQLite has the same parts: it is the only node, and most of them are absent.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio_util::sync::CancellationToken;

use super::Addresses;
use super::actors::LogPlace;
use super::bus::{OpenBus, RunningBus};
use super::instruments::Instruments;
use super::log_link::Chores;
use super::log_tail::{LogTail, POLL, POLL_ALONE, ThisNode};
use super::storage::Shared;
use crate::actors::cache::{CacheHandle, LogReader, LogRequest};
use crate::actors::commit::NewestCommit;
use crate::actors::presence::ClusterLink;
use crate::actors::writer::WriterHandle;
use crate::cluster::{self, NodeFeed, NodeProcess, OtherNodes, OwnAddressCheck, Proxy};
use crate::core::actor::FatalSignal;
use crate::core::bus::Bus;
use crate::core::config::Config;
use crate::core::database::Source;
use crate::domain::node::NodeName;
use crate::services::{ChoreLock, CommitTokens, NodeSettings, Services};

/// The node before its tasks run.
pub(super) struct NodeParts {
    /// `None` on SQLite.
    shared: Option<Shared>,
    newest: NewestCommit,
    log: LogReader,
    log_requests: Receiver<LogRequest>,
    feed: NodeFeed,
    others: OtherNodes,
    bus: Option<OpenBus>,
    chores: ChoreLock,
}

impl NodeParts {
    /// `secret` is the key that all nodes share.
    pub(super) fn new(
        config: &Config,
        database: &Source,
        (shared, secret): (Option<Shared>, &[u8]),
        instruments: &Instruments,
    ) -> Self {
        let (log, log_requests) = LogReader::new(instruments.freshness.clone());
        // Before the first client is refused: other nodes may have committed after the load.
        log.set_others_run(shared.as_ref().is_some_and(|shared| shared.others_run));
        let (feed, others) = cluster::channel();
        let bus = match (database, &shared) {
            (Source::Server(server), Some(shared)) => {
                OpenBus::open(config, server, (&shared.node, secret), instruments.bus.clone())
            }
            _ => None,
        };
        let (newest, chores) = (NewestCommit::default(), ChoreLock::default());
        Self { shared, newest, log, log_requests, feed, others, bus, chores }
    }

    /// Returns the name of the node; `None` on SQLite.
    pub(super) fn name(&self) -> Option<NodeName> {
        self.shared.as_ref().map(|shared| NodeName::from(&*shared.node.name))
    }

    /// Returns the place of the node in the log of commits, on PostgreSQL.
    pub(super) fn place(&self) -> Option<LogPlace> {
        self.shared.as_ref().map(|shared| LogPlace {
            node: shared.node.number,
            newest: self.newest.clone(),
            format: shared.format.clone(),
        })
    }

    /// Returns the means to request a read of the log, on PostgreSQL.
    pub(super) fn log(&self) -> Option<LogReader> {
        self.shared.as_ref().map(|_| self.log.clone())
    }

    /// Returns the bus that receives a hint after each commit.
    pub(super) fn hints(&self, config: &Config) -> Option<Bus> {
        self.bus.as_ref().and_then(|bus| bus.hints(config))
    }

    /// Returns the connection of presence to the other nodes.
    pub(super) fn presence(&self) -> Option<ClusterLink> {
        self.bus.as_ref().map(OpenBus::presence)
    }

    /// Returns the process of the node, if it may run beside others.
    fn process(&self, config: &Config) -> Option<NodeProcess> {
        let node = &self.shared.as_ref().filter(|_| config.cluster.enabled)?.node;
        Some(NodeProcess { name: NodeName::from(&*node.name), instance: node.instance.clone() })
    }

    /// Returns the proxy to the other nodes, if this node may run beside others.
    pub(super) fn proxy(&self, config: &Config, secret: &[u8], instruments: &Instruments) -> Option<Proxy> {
        let metrics = (instruments.proxied.clone(), &instruments.pools);
        let others = (self.others.clone(), self.log.clone());
        Proxy::new(self.process(config)?, secret, others, &config.limits, metrics)
    }

    /// Returns the check of the address for other nodes, if this node may run beside others.
    pub(super) fn address_check(
        &self,
        (config, addresses): (&Config, &Addresses),
        secret: &[u8],
        instruments: &Instruments,
    ) -> Option<OwnAddressCheck> {
        let (address, found) = (address_of(config, addresses), instruments.own_address.clone());
        OwnAddressCheck::new(address, self.process(config)?, secret, &config.limits, found)
    }

    /// Returns the settings of the services.
    pub(super) fn settings(
        &self,
        config: &Config,
        addresses: &Addresses,
        instruments: &Instruments,
    ) -> NodeSettings {
        let commits = config.runs_beside_others().then(|| {
            let patience = Duration::from_millis(config.limits.commit_wait_ms);
            CommitTokens::new(self.newest.clone(), self.log.clone(), patience)
        });
        NodeSettings {
            number: self.shared.as_ref().map_or(0, |shared| shared.node.number),
            name: self.name(),
            format: self.shared.as_ref().map(|shared| shared.format.clone()),
            udp_address: match &*config.udp.public_address {
                "" => addresses.udp.to_string().into(),
                public => public.into(),
            },
            logins: self.bus.as_ref().map(OpenBus::logins),
            chores: self.chores.clone(),
            commits,
            own_address: instruments.own_address.clone(),
        }
    }

    /// Starts to read the log of commits, on PostgreSQL, until `log_ends`. The node counts as
    /// running until `stops`.
    pub(super) fn follow(
        self,
        database: &Source,
        (config, addresses): (&Config, &Addresses),
        (writer, cache): (WriterHandle, CacheHandle),
        instruments: &Instruments,
        (stops, log_ends, fatal): (&CancellationToken, &CancellationToken, FatalSignal),
    ) -> FollowingNode {
        let (hint, hints) = channel(1);
        let chores = Chores { lock: self.chores, gauge: instruments.chores.clone() };
        chores.set(self.shared.is_none());
        if let (Source::Server(server), Some(shared)) = (database, self.shared) {
            let tail = LogTail {
                server: server.clone(),
                node: ThisNode { address: address_of(config, addresses), ..shared.node },
                writer,
                cache,
                newest: self.newest,
                chores,
                poll: if config.cluster.enabled { POLL } else { POLL_ALONE },
                format: shared.format,
                log: self.log.clone(),
                requests: self.log_requests,
                nodes: self.feed,
                count: instruments.commits.nodes.clone(),
                database_bytes: instruments.database_bytes.clone(),
                hints,
            };
            tail.spawn((stops, log_ends), fatal);
        }
        FollowingNode { log: self.log, bus: self.bus, hint }
    }
}

/// The node while it reads the log, before it exchanges messages with others.
pub(super) struct FollowingNode {
    pub(super) log: LogReader,
    bus: Option<OpenBus>,
    /// Hints of the bus that there are commits.
    hint: Sender<()>,
}

impl FollowingNode {
    /// Starts the tasks of the bus, if there is one.
    pub(super) fn join_bus(self, services: &Arc<Services>) -> Option<RunningBus> {
        self.bus.map(|bus| bus.spawn(services, self.hint))
    }
}

/// Returns the URL at which other nodes reach this one; empty if it is unknown.
fn address_of(config: &Config, addresses: &Addresses) -> String {
    let at = addresses.http;
    if !config.cluster.address.is_empty() {
        return config.cluster.address.clone();
    }
    if at.ip().is_unspecified() || config.tls.is_on() {
        return String::new();
    }
    format!("http://{at}")
}
