//! Metrics of connections and of incoming frames.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::core::metrics::{Export, GaugeGuard, Labelled};
use crate::core::saturate;

/// Transport of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Tcp,
    WebSocket,
}

impl Transport {
    pub const ALL: [Self; 2] = [Self::Tcp, Self::WebSocket];

    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::WebSocket => "websocket",
        }
    }
}

/// Metrics of all connections of an application.
#[derive(Debug, Clone)]
pub struct ConnectionMetrics {
    connections: Labelled<Gauge, 1>,
    sessions: Labelled<Gauge, 1>,
    refused: Labelled<Counter, 1>,
    frames: Labelled<Counter, 1>,
    bytes: Labelled<Counter, 1>,
    malformed: Labelled<Counter, 1>,
    meters: [ConnectionMeter; 2],
}

/// Metrics of the connections over one transport. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct ConnectionMeter(Arc<TransportMeter>);

#[derive(Debug)]
struct TransportMeter {
    connections: Gauge,
    sessions: Gauge,
    refused: Counter,
    frames: Counter,
    bytes: Counter,
    malformed: Counter,
}

impl Default for ConnectionMetrics {
    fn default() -> Self {
        let (connections, sessions) = (Labelled::<Gauge, 1>::default(), Labelled::<Gauge, 1>::default());
        let counters = || Labelled::<Counter, 1>::default();
        let (refused, frames, bytes, malformed) = (counters(), counters(), counters(), counters());
        let meters = Transport::ALL.map(|transport| {
            let own = [("transport", transport.name())];
            ConnectionMeter(Arc::new(TransportMeter {
                connections: connections.get_or_create_owned(&own),
                sessions: sessions.get_or_create_owned(&own),
                refused: refused.get_or_create_owned(&own),
                frames: frames.get_or_create_owned(&own),
                bytes: bytes.get_or_create_owned(&own),
                malformed: malformed.get_or_create_owned(&own),
            }))
        });
        Self { connections, sessions, refused, frames, bytes, malformed, meters }
    }
}

impl ConnectionMetrics {
    /// Returns the number of authenticated sessions of each transport.
    pub fn sessions(&self) -> Vec<Gauge> {
        self.meters.iter().map(|meter| meter.0.sessions.clone()).collect()
    }

    pub(super) fn meter(&self, transport: Transport) -> &ConnectionMeter {
        let [tcp, websocket] = &self.meters;
        match transport {
            Transport::Tcp => tcp,
            Transport::WebSocket => websocket,
        }
    }
}

impl ConnectionMeter {
    pub(super) fn connected(&self) -> GaugeGuard {
        GaugeGuard::new(&self.0.connections)
    }

    /// Counts a session that was authenticated.
    pub(super) fn welcomed(&self) -> GaugeGuard {
        GaugeGuard::new(&self.0.sessions)
    }

    pub(super) fn refused(&self) {
        self.0.refused.inc();
    }

    pub(super) fn received(&self, bytes: usize) {
        self.0.frames.inc();
        self.0.bytes.inc_by(saturate::to_u64(bytes));
    }

    pub(super) fn malformed(&self) {
        self.0.malformed.inc();
    }
}

impl Export for ConnectionMetrics {
    fn export(&self, registry: &mut Registry) {
        let help = "Open connections, authenticated or not";
        registry.register("netbit_connections", help, self.connections.clone());
        let help = "Sessions: authenticated connections";
        registry.register("netbit_sessions", help, self.sessions.clone());
        let help = "Connections refused because of the limits of connections";
        registry.register("netbit_connections_refused", help, self.refused.clone());
        registry.register("netbit_frames_received", "Frames received", self.frames.clone());
        registry.register("netbit_frame_bytes_received", "Bytes of frames received", self.bytes.clone());
        let help = "Frames that could not be decoded; each ended its connection";
        registry.register("netbit_frames_malformed", help, self.malformed.clone());
    }
}
