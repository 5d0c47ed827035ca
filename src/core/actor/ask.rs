//! Asks: requests with a reply and, if they passed a gate, a permit.

use actix::Message;

use super::gate::{Overloaded, Permit};
use super::names::{MessageName, NamedMessage};
use super::reply::{Reply, ReplyDropped};

/// A message whose sender awaits an answer.
pub trait Request: NamedMessage + Send + 'static {
    type Answer: Send + 'static;
    type Error: From<Overloaded> + From<ReplyDropped> + Send + 'static;
}

/// A [`Request`] in the mailbox of its actor.
///
/// The ask owns its permit of the gate until it is answered or dropped. A handler that parks an ask
/// therefore parks its permit too, so the gate also bounds the number of parked asks. A handler
/// that moves `reply` to another actor keeps the permit until it returns.
pub struct Ask<R: Request> {
    pub request: R,
    pub reply: Reply<R::Answer, R::Error>,
    permit: Option<Permit>,
}

impl<R: Request> Ask<R> {
    pub(super) fn new(request: R, reply: Reply<R::Answer, R::Error>, permit: Option<Permit>) -> Self {
        Self { request, reply, permit }
    }

    /// Releases the permit, then sends the answer: a caller that asks again at once finds the
    /// permit free.
    pub fn answer(self, answer: Result<R::Answer, R::Error>) {
        drop(self.permit);
        self.reply.send(answer);
    }
}

impl<R: Request> Message for Ask<R> {
    type Result = ();
}

impl<R: Request> NamedMessage for Ask<R> {
    type Actor = R::Actor;
    const NAME: MessageName = R::NAME;
}
