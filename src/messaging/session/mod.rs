//! Sessions: one per connection.
//!
//! Modules
//!
//! * `state`: the protocol state machine, without socket, clock or actor.
//! * `actor`: performs its steps; `answers` performs those that are queries, `room` bounds them,
//!   `replay` replays missed events, `read_cursors` collects cursors.
//! * `reader` and `writer`: the two tasks at a TCP socket; `web_reader` (with `web_frames`) and
//!   `web_writer` are those of a WebSocket. `reader_context` is shared by the readers.
//!
//! Invariants
//!
//! * The packets of a session are submitted in the order of their arrival.
//! * A packet holds a permit of the session's window until it is answered. Without a free permit
//!   the socket is not read.
//! * The window of an unauthenticated session is one packet.

mod actor;
mod answers;
mod read_cursors;
mod reader;
mod reader_context;
mod replay;
mod room;
mod state;
#[cfg(test)]
mod state_test;
mod web_close;
mod web_frames;
mod web_reader;
mod web_writer;
mod writer;

use std::time::Duration;

use actix_web::body::{BodyStream, BoxBody, MessageBody};
use actix_web::web::Payload;
pub use actor::SessionStats;
pub use actor::stats;
use reader::Source;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use web_reader::WebReader;

use super::acceptor::{AcceptedConnection, SessionAcceptor};

/// Runs a session over TCP on its own thread.
pub(super) fn over_tcp(socket: TcpStream, connection: AcceptedConnection, acceptor: &SessionAcceptor) {
    let (reading, writing) = socket.into_split();
    over_stream(reading, writing, connection, acceptor);
}

/// Runs a session over TLS on its own thread.
pub(super) fn over_tls(
    stream: TlsStream<TcpStream>,
    connection: AcceptedConnection,
    acceptor: &SessionAcceptor,
) {
    let (reading, writing) = tokio::io::split(stream);
    over_stream(reading, writing, connection, acceptor);
}

fn over_stream(
    reading: impl Source + 'static,
    writing: impl AsyncWrite + Unpin + 'static,
    connection: AcceptedConnection,
    acceptor: &SessionAcceptor,
) {
    let started = actor::start(connection, acceptor, acceptor.ending.clone());
    let stall = Duration::from_millis(started.context.limits().write_stall_ms);
    let closed = started.context.closed.clone();
    actix::spawn(writer::run(writing, started.drain, stall, closed, started.slot));
    actix::spawn(reader::Reader { socket: reading, context: started.context }.run());
}

/// Runs a session over WebSocket. `payload` is the input of the client; the returned body carries
/// the session's messages. The session runs on its own thread; the socket stays with the HTTP
/// worker.
pub(super) fn over_websocket(
    payload: Payload,
    connection: AcceptedConnection,
    acceptor: &SessionAcceptor,
) -> BoxBody {
    let started = actor::start(connection, acceptor, acceptor.ending_web.clone());
    let closed = started.context.closed.clone();
    let (reader, shared) = WebReader::new(payload, started.context);
    actix_web::rt::spawn(reader.run());
    let frames = web_writer::frames(started.drain, shared, (closed, started.slot));
    BodyStream::new(frames).boxed()
}
