//! Statistics of mailboxes: atomics only, read by the operations listener.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Semaphore;
use utoipa::ToSchema;

use super::context::InstrumentedActor;
use super::names::{MessageName, Row};

#[derive(Debug, Default)]
struct MessageStats {
    depth: AtomicU64,
    high_water: AtomicU64,
    enqueued: AtomicU64,
    handled: AtomicU64,
    refused: AtomicU64,
    slot_wait_ns: AtomicU64,
    queue_wait_ns: AtomicU64,
    handling_ns: AtomicU64,
    panics: AtomicU64,
}

/// The counters of one kind of actor in one application.
#[derive(Debug)]
pub struct ActorStats {
    name: &'static str,
    /// Asks that may be inside at once. `None` where the mailbox receives events only.
    capacity: Option<usize>,
    /// Whether messages are counted and timed at all. `false` is for measuring what that costs.
    measures: bool,
    depth: AtomicU64,
    high_water: AtomicU64,
    restarts: AtomicU64,
    /// The permits of the gate, if there is one.
    permits: OnceLock<Arc<Semaphore>>,
    names: &'static [&'static str],
    messages: Box<[MessageStats]>,
}

/// A snapshot of [`ActorStats`]. Times are totals in microseconds.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ActorSnapshot {
    pub actor: &'static str,
    pub capacity: Option<usize>,
    /// Asks that hold a permit now: in the mailbox, being handled, or committed and not yet
    /// applied.
    pub inside: Option<usize>,
    pub depth: u64,
    pub high_water: u64,
    pub restarts: u64,
    pub refused: u64,
    pub slot_wait_us: u64,
    pub messages: Vec<MessageSnapshot>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct MessageSnapshot {
    pub message: &'static str,
    pub depth: u64,
    pub high_water: u64,
    pub enqueued: u64,
    pub handled: u64,
    pub refused: u64,
    pub slot_wait_us: u64,
    pub queue_wait_us: u64,
    pub handling_us: u64,
    pub panics: u64,
}

impl ActorStats {
    pub fn new<A: InstrumentedActor>(capacity: Option<usize>) -> Arc<Self> {
        Self::measuring::<A>(true, capacity)
    }

    /// Creates the counters of `A`. With `measures` false, messages are neither counted nor timed.
    pub fn measuring<A: InstrumentedActor>(measures: bool, capacity: Option<usize>) -> Arc<Self> {
        Arc::new(Self {
            name: A::NAME,
            capacity,
            measures,
            depth: AtomicU64::new(0),
            high_water: AtomicU64::new(0),
            restarts: AtomicU64::new(0),
            permits: OnceLock::new(),
            names: A::MESSAGES,
            messages: A::MESSAGES.iter().map(|_| MessageStats::default()).collect(),
        })
    }

    pub(super) fn measures(&self) -> bool {
        self.measures
    }

    /// Returns the counters of a row. A message without a row shows in the totals only.
    fn of(&self, row: Option<Row>) -> Option<&MessageStats> {
        self.messages.get(row?.0)
    }

    pub(super) fn enqueued(&self, row: Option<Row>) {
        let depth = self.depth.fetch_add(1, Relaxed) + 1;
        self.high_water.fetch_max(depth, Relaxed);
        if let Some(stats) = self.of(row) {
            stats.enqueued.fetch_add(1, Relaxed);
            let depth = stats.depth.fetch_add(1, Relaxed) + 1;
            stats.high_water.fetch_max(depth, Relaxed);
        }
    }

    /// The message left the mailbox, handled or not.
    pub(super) fn dequeued(&self, row: Option<Row>) {
        self.depth.fetch_sub(1, Relaxed);
        if let Some(stats) = self.of(row) {
            stats.depth.fetch_sub(1, Relaxed);
        }
    }

    pub(super) fn handled(&self, row: Option<Row>, queue_wait: Duration, handling: Duration) {
        if let Some(stats) = self.of(row) {
            stats.handled.fetch_add(1, Relaxed);
            stats.queue_wait_ns.fetch_add(nanos(queue_wait), Relaxed);
            stats.handling_ns.fetch_add(nanos(handling), Relaxed);
        }
    }

    pub(super) fn panicked(&self, row: Option<Row>) {
        if let Some(stats) = self.of(row) {
            stats.panics.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn restarted(&self) {
        self.restarts.fetch_add(1, Relaxed);
    }

    pub(super) fn refused(&self, message: MessageName) {
        if let Some(stats) = self.of(message.row()) {
            stats.refused.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn waited_for_slot(&self, message: MessageName, wait: Duration) {
        if let Some(stats) = self.of(message.row()) {
            stats.slot_wait_ns.fetch_add(nanos(wait), Relaxed);
        }
    }

    /// Reports the permits in use of `permits` from now on.
    pub(super) fn watch(&self, permits: Arc<Semaphore>) {
        drop(self.permits.set(permits));
    }

    fn inside(&self) -> Option<usize> {
        let free = self.permits.get().map_or(self.capacity, |permits| Some(permits.available_permits()));
        Some(self.capacity?.saturating_sub(free?))
    }

    /// Messages that wait in the mailbox now.
    pub fn depth(&self) -> u64 {
        self.depth.load(Relaxed)
    }

    pub fn panics(&self) -> u64 {
        self.messages.iter().map(|stats| stats.panics.load(Relaxed)).sum()
    }

    pub fn snapshot(&self) -> ActorSnapshot {
        let micros = |ns: &AtomicU64| ns.load(Relaxed) / 1000;
        let total = |of: fn(&MessageStats) -> &AtomicU64| -> u64 {
            self.messages.iter().map(|stats| of(stats).load(Relaxed)).sum()
        };
        ActorSnapshot {
            actor: self.name,
            capacity: self.capacity,
            inside: self.inside(),
            depth: self.depth(),
            high_water: self.high_water.load(Relaxed),
            restarts: self.restarts.load(Relaxed),
            refused: total(|stats| &stats.refused),
            slot_wait_us: total(|stats| &stats.slot_wait_ns) / 1000,
            messages: self
                .names
                .iter()
                .zip(&self.messages)
                .map(|(message, stats)| MessageSnapshot {
                    message,
                    depth: stats.depth.load(Relaxed),
                    high_water: stats.high_water.load(Relaxed),
                    enqueued: stats.enqueued.load(Relaxed),
                    handled: stats.handled.load(Relaxed),
                    refused: stats.refused.load(Relaxed),
                    slot_wait_us: micros(&stats.slot_wait_ns),
                    queue_wait_us: micros(&stats.queue_wait_ns),
                    handling_us: micros(&stats.handling_ns),
                    panics: stats.panics.load(Relaxed),
                })
                .collect(),
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
