//! The wire format: packets, answers, frames and error codes. Pure: no socket, no actor, no clock.
//!
//! `docs/PROTOCOL.md` is the contract for third-party clients; golden byte vectors in the tests pin
//! it.

pub mod answer;
pub mod code;
pub mod datagram;
pub mod found;
pub mod framing;
pub mod json;
pub mod json_size;
pub mod packet;
pub mod scan;
pub mod view;
