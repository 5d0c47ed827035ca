//! What the sessions of a run share: the judge, the clock, the measurements, and the brake.
//!
//! Everything lives on one thread and nothing is borrowed across an `await`.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use netbit::domain::ids::ChatId;
use tokio::sync::{Notify, Semaphore, watch};

use super::checker::Checker;

/// How many troubles are described.
const DESCRIBED: usize = 10;
/// Latencies above this are counted as this.
const LATENCY_MAX_US: u64 = 3_600_000_000;

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Everybody is there, nobody speaks.
    Waiting,
    Sending,
    /// All is answered: everybody asks for a last answer, behind which nothing can come.
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
    /// One permit for each message that may be sent and not yet be seen by everybody.
    backlog: Semaphore,
    phase: watch::Sender<Phase>,
    senders_done: Semaphore,
    errors: RefCell<Vec<String>>,
    more_errors: Cell<usize>,
    broken: Notify,
}

/// What is measured.
#[derive(Debug)]
pub(super) struct Measurements {
    pub(super) ack_latency: Histogram<u64>,
    pub(super) delivery_latency: Histogram<u64>,
    /// When the last of each came, in microseconds since the beginning.
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
    /// `backlog`: how many messages may be on their way to somebody; 0 for any number.
    pub(super) fn new(
        chats: Vec<ChatId>,
        messages_per_sender: usize,
        backlog: usize,
        checker: Checker,
    ) -> anyhow::Result<Self> {
        // Half of the most there can be: giving back one too many, which only a faulty server brings about, is harmless.
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

    /// Resolves as soon as the run is at `phase` or beyond.
    pub(super) async fn reached(&self, phase: Phase) {
        // The sender of the channel is `self`: it cannot be gone.
        drop(self.phase.subscribe().wait_for(|now| *now >= phase).await);
    }

    /// Waits until one more message may be on its way.
    pub(super) async fn acquire_backlog(&self) {
        if let Ok(permit) = self.backlog.acquire().await {
            permit.forget();
        }
    }

    /// A message arrived everywhere, or was refused.
    pub(super) fn release_backlog(&self) {
        self.backlog.add_permits(1);
    }

    pub(super) fn sender_done(&self) {
        self.senders_done.add_permits(1);
    }

    pub(super) async fn all_done(&self, senders: usize) {
        drop(self.senders_done.acquire_many(u32::try_from(senders).unwrap_or(u32::MAX)).await);
    }

    /// Something happened after which the run cannot be correct.
    pub(super) fn error(&self, what: String) {
        let mut errors = self.errors.borrow_mut();
        if errors.len() < DESCRIBED {
            errors.push(what);
        } else {
            self.more_errors.set(self.more_errors.get() + 1);
        }
        self.broken.notify_one();
    }

    /// Ends the run early when the judge has seen enough.
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
            errors.push(format!("and {} more like these", self.more_errors.get()));
        }
        errors
    }
}

/// Between two moments of [`Run::now_us`].
pub(super) fn between(from_us: u64, to_us: u64) -> Duration {
    Duration::from_micros(to_us.saturating_sub(from_us))
}
