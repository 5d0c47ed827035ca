//! The actor kit: mailboxes that are bounded, measured and survive a panic.
//!
//! actix gives threads, addresses and contexts. This kit adds what a server needs and actix does not promise:
//!
//! * **Two kinds of edge.** An *ask* comes from outside and passes a [`Gate`]: a permit of a bounded semaphore, waited
//!   for with a named patience, or [`Overloaded`]. The permit rides in the message. An *event* goes from actor to
//!   actor, is never refused and never awaited; the permits it carries bound how many can exist.
//! * **Measured mailboxes.** [`Ctx`] stamps every message; depth, waits and handling times are kept per actor and
//!   message type in an [`ActorStats`] that belongs to the application, never to the process.
//! * **Supervision.** A panic in a handler fails the message that caused it and no other: queued messages survive, the
//!   actor's `restarting` and `started` run again. More than [`RESTARTS_MAX`] in [`RESTART_WINDOW`] end the process.
//! * **Answers that always come.** A [`Reply`] that is dropped unanswered tells its caller so.
//!
//! Architecture invariant: `actix::Addr` is used in this module and nowhere else; [`Mailbox`] is the only way in.

mod context;
mod gate;
mod mailbox;
mod reply;
mod stats;
mod supervisor;

#[cfg(test)]
mod tests;

pub use context::{Ctx, Letter, Metered};
pub use gate::{Gate, Overloaded, Permit, Who};
pub use mailbox::Mailbox;
pub use reply::{Reply, Vanished};
pub use stats::{ActorSnapshot, ActorStats, MessageSnapshot};
pub use supervisor::{FATAL_EXIT_CODE, FatalSignal, RESTART_WINDOW, RESTARTS_MAX, start};
