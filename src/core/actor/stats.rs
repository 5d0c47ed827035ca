//! What is counted about a mailbox: atomics only, read by the operations listener.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde::Serialize;

#[derive(Debug, Default)]
struct MessageStats {
    enqueued: AtomicU64,
    handled: AtomicU64,
    queue_wait_ns: AtomicU64,
    handling_ns: AtomicU64,
    panics: AtomicU64,
}

/// The counters of one kind of actor in one application.
#[derive(Debug)]
pub struct ActorStats {
    name: &'static str,
    /// How many asks may be inside at once; `None` where the mailbox takes events only.
    capacity: Option<usize>,
    depth: AtomicU64,
    high_water: AtomicU64,
    restarts: AtomicU64,
    refused: AtomicU64,
    slot_wait_ns: AtomicU64,
    names: &'static [&'static str],
    messages: Box<[MessageStats]>,
}

/// [`ActorStats`] at one moment. Times are totals in microseconds.
#[derive(Debug, Clone, Serialize)]
pub struct ActorSnapshot {
    pub actor: &'static str,
    pub capacity: Option<usize>,
    pub depth: u64,
    pub high_water: u64,
    pub restarts: u64,
    pub refused: u64,
    pub slot_wait_us: u64,
    pub messages: Vec<MessageSnapshot>,
}

#[derive(Debug, Clone, Serialize)]
pub struct MessageSnapshot {
    pub message: &'static str,
    pub enqueued: u64,
    pub handled: u64,
    pub queue_wait_us: u64,
    pub handling_us: u64,
    pub panics: u64,
}

impl ActorStats {
    pub fn new(name: &'static str, capacity: Option<usize>, names: &'static [&'static str]) -> Arc<Self> {
        Arc::new(Self {
            name,
            capacity,
            depth: AtomicU64::new(0),
            high_water: AtomicU64::new(0),
            restarts: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            slot_wait_ns: AtomicU64::new(0),
            names,
            messages: names.iter().map(|_| MessageStats::default()).collect(),
        })
    }

    fn of(&self, message: &str) -> Option<&MessageStats> {
        let index = self.names.iter().position(|name| *name == message)?;
        self.messages.get(index)
    }

    pub(super) fn enqueued(&self, message: &str) {
        let depth = self.depth.fetch_add(1, Relaxed) + 1;
        self.high_water.fetch_max(depth, Relaxed);
        if let Some(stats) = self.of(message) {
            stats.enqueued.fetch_add(1, Relaxed);
        }
    }

    /// The message left the mailbox, handled or not.
    pub(super) fn dequeued(&self) {
        self.depth.fetch_sub(1, Relaxed);
    }

    pub(super) fn handled(&self, message: &str, queue_wait: Duration, handling: Duration) {
        if let Some(stats) = self.of(message) {
            stats.handled.fetch_add(1, Relaxed);
            stats.queue_wait_ns.fetch_add(nanos(queue_wait), Relaxed);
            stats.handling_ns.fetch_add(nanos(handling), Relaxed);
        }
    }

    pub(super) fn panicked(&self, message: &str) {
        if let Some(stats) = self.of(message) {
            stats.panics.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn restarted(&self) {
        self.restarts.fetch_add(1, Relaxed);
    }

    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    pub(super) fn waited_for_slot(&self, wait: Duration) {
        self.slot_wait_ns.fetch_add(nanos(wait), Relaxed);
    }

    /// How many messages wait in the mailbox now.
    pub fn depth(&self) -> u64 {
        self.depth.load(Relaxed)
    }

    pub fn panics(&self) -> u64 {
        self.messages.iter().map(|stats| stats.panics.load(Relaxed)).sum()
    }

    pub fn snapshot(&self) -> ActorSnapshot {
        let micros = |ns: &AtomicU64| ns.load(Relaxed) / 1000;
        ActorSnapshot {
            actor: self.name,
            capacity: self.capacity,
            depth: self.depth(),
            high_water: self.high_water.load(Relaxed),
            restarts: self.restarts.load(Relaxed),
            refused: self.refused.load(Relaxed),
            slot_wait_us: micros(&self.slot_wait_ns),
            messages: self
                .names
                .iter()
                .zip(&self.messages)
                .map(|(message, stats)| MessageSnapshot {
                    message,
                    enqueued: stats.enqueued.load(Relaxed),
                    handled: stats.handled.load(Relaxed),
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
