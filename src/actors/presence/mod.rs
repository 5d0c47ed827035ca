//! Presence: which users are online, and which are typing, over UDP, TCP and WebSocket.
//!
//! [`PresenceActor`] owns the UDP socket, the tickets with their keys, and the presence of users
//! and their devices. Presence is soft state: it is lost with the process, and no durable state
//! depends on it.
//!
//! The cache registers sessions and tickets on one lane with joins, leaves and revocations. A
//! ticket is therefore removed with its login, and users see only users with whom they share a
//! chat.
//!
//! All state lives in plain structs that receive the time as a parameter:
//!
//! * `people`: which users are online, and which users see each other.
//! * `tickets` and `replay`: whether a datagram is authentic.
//! * `paths`: the addresses to which a ticket's datagrams may be sent.
//! * `peers`: what the other nodes of a cluster announce.
//! * `places`: the files and comparisons that users show to be at.
//! * `state`: the updates that each user must receive.
//!
//! An idle presence actor has no deadline except the expiry of tickets. It runs no periodic timer.
//! In a cluster, it has one deadline more: that of the beat to the other nodes.

mod actor;
mod batches;
mod counters;
mod handle;
mod messages;
mod paths;
mod peers;
mod people;
mod places;
mod replay;
mod state;
mod tickets;

pub use actor::{ClusterLink, PresenceActor};
pub use counters::{DatagramCounters, DatagramSnapshot};
pub use handle::PresenceHandle;
pub use messages::{NodeEvent, PresenceItem, PresenceUpdate};
pub use places::Place;
pub use tickets::Ticket;
