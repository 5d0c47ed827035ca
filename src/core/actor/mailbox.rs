//! Mailboxes: an actor's address that counts messages.

use std::sync::Arc;

use actix::{Addr, Handler};

use super::context::{Ctx, InstrumentedActor, NamedMessage, PENDING_SLOT, Slot};
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
        Ctx<A>: actix::dev::ToEnvelope<A, M>,
        M: NamedMessage,
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

    pub fn stats(&self) -> &Arc<ActorStats> {
        &self.stats
    }
}
