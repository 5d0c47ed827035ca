//! Outboxes: the frames that wait for one session's socket.
//!
//! There are two classes of frames:
//!
//! * *Replies* (answers, replayed pages, `Goodbye`) are never dropped. The packets in flight bound
//!   their number, and pages are created only while the outbox is below half. Large replies hold
//!   space that counts towards their user's share ([`Outbox::keep`]).
//! * *Pushes* are dropped as whole frames once the outbox is full, soft ones once it is half full.
//!   Memory does not grow with a slow reader.
//!
//! The hub, the presence actor and the session itself enqueue frames. The writer of the session's
//! socket drains them.

mod meter;
mod queue;
#[cfg(test)]
mod queue_test;

pub use meter::{DeliveryMeter, DeliveryMetrics};
pub use queue::{Drained, Outbox, OutboxDrain};
