//! Sessions: one per connection.
//!
//! Modules
//!
//! * `handle`: the way to a session's actor; `messages` lists the messages of its mailbox.
//! * `actor`: routes packets and the results of tasks. It performs the actions that `state`
//!   returns.
//! * `state`: the protocol state machine, without socket, clock or actor.
//! * `responder` makes the answers: `hello` and `answers` those of queries and requests, `room`
//!   bounds them, `replay` replays missed events, `chat_commands` submits commands to the writer.
//!   `request` is the part of a packet that its answer needs, `read_cursors` collects cursors.
//! * `start`: starts the actor and the two tasks at its socket.
//! * `reader` and `writer`: the two tasks at a TCP socket; `web_reader` (with `web_frames` and
//!   `web_form`) and `web_writer` are those of a WebSocket. `reader_context` is shared by the
//!   readers.
//!
//! Only `handle` and `start` name the actor, so the modules that decide need no runtime.
//!
//! Invariants
//!
//! * The packets of a session are submitted in the order of their arrival.
//! * A packet holds a permit of the session's window until it is answered. Without a free permit
//!   the socket is not read.
//! * The window of an unauthenticated session is one packet.

mod actor;
mod answers;
mod chat_commands;
mod handle;
mod hello;
mod messages;
mod read_cursors;
mod reader;
mod reader_context;
mod replay;
mod request;
mod responder;
mod room;
mod start;
mod state;
#[cfg(test)]
mod state_test;
mod web_close;
mod web_form;
mod web_frames;
mod web_reader;
mod web_writer;
mod writer;

pub use handle::SessionHandle;
pub(super) use start::{over_tcp, over_tls, over_websocket};
