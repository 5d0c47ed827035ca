//! The edge that all transports of sessions share: who may connect, and on which thread a session lives.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use actix::ArbiterHandle;
use tokio_util::sync::CancellationToken;

use super::admission::{Admission, Seat, StrangerSeat};
use super::metrics::{ConnectionMeter, ConnectionMetrics, Transport};
use super::session::SessionStats;
use crate::actors::hub::{DeliveryMeter, DeliveryMetrics};
use crate::core::actor::FatalSignal;
use crate::core::shares::PoolMetrics;
use crate::domain::ids::SessionId;
use crate::services::Services;

/// A thread that owns sessions; its place in the list is the number of its hub.
#[derive(Clone)]
pub struct SessionThread(pub ArbiterHandle);

/// Where sessions begin. Shared by the listeners.
pub struct SessionEdge {
    pub(super) admission: Arc<Admission>,
    next_session: AtomicU64,
    threads: Vec<SessionThread>,
    connections: ConnectionMetrics,
    /// Per hub, of TCP and of WebSocket.
    deliveries: Vec<[DeliveryMeter; 2]>,
    pub(super) services: Arc<Services>,
    pub(super) stats: SessionStats,
    pub(super) fatal: FatalSignal,
    /// Cancelled when sessions must end.
    pub(super) ending: CancellationToken,
    /// The same for those over WebSocket, which end earlier: HTTP stops before the writer.
    pub(super) ending_web: CancellationToken,
}

/// A place for one session.
pub(super) struct Place {
    pub(super) id: SessionId,
    pub(super) transport: Transport,
    pub(super) hub: usize,
    pub(super) thread: ArbiterHandle,
    pub(super) seat: Seat,
    pub(super) stranger: StrangerSeat,
    pub(super) meter: ConnectionMeter,
    pub(super) deliveries: DeliveryMeter,
}

/// What is counted about sessions.
pub struct SessionMetrics {
    pub actors: SessionStats,
    pub connections: ConnectionMetrics,
    pub deliveries: DeliveryMetrics,
    pub pools: PoolMetrics,
}

impl SessionEdge {
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
        Self {
            admission: Arc::new(Admission::start(&services.limits, &metrics.pools)),
            next_session: AtomicU64::new(1),
            threads,
            connections: metrics.connections.clone(),
            deliveries,
            services,
            stats: metrics.actors.clone(),
            fatal,
            ending_web: ending.child_token(),
            ending,
        }
    }

    /// A place for a session from `address`, if there is one.
    pub(super) fn place(&self, transport: Transport, address: IpAddr) -> Option<Place> {
        let meter = self.connections.meter(transport);
        let Some((seat, stranger)) = self.admission.admit(transport, address, meter) else {
            meter.refused();
            return None;
        };
        let id = self.next_session.fetch_add(1, Relaxed);
        let hub = usize::try_from(id).unwrap_or(0) % self.threads.len().max(1);
        let SessionThread(thread) = self.threads.get(hub)?;
        let deliveries = self.deliveries.get(hub)?.get(transport as usize)?.clone();
        let (thread, meter) = (thread.clone(), meter.clone());
        Some(Place { id: SessionId(id), transport, hub, thread, seat, stranger, meter, deliveries })
    }

    pub fn stats(&self) -> &SessionStats {
        &self.stats
    }

    /// How many connections there are, over all transports.
    pub fn connections(&self) -> usize {
        self.admission.connections()
    }

    /// Says goodbye to the sessions over WebSocket once they are answered; does not wait.
    pub fn end_web_sessions(&self) {
        self.ending_web.cancel();
    }

    /// Says goodbye to every session, behind what is already in its outbox, and waits until they are closed.
    pub async fn end_sessions(&self) {
        self.ending.cancel();
        while self.connections() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
