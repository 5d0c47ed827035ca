//! Presence: who is there and who types, over UDP, TCP and WebSocket.
//!
//! [`PresenceActor`] owns the UDP socket, the tickets and keys, and what is known of people and their devices. It is soft
//! state, forgotten with the process, and nothing that matters depends on it. Sessions and tickets are registered by the
//! cache, on one lane with joins, leaves and revocations, so a ticket dies with its login and nobody sees whom they share
//! no chat with.
//!
//! `people` says who is there and who sees whom, `tickets` and `replay` whether a datagram is authentic, `paths` to which
//! address a ticket's datagrams may go, `crowd` what all users must receive; all are plain structs to which the time is told. An idle crowd has no deadline but the
//! expiry of tickets: no timer ticks.

mod actor;
mod batches;
mod counters;
mod crowd;
mod handle;
mod messages;
mod paths;
mod people;
mod replay;
mod tickets;

pub use actor::PresenceActor;
pub use counters::{DatagramCounters, DatagramSnapshot};
pub use handle::PresenceHandle;
pub use messages::{PresenceItem, Said};
pub use people::DeviceKey;
pub use tickets::Ticket;
