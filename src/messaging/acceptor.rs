//! Entry point shared by all transports of sessions: admits connections and assigns each session to
//! a thread.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use actix::ArbiterHandle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::admission::{Admission, ConnectionSlot, PreAuthSlot};
use super::metrics::{ConnectionMeter, ConnectionMetrics, Transport};
use crate::actors::freshness::Freshness;
use crate::actors::outbox::{DeliveryMeter, DeliveryMetrics};
use crate::core::actor::{ActorStats, FatalSignal};
use crate::core::shares::PoolMetrics;
use crate::domain::access::Credential;
use crate::domain::ids::SessionId;
use crate::services::Services;

/// Statistics that all sessions of an application share.
pub type SessionStats = Arc<ActorStats>;

/// A thread that owns sessions; its index in the list is the number of its hub.
#[derive(Clone)]
pub struct SessionThread(pub ArbiterHandle);

/// Starts sessions. Shared by the listeners.
pub struct SessionAcceptor {
    pub(super) admission: Arc<Admission>,
    next_session: AtomicU64,
    threads: Vec<SessionThread>,
    connections: ConnectionMetrics,
    /// Per hub: the meters of TCP and of WebSocket.
    deliveries: Vec<[DeliveryMeter; 2]>,
    pub(super) services: Arc<Services>,
    pub(super) stats: SessionStats,
    pub(super) fatal: FatalSignal,
    /// Cancelled when all sessions must end.
    pub(super) ending: CancellationToken,
    /// Cancelled when sessions over WebSocket must end: earlier, because HTTP stops before the
    /// writer.
    pub(super) ending_web: CancellationToken,
    /// The age of the state from which sessions are answered.
    freshness: Freshness,
    /// Children of the two tokens: cancelled and replaced when the open sessions must end.
    current: watch::Sender<Ending>,
}

/// The tokens that end the open sessions.
#[derive(Debug, Clone)]
pub(super) struct Ending {
    pub(super) tcp: CancellationToken,
    pub(super) web: CancellationToken,
}

/// An admitted connection: the slots and the thread of one session.
pub(super) struct AcceptedConnection {
    pub(super) id: SessionId,
    pub(super) transport: Transport,
    pub(super) hub: usize,
    pub(super) thread: ArbiterHandle,
    pub(super) slot: ConnectionSlot,
    pub(super) pre_auth: PreAuthSlot,
    pub(super) meter: ConnectionMeter,
    pub(super) deliveries: DeliveryMeter,
    /// The login of the browser whose page opened the connection.
    pub(super) web_login: Option<Credential>,
}

/// Metrics of sessions.
pub struct SessionMetrics {
    pub actors: SessionStats,
    pub connections: ConnectionMetrics,
    pub deliveries: DeliveryMetrics,
    pub pools: PoolMetrics,
}

impl SessionAcceptor {
    pub fn new(
        threads: Vec<SessionThread>,
        services: Arc<Services>,
        fatal: FatalSignal,
        metrics: &SessionMetrics,
    ) -> Self {
        let deliveries = (0..threads.len())
            .map(|hub| Transport::ALL.map(|transport| metrics.deliveries.meter(transport.name(), hub)))
            .collect();
        let ending = CancellationToken::new();
        let ending_web = ending.child_token();
        let current = Ending { tcp: ending.child_token(), web: ending_web.child_token() };
        Self {
            admission: Arc::new(Admission::start(&services.limits, &metrics.pools)),
            next_session: AtomicU64::new(first_session(services.node())),
            threads,
            connections: metrics.connections.clone(),
            deliveries,
            services,
            stats: metrics.actors.clone(),
            fatal,
            ending_web,
            ending,
            freshness: Freshness::new(None),
            current: watch::Sender::new(current),
        }
    }

    /// Refuses sessions while the state is stale.
    #[must_use]
    pub fn refusing_when_stale(self, freshness: Freshness) -> Self {
        Self { freshness, ..self }
    }

    /// Returns the tokens of a session that starts now.
    pub(super) fn current(&self) -> Ending {
        self.current.borrow().clone()
    }

    /// Ends the open sessions with `Goodbye`; the server goes on. Does not wait.
    pub fn end_open_sessions(&self) {
        let next = Ending { tcp: self.ending.child_token(), web: self.ending_web.child_token() };
        let ended = self.current.send_replace(next);
        ended.tcp.cancel();
        ended.web.cancel();
    }

    /// Admits a session from `address`, or returns `None` if no slot is free or the state is stale.
    pub(super) fn accept(&self, transport: Transport, address: IpAddr) -> Option<AcceptedConnection> {
        let meter = self.connections.meter(transport);
        if self.freshness.is_stale() {
            meter.refused();
            return None;
        }
        let Some((slot, pre_auth)) = self.admission.admit(transport, address, meter) else {
            meter.refused();
            return None;
        };
        let id = self.next_session.fetch_add(1, Relaxed);
        let hub = usize::try_from(id).unwrap_or(0) % self.threads.len().max(1);
        let SessionThread(thread) = self.threads.get(hub)?;
        let deliveries = self.deliveries.get(hub)?.get(transport as usize)?.clone();
        let (thread, meter) = (thread.clone(), meter.clone());
        Some(AcceptedConnection {
            id: SessionId(id),
            transport,
            hub,
            thread,
            slot,
            pre_auth,
            meter,
            deliveries,
            web_login: None,
        })
    }

    pub fn stats(&self) -> &SessionStats {
        &self.stats
    }

    /// Returns the number of connections over all transports.
    pub fn connections(&self) -> usize {
        self.admission.connections()
    }

    /// Ends the sessions over WebSocket with `Goodbye` after their packets are answered; does not
    /// wait.
    pub fn end_web_sessions(&self) {
        self.ending_web.cancel();
    }

    /// Ends every session with `Goodbye`, after the frames in its outbox, and waits until all are
    /// closed.
    pub async fn end_sessions(&self) {
        self.ending.cancel();
        while self.connections() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Returns the first id of a session of a node: ids are unique in a cluster, and below 2^52.
fn first_session(node: i16) -> u64 {
    u64::try_from(node).unwrap_or(0) << 44 | 1
}
