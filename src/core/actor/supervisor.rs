//! Supervision: a panicking handler loses its message, not its actor.

use std::collections::VecDeque;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use actix::ArbiterHandle;
use actix::dev::{ContextFut, ContextParts, Mailbox as Queue};
use tokio::sync::watch;
use tracing::{Instrument, Span, error};

use super::context::{Ctx, InstrumentedActor};
use super::mailbox::Mailbox;
use super::stats::ActorStats;

/// More restarts than this within [`RESTART_WINDOW`] mean that restarting does not help.
pub const RESTARTS_MAX: usize = 3;
pub const RESTART_WINDOW: Duration = Duration::from_secs(60);
/// The exit code when an actor cannot be kept running (`EX_SOFTWARE` of sysexits.h).
pub const FATAL_EXIT_CODE: i32 = 70;

/// Signals that the process must end, and with which exit code. The first signal counts.
#[derive(Clone, Debug)]
pub struct FatalSignal(Arc<watch::Sender<Option<i32>>>);

impl FatalSignal {
    pub fn new() -> (Self, watch::Receiver<Option<i32>>) {
        let (sender, receiver) = watch::channel(None);
        (Self(Arc::new(sender)), receiver)
    }

    pub fn raise(&self, code: i32) {
        self.0.send_if_modified(|current| {
            let first = current.is_none();
            current.get_or_insert(code);
            first
        });
    }
}

/// Starts an actor on `arbiter` and returns its mailbox at once. Messages posted before the thread
/// runs are kept.
pub fn start<A: InstrumentedActor>(
    arbiter: &ArbiterHandle,
    stats: Arc<ActorStats>,
    fatal: FatalSignal,
    make: impl FnOnce(&Mailbox<A>) -> A + Send + 'static,
) -> Mailbox<A> {
    let queue = Queue::<A>::default();
    let mailbox = Mailbox::new(queue.address(), stats.clone());
    let own = mailbox.clone();
    let span = Span::current();
    arbiter.spawn_fn(move || {
        let ctx = Ctx::new(ContextParts::new(queue.sender_producer()));
        let actor = make(&own);
        drop(own);
        let future = ContextFut::new(ctx, actor, queue);
        actix::spawn(Supervised { future, stats, fatal, restarts: VecDeque::new() }.instrument(span));
    });
    mailbox
}

struct Supervised<A: InstrumentedActor> {
    future: ContextFut<A, Ctx<A>>,
    stats: Arc<ActorStats>,
    fatal: FatalSignal,
    restarts: VecDeque<Instant>,
}

impl<A: InstrumentedActor> Supervised<A> {
    /// Whether the actor may continue after another panic.
    fn may_restart(&mut self) -> bool {
        let now = Instant::now();
        self.restarts.push_back(now);
        self.restarts.retain(|at| now.duration_since(*at) < RESTART_WINDOW);
        self.restarts.len() <= RESTARTS_MAX
    }
}

impl<A: InstrumentedActor + Unpin> Future for Supervised<A> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let polled = std::panic::catch_unwind(AssertUnwindSafe(|| Pin::new(&mut self.future).poll(cx)));
            let Err(_panic) = polled else {
                return polled.unwrap_or(Poll::Ready(()));
            };
            self.stats.restarted();
            error!(actor = A::NAME, "the actor panicked and is restarted");
            if !self.may_restart() {
                error!(
                    actor = A::NAME,
                    "the actor panicked more than {RESTARTS_MAX} times in a minute; stopping"
                );
                self.fatal.raise(FATAL_EXIT_CODE);
                return Poll::Ready(());
            }
            if !self.future.restart() {
                return Poll::Ready(());
            }
        }
    }
}
