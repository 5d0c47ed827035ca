//! The actor kit: bounded, measured mailboxes that survive a panic.
//!
//! actix provides threads, addresses and contexts. This kit adds guarantees that a server needs and
//! actix does not give:
//!
//! * **Two kinds of edges.** An *ask* comes from outside and passes a [`Gate`]: it waits for a
//!   permit of a bounded semaphore at most the patience, or fails with [`Overloaded`]. The [`Ask`]
//!   in the mailbox owns the permit. An *event* goes from actor to actor, is never refused and
//!   never awaited. The permits it carries bound how many can exist.
//! * **Measured mailboxes.** [`Ctx`] stamps every message. Depth, waits and handling times are kept
//!   per actor and message type in an [`ActorStats`] that belongs to the application, never to the
//!   process.
//! * **Supervision.** A panic in a handler fails the message that caused it and no other. Queued
//!   messages survive, the actor's `restarting` and `started` run again. More than [`RESTARTS_MAX`]
//!   in [`RESTART_WINDOW`] end the process.
//! * **Answers that always arrive.** A [`Reply`] that is dropped unanswered reports that to its
//!   caller.
//!
//! Architecture invariant: `actix::Addr` is used in this module only; [`Mailbox`] is the only way
//! to send to an actor.

mod ask;
mod context;
mod gate;
mod mailbox;
mod names;
mod reply;
mod stats;
mod supervisor;

#[cfg(test)]
mod tests;

pub use ask::{Ask, Request};
pub use context::{Ctx, InstrumentedActor};
pub use gate::{Caller, Gate, Overloaded, Permit};
pub use mailbox::Mailbox;
pub(crate) use names::instrumented_actor;
pub use names::{MessageName, NamedMessage};
pub use reply::{Reply, ReplyDropped};
pub use stats::{ActorSnapshot, ActorStats, MessageSnapshot};
pub use supervisor::{FATAL_EXIT_CODE, FatalSignal, RESTART_WINDOW, RESTARTS_MAX, start};
