//! The bus of a cluster: opens it, and passes its events to their owners.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::log_tail::ThisNode;
use crate::actors::cache::CacheHandle;
use crate::actors::presence::{ClusterLink, NodeEvent, PresenceHandle};
use crate::core::bus::{self, Bus, BusEvent, BusKey, BusMessage, BusMetrics, Subscription, Target, Topic};
use crate::core::config::Config;
use crate::core::database::postgres::Server;
use crate::domain::ids::UserId;
use crate::services::{LoginShare, Services};

/// Maximum number of events that are passed on together.
const EVENTS_MAX: usize = 64;
/// Maximum number of requests for the chats of users at other nodes that wait for the cache.
const CHAT_REQUESTS_MAX: usize = 4;
/// Pause before a request is repeated that the cache did not answer.
const CHATS_AGAIN: Duration = Duration::from_millis(200);

/// The bus, before its tasks run.
pub(super) struct OpenBus {
    bus: Bus,
    key: BusKey,
    node: i16,
    subscription: Subscription,
    task: Pin<Box<dyn Future<Output = ()>>>,
    chats: Sender<Vec<UserId>>,
    wanted_chats: Receiver<Vec<UserId>>,
}

impl OpenBus {
    /// Opens the bus of the configuration, if this node may run beside others.
    pub(super) fn open(
        config: &Config,
        server: &Arc<Server>,
        (node, signing_key): (&ThisNode, &[u8]),
        metrics: BusMetrics,
    ) -> Option<Self> {
        if !config.cluster.enabled {
            return None;
        }
        // The configuration was checked.
        let target = config.bus_url().and_then(|url| Target::of(url).ok());
        let target = target.unwrap_or_else(|| Target::Postgres(server.clone()));
        let key = BusKey::new(signing_key);
        let (bus, subscription, task) = bus::open(target, &key, node.number, metrics);
        let (chats, wanted_chats) = channel(CHAT_REQUESTS_MAX);
        let task = Box::pin(task);
        Some(Self { bus, key, node: node.number, subscription, task, chats, wanted_chats })
    }

    /// Returns the part of presence.
    pub(super) fn presence(&self) -> ClusterLink {
        ClusterLink { bus: self.bus.clone(), node: self.node, chats: self.chats.clone() }
    }

    /// Returns the part of logins.
    pub(super) fn logins(&self) -> LoginShare {
        LoginShare { bus: self.bus.clone(), key: self.key.clone() }
    }

    /// Returns the bus for hints of commits, unless it is the database: its notifications are such
    /// hints.
    pub(super) fn hints(&self, config: &Config) -> Option<Bus> {
        config.bus_url().map(|_| self.bus.clone())
    }

    /// Starts the tasks of the bus. `hints` receives hints that there are commits.
    pub(super) fn spawn(self, services: &Arc<Services>, hints: Sender<()>) -> RunningBus {
        let running =
            RunningBus { bus: self.bus, presence: services.presence.clone(), left: CancellationToken::new() };
        actix::spawn(self.task);
        let passing = pass_on(self.subscription, services.clone(), hints);
        actix::spawn(running.left.clone().run_until_cancelled_owned(passing));
        let delivering = deliver_chats(self.wanted_chats, services.cache.clone());
        actix::spawn(running.left.clone().run_until_cancelled_owned(delivering));
        running
    }
}

/// The bus while its tasks run.
pub(super) struct RunningBus {
    bus: Bus,
    presence: PresenceHandle,
    left: CancellationToken,
}

impl RunningBus {
    /// Announces to the other nodes that this node stops, and ends the tasks.
    pub(super) async fn leave(self) {
        self.presence.leave_cluster().await;
        self.bus.leave().await;
        self.left.cancel();
    }
}

/// Passes the events of the bus to their owners, until the bus is left.
async fn pass_on(mut subscription: Subscription, services: Arc<Services>, hints: Sender<()>) {
    while let Some(event) = subscription.next().await {
        let mut of_presence = Vec::new();
        let mut pass = |message: BusMessage| match message.topic {
            // One read finds all commits so far.
            Topic::Commit => drop(hints.try_send(())),
            Topic::Presence => of_presence.push(NodeEvent::Message(message.from, message.body)),
            Topic::Login => services.receive_login(&message.body),
        };
        match event {
            BusEvent::Message(message) => {
                pass(message);
                for _ in 1..EVENTS_MAX {
                    let Some(message) = subscription.try_next() else { break };
                    pass(message);
                }
            }
            BusEvent::Gap => {
                hints.try_send(()).ok();
                of_presence.push(NodeEvent::Gap);
            }
        }
        if !of_presence.is_empty() {
            // Until they are handled, further events wait in the queue of the subscription.
            services.presence.receive(of_presence).await;
        }
    }
}

/// Requests the chats of users at other nodes, until the presence actor has ended.
async fn deliver_chats(mut wanted: Receiver<Vec<UserId>>, cache: CacheHandle) {
    while let Some(users) = wanted.recv().await {
        while let Err(error) = cache.deliver_chats(users.clone()).await {
            debug!(%error, "the chats of users at other nodes are requested again");
            tokio::time::sleep(CHATS_AGAIN).await;
        }
    }
}
