//! Mailboxes: an actor's address that counts messages.

use std::sync::Arc;

use actix::{Addr, Handler, Message};

use super::ask::{Ask, Request};
use super::context::{InstrumentedActor, PENDING_SLOT, Slot};
use super::gate::{Caller, Gate, Overloaded, Permit};
use super::names::NamedMessage;
use super::reply::{Reply, ReplyDropped};
use super::stats::ActorStats;

/// Enqueues messages for one actor. Cheap to clone.
///
/// `post` never waits and never refuses. The caller already holds a permit of the actor's
/// [`Gate`](super::Gate) for an ask. Events are bounded by the permits they carry.
pub struct Mailbox<A: InstrumentedActor> {
    addr: Addr<A>,
    stats: Arc<ActorStats>,
}

impl<A: InstrumentedActor> Clone for Mailbox<A> {
    fn clone(&self) -> Self {
        Self { addr: self.addr.clone(), stats: self.stats.clone() }
    }
}

impl<A: InstrumentedActor> Mailbox<A> {
    pub(super) fn new(addr: Addr<A>, stats: Arc<ActorStats>) -> Self {
        Self { addr, stats }
    }

    /// Enqueues `message`. If the actor has ended, drops it, and its reply reports that to the
    /// caller.
    pub fn post<M>(&self, message: M)
    where
        A: Handler<M>,
        M: Message + NamedMessage<Actor = A> + Send + 'static,
        M::Result: Send,
    {
        if self.stats.measures() {
            PENDING_SLOT.set(Some(Slot::take(&self.stats, M::NAME)));
        }
        #[expect(clippy::disallowed_methods, reason = "this is the handle that the rule names")]
        self.addr.do_send(message);
        // The slot is left over when actix did not pack the message because the mailbox was closed.
        drop(PENDING_SLOT.take());
    }

    /// Enters `gate` for `caller`, posts `request` and awaits its answer.
    ///
    /// # Errors
    ///
    /// [`Overloaded`] if no permit became free in time. [`ReplyDropped`] if the actor dropped the
    /// request unanswered: its outcome is unknown. Both are converted to the error of the request.
    pub async fn ask<R>(
        &self,
        gate: &Gate,
        caller: impl Into<Caller>,
        request: R,
    ) -> Result<R::Answer, R::Error>
    where
        A: Handler<Ask<R>>,
        R: Request<Actor = A>,
    {
        self.ask_with(gate, caller, |reply, permit| Ask::new(request, reply, Some(permit))).await
    }

    /// Like [`Mailbox::ask`], with a message of the caller's own that carries reply and permit: for
    /// a permit that must outlive the handler and the answer.
    ///
    /// # Errors
    ///
    /// Those of [`Mailbox::ask`].
    pub async fn ask_with<M, T, E>(
        &self,
        gate: &Gate,
        caller: impl Into<Caller>,
        message: impl FnOnce(Reply<T, E>, Permit) -> M,
    ) -> Result<T, E>
    where
        A: Handler<M>,
        M: Message + NamedMessage<Actor = A> + Send + 'static,
        M::Result: Send,
        T: Send + 'static,
        E: From<Overloaded> + From<ReplyDropped> + Send + 'static,
    {
        let permit = gate.enter(caller, M::NAME).await?;
        self.await_answer(|reply| message(reply, permit)).await
    }

    /// Posts `request` without passing a gate and awaits its answer. For requests of the server
    /// itself, of which there are few at a time.
    ///
    /// # Errors
    ///
    /// Those of [`Mailbox::ask`], except `Overloaded`.
    pub async fn ask_ungated<R>(&self, request: R) -> Result<R::Answer, R::Error>
    where
        A: Handler<Ask<R>>,
        R: Request<Actor = A>,
    {
        self.await_answer(|reply| Ask::new(request, reply, None)).await
    }

    async fn await_answer<M, T, E>(&self, message: impl FnOnce(Reply<T, E>) -> M) -> Result<T, E>
    where
        A: Handler<M>,
        M: Message + NamedMessage<Actor = A> + Send + 'static,
        M::Result: Send,
        T: Send + 'static,
        E: From<ReplyDropped> + Send + 'static,
    {
        let (reply, answer) = Reply::channel();
        self.post(message(reply));
        answer.await.unwrap_or_else(|_| Err(ReplyDropped.into()))
    }

    pub fn stats(&self) -> &Arc<ActorStats> {
        &self.stats
    }
}
