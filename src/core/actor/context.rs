//! The instrumented context: actors stay plain `impl Handler<M>`, their mailboxes are measured.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Instant;

use actix::dev::{
    AsyncContextParts, ContextParts, Envelope, EnvelopeProxy, MessageResponse, OneshotSender, ToEnvelope,
};
use actix::{
    Actor, ActorContext, ActorFuture, ActorState, Addr, AsyncContext, Handler, Message, SpawnHandle,
    Supervised,
};

use super::names::{MessageName, Row};
use super::stats::ActorStats;

/// An actor of this kit: it runs in a [`Ctx`], can be restarted, and lists the messages it handles.
/// Implemented by `instrumented_actor!`.
pub trait InstrumentedActor: Actor<Context = Ctx<Self>> + Supervised {
    const NAME: &'static str;
    /// The names of the messages it handles: the rows of its statistics.
    const MESSAGES: &'static [&'static str];
}

/// Counts one message in a mailbox until it is taken out or dropped with the mailbox.
pub(super) struct Slot {
    stats: Arc<ActorStats>,
    row: Option<Row>,
    at: Instant,
}

impl Slot {
    pub(super) fn take(stats: &Arc<ActorStats>, message: MessageName) -> Self {
        let row = message.row();
        stats.enqueued(row);
        Self { stats: stats.clone(), row, at: Instant::now() }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.stats.dequeued(self.row);
    }
}

thread_local! {
    /// Passes the slot from the mailbox to `ToEnvelope::pack`, a free function that receives only
    /// the message. Both run in the same call on the same thread.
    pub(super) static PENDING_SLOT: Cell<Option<Slot>> = const { Cell::new(None) };
}

struct Stamped<M: Message> {
    inner: Option<(M, Option<Slot>)>,
    reply: Option<OneshotSender<M::Result>>,
}

/// Counts a panic of the handler: dropped before `done` is set.
struct Handling<'a> {
    stats: &'a ActorStats,
    row: Option<Row>,
    done: bool,
}

impl Drop for Handling<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.stats.panicked(self.row);
        }
    }
}

impl<A, M> EnvelopeProxy<A> for Stamped<M>
where
    A: Handler<M> + InstrumentedActor,
    M: Message + Send + 'static,
    M::Result: Send,
{
    fn handle(&mut self, actor: &mut A, ctx: &mut Ctx<A>) {
        let Some((message, slot)) = self.inner.take() else { return };
        let reply = self.reply.take();
        let Some(slot) = slot else {
            actor.handle(message, ctx).handle(ctx, reply);
            return;
        };
        let (stats, row, at) = (slot.stats.clone(), slot.row, slot.at);
        drop(slot);
        let begun = Instant::now();
        let mut handling = Handling { stats: &stats, row, done: false };
        actor.handle(message, ctx).handle(ctx, reply);
        handling.done = true;
        drop(handling);
        stats.handled(row, begun - at, begun.elapsed());
    }
}

/// The context of every actor of this kit.
pub struct Ctx<A: Actor<Context = Self>> {
    parts: ContextParts<A>,
}

impl<A: Actor<Context = Self>> Ctx<A> {
    pub(super) fn new(parts: ContextParts<A>) -> Self {
        Self { parts }
    }
}

impl<A: Actor<Context = Self>> ActorContext for Ctx<A> {
    fn stop(&mut self) {
        self.parts.stop();
    }
    fn terminate(&mut self) {
        self.parts.terminate();
    }
    fn state(&self) -> ActorState {
        self.parts.state()
    }
}

impl<A: Actor<Context = Self>> AsyncContext<A> for Ctx<A> {
    fn address(&self) -> Addr<A> {
        self.parts.address()
    }
    fn spawn<F: ActorFuture<A, Output = ()> + 'static>(&mut self, fut: F) -> SpawnHandle {
        self.parts.spawn(fut)
    }
    fn wait<F: ActorFuture<A, Output = ()> + 'static>(&mut self, fut: F) {
        self.parts.wait(fut);
    }
    fn waiting(&self) -> bool {
        self.parts.waiting()
    }
    fn cancel_future(&mut self, handle: SpawnHandle) -> bool {
        self.parts.cancel_future(handle)
    }
}

impl<A: Actor<Context = Self>> AsyncContextParts<A> for Ctx<A> {
    fn parts(&mut self) -> &mut ContextParts<A> {
        &mut self.parts
    }
}

impl<A, M> ToEnvelope<A, M> for Ctx<A>
where
    A: Handler<M> + InstrumentedActor,
    M: Message + Send + 'static,
    M::Result: Send,
{
    fn pack(message: M, reply: Option<OneshotSender<M::Result>>) -> Envelope<A> {
        let slot = PENDING_SLOT.take();
        Envelope::with_proxy(Box::new(Stamped { inner: Some((message, slot)), reply }))
    }
}
