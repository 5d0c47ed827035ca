//! The state that the sessions of a run share: checker, clock, measurements and backlog.
//!
//! Everything lives on one thread, and no borrow is held across an `await`.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use netbit::domain::ids::ChatId;
use tokio::sync::{Notify, Semaphore, watch};

use super::checker::Checker;

/// The number of errors that are described; the others are counted.
const DESCRIBED: usize = 10;
/// Larger latencies are recorded as this value.
const LATENCY_MAX_US: u64 = 3_600_000_000;

/// The phase of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Sessions connect, and none sends.
    Waiting,
    Sending,
    /// All messages are answered: each session requests a last answer, which follows all events.
    Finishing,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Run {
    begun: Instant,
    pub(super) chats: Vec<ChatId>,
    pub(super) messages_per_sender: usize,
    pub(super) checker: RefCell<Checker>,
    pub(super) measurements: RefCell<Measurements>,
    /// One permit for each message that may be sent before every session has received it.
    backlog: Semaphore,
    phase: watch::Sender<Phase>,
    senders_done: Semaphore,
    errors: RefCell<Vec<String>>,
    more_errors: Cell<usize>,
    broken: Notify,
}

/// The measured values.
#[derive(Debug)]
pub(super) struct Measurements {
    pub(super) ack_latency: Histogram<u64>,
    pub(super) delivery_latency: Histogram<u64>,
    /// The times of the last acknowledgement and the last delivery, in microseconds since the
    /// start.
    pub(super) last_ack_us: u64,
    pub(super) last_delivery_us: u64,
    pub(super) refused: u64,
}

impl Measurements {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            ack_latency: Histogram::new_with_max(LATENCY_MAX_US, 3)?,
            delivery_latency: Histogram::new_with_max(LATENCY_MAX_US, 3)?,
            last_ack_us: 0,
            last_delivery_us: 0,
            refused: 0,
        })
    }
}

impl Run {
    /// `backlog` is the number of messages that not all sessions have received; 0 for no limit.
    pub(super) fn new(
        chats: Vec<ChatId>,
        messages_per_sender: usize,
        backlog: usize,
        checker: Checker,
    ) -> anyhow::Result<Self> {
        // Half of the maximum, because a faulty server may cause too many permits to be returned.
        let backlog = if backlog == 0 { Semaphore::MAX_PERMITS / 2 } else { backlog };
        Ok(Self {
            begun: Instant::now(),
            chats,
            messages_per_sender,
            checker: RefCell::new(checker),
            measurements: RefCell::new(Measurements::new()?),
            backlog: Semaphore::new(backlog),
            phase: watch::Sender::new(Phase::Waiting),
            senders_done: Semaphore::new(0),
            errors: RefCell::default(),
            more_errors: Cell::default(),
            broken: Notify::new(),
        })
    }

    pub(super) fn now_us(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    /// Waits until the run has reached `phase`.
    pub(super) async fn reached(&self, phase: Phase) {
        // `self` owns the sender of the channel, so the channel is open.
        drop(self.phase.subscribe().wait_for(|now| *now >= phase).await);
    }

    /// Waits until one more message may be sent.
    pub(super) async fn acquire_backlog(&self) {
        if let Ok(permit) = self.backlog.acquire().await {
            permit.forget();
        }
    }

    /// Releases the permit of a message that all sessions have received, or that was refused.
    pub(super) fn release_backlog(&self) {
        self.backlog.add_permits(1);
    }

    pub(super) fn sender_done(&self) {
        self.senders_done.add_permits(1);
    }

    pub(super) async fn all_done(&self, senders: usize) {
        drop(self.senders_done.acquire_many(u32::try_from(senders).unwrap_or(u32::MAX)).await);
    }

    /// Records an error after which the run cannot be correct, and aborts the run.
    pub(super) fn error(&self, what: String) {
        let mut errors = self.errors.borrow_mut();
        if errors.len() < DESCRIBED {
            errors.push(what);
        } else {
            self.more_errors.set(self.more_errors.get() + 1);
        }
        self.broken.notify_one();
    }

    /// Aborts the run when the checker has found a fault.
    pub(super) fn stop_if_faulty(&self) {
        if self.checker.borrow().is_faulty() {
            self.broken.notify_one();
        }
    }

    pub(super) async fn broken(&self) {
        self.broken.notified().await;
    }

    pub(super) fn errors(&self) -> Vec<String> {
        let mut errors = self.errors.borrow().clone();
        if self.more_errors.get() > 0 {
            errors.push(format!("and {} more errors", self.more_errors.get()));
        }
        errors
    }
}

/// Returns the time between two results of [`Run::now_us`].
pub(super) fn between(from_us: u64, to_us: u64) -> Duration {
    Duration::from_micros(to_us.saturating_sub(from_us))
}
