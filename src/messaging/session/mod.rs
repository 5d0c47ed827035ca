//! Sessions: one per connection.
//!
//! `state` is the conversation, a machine without socket, clock or actor; `actor` performs its steps, `answers` those
//! that are queries, `resumption` replays what a session missed, `marks` collects what it has read; `reader` and `writer` are the two tasks at the socket.
//!
//! Invariants: what a session sends is submitted in the order in which it came; a packet holds a place in the session's
//! window until it is answered, and without a free place the socket is not read; a stranger's window is one packet.

mod actor;
mod answers;
mod marks;
mod reader;
mod resumption;
mod state;
mod writer;

pub use actor::SessionStats;
pub(super) use actor::{Setup, start, stats};
