//! The hubs: who is connected here, and what reaches them.
//!
//! One [`HubActor`] per session thread. It owns the index from users and chats to the outboxes of the sessions on its
//! thread, and everything that a session may see of a chat comes through its one ordered lane, fed by the cache:
//! registrations, events, joins and leaves, revocations, `Welcome`, `Pong`, and the switch of a chat from catching up to
//! live.
//!
//! Invariants: the index changes only by items of the lane it delivers, so a session sees exactly the events committed
//! while it was a member; nothing live is sent of a chat that is catching up; a frame is encoded once and shared; a hub that restarted or lagged ends its sessions with
//! `Goodbye {reconnect}`, never leaving one half alive.

mod actor;
mod following;
mod handle;
mod index;
mod messages;
mod meter;
mod outbox;
#[cfg(test)]
mod rule_test;

pub use actor::HubActor;
pub use handle::HubHandle;
pub use index::replay_frame;
pub use messages::{Lane, LaneItem, Registration, Replayed};
pub use meter::{DeliveryMeter, DeliveryMetrics};
pub use outbox::{Drained, Outbox, OutboxDrain};
