//! Delivery metrics: bytes that wait, frames sent and pushes dropped.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::core::metrics::{Export, Labelled};
use crate::core::saturate;
use crate::protocol::code::Code;

/// The delivery metrics of one application.
#[derive(Debug, Clone, Default)]
pub struct DeliveryMetrics {
    /// By transport and hub: each hub's thread updates its own memory.
    waiting_bytes: Family<[(&'static str, String); 2], Gauge>,
    frames: Labelled<Counter, 1>,
    bytes: Labelled<Counter, 1>,
    dropped: Labelled<Counter, 1>,
    limited: Labelled<Counter, 1>,
    slow_readers: Labelled<Gauge, 1>,
    refusals: Labelled<Counter, 2>,
}

/// The delivery metrics of one transport in one hub. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct DeliveryMeter(Arc<PushMeter>);

#[derive(Debug, Default)]
struct PushMeter {
    waiting_bytes: Gauge,
    frames: Counter,
    bytes: Counter,
    dropped: Counter,
    limited: Counter,
    slow_readers: Gauge,
    /// In the order of [`Code::ALL`].
    refusals: [Counter; Code::ALL.len()],
}

impl DeliveryMetrics {
    pub fn meter(&self, transport: &'static str, hub: usize) -> DeliveryMeter {
        let own = [("transport", transport)];
        let of_hub = [("transport", transport.to_owned()), ("hub", hub.to_string())];
        DeliveryMeter(Arc::new(PushMeter {
            waiting_bytes: self.waiting_bytes.get_or_create_owned(&of_hub),
            frames: self.frames.get_or_create_owned(&own),
            bytes: self.bytes.get_or_create_owned(&own),
            dropped: self.dropped.get_or_create_owned(&own),
            limited: self.limited.get_or_create_owned(&own),
            slow_readers: self.slow_readers.get_or_create_owned(&own),
            refusals: Code::ALL.map(|code| {
                self.refusals.get_or_create_owned(&[("transport", transport), ("code", code.as_str())])
            }),
        }))
    }
}

impl DeliveryMeter {
    #[inline]
    pub(super) fn waiting(&self, bytes: usize) {
        self.0.waiting_bytes.inc_by(saturate::to_i64(bytes));
    }

    /// Counts frames that reached the socket.
    #[inline]
    pub(super) fn written(&self, frames: usize, bytes: usize) {
        self.0.waiting_bytes.dec_by(saturate::to_i64(bytes));
        self.0.frames.inc_by(saturate::to_u64(frames));
        self.0.bytes.inc_by(saturate::to_u64(bytes));
    }

    /// Subtracts bytes that will never reach the socket.
    pub(super) fn discarded(&self, bytes: usize) {
        self.0.waiting_bytes.dec_by(saturate::to_i64(bytes));
    }

    pub(super) fn dropped(&self) {
        self.0.dropped.inc();
    }

    pub(super) fn limited(&self) {
        self.0.limited.inc();
    }

    /// Counts a request that was refused with `code`.
    pub(super) fn refused(&self, code: Code) {
        let place = Code::ALL.iter().position(|other| *other == code);
        if let Some(counter) = place.and_then(|place| self.0.refusals.get(place)) {
            counter.inc();
        }
    }

    pub(super) fn slow(&self, is_slow: bool) {
        self.0.slow_readers.inc_by(if is_slow { 1 } else { -1 });
    }
}

impl Export for DeliveryMetrics {
    fn export(&self, registry: &mut Registry) {
        let help = "Bytes that wait for the sockets of sessions";
        registry.register("netbit_outbox_bytes", help, self.waiting_bytes.clone());
        registry.register("netbit_frames_sent", "Frames that reached their socket", self.frames.clone());
        registry.register("netbit_frame_bytes_sent", "Bytes of frames sent", self.bytes.clone());
        let help = "Pushes that found the outbox of their session full";
        registry.register("netbit_pushes_dropped", help, self.dropped.clone());
        let help = "Limited packets sent: sessions that must resume because they read too slowly";
        registry.register("netbit_sessions_limited", help, self.limited.clone());
        let help = "Packets answered with success false, by error code";
        registry.register("netbit_session_refusals", help, self.refusals.clone());
        let help = "Sessions whose outbox was full and has not dropped below half since";
        registry.register("netbit_slow_readers", help, self.slow_readers.clone());
    }
}
