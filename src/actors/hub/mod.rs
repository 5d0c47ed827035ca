//! The hubs: indexes of connected sessions, and delivery to them.
//!
//! There is one [`HubActor`] per session thread. It owns the index from users and chats to the
//! outboxes of the sessions on its thread. All that a session may see of a chat arrives through the
//! hub's one ordered lane, which the cache feeds. The lane carries registrations, events, joins and
//! leaves, revocations, `Welcome`, `Pong`, and the switch of a chat from catching up to live.
//!
//! Invariants:
//!
//! * Only items of the lane change the index, so a session sees exactly the events committed while
//!   its user was a member.
//! * The hub sends no live event of a chat that is catching up.
//! * A frame is encoded once and shared.
//! * A hub that restarted or lagged ends its sessions with `Goodbye {reconnect}`. No session
//!   continues with partial delivery.

mod actor;
mod handle;
mod index;
mod messages;
#[cfg(test)]
mod rule_test;
mod subscriptions;

pub use actor::HubActor;
pub use handle::HubHandle;
pub use index::replay_frame;
pub use messages::{LaneItem, LaneItems, Replayed, SessionSubscription};
