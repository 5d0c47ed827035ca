//! Sessions: one per connection.
//!
//! `state` is the conversation, a machine without socket, clock or actor; `actor` performs its steps, `answers` those
//! that are queries, `room` bounds them, `resumption` replays what a session missed, `marks` collects what it has read.
//! At the socket are two tasks: `reader` and `writer` over TCP, `web_reader` (with `web_frames`) and `web_writer` over
//! WebSocket; `intake` is what the readers have
//! in common.
//!
//! Invariants: what a session sends is submitted in the order in which it came; a packet holds a place in the session's
//! window until it is answered, and without a free place the socket is not read; a stranger's window is one packet.

mod actor;
mod answers;
mod intake;
mod marks;
mod reader;
mod resumption;
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

use super::edge::{Place, SessionEdge};

/// Runs a session over TCP, on its own thread.
pub(super) fn over_tcp(socket: TcpStream, place: Place, edge: &SessionEdge) {
    let (reading, writing) = socket.into_split();
    over_stream(reading, writing, place, edge);
}

/// The same, encrypted.
pub(super) fn over_tls(stream: TlsStream<TcpStream>, place: Place, edge: &SessionEdge) {
    let (reading, writing) = tokio::io::split(stream);
    over_stream(reading, writing, place, edge);
}

fn over_stream(
    reading: impl Source + 'static,
    writing: impl AsyncWrite + Unpin + 'static,
    place: Place,
    edge: &SessionEdge,
) {
    let started = actor::start(place, edge, edge.ending.clone());
    let stall = Duration::from_millis(started.intake.limits().write_stall_ms);
    let closed = started.intake.closed.clone();
    actix::spawn(writer::run(writing, started.drain, stall, closed, started.seat));
    actix::spawn(reader::Reader { socket: reading, intake: started.intake }.run());
}

/// Runs a session over WebSocket: what the client sends is `payload`, and the session's messages leave as the body that
/// is returned. The session itself lives on its own thread; the socket stays with the HTTP worker.
pub(super) fn over_websocket(payload: Payload, place: Place, edge: &SessionEdge) -> BoxBody {
    let started = actor::start(place, edge, edge.ending_web.clone());
    let closed = started.intake.closed.clone();
    let (reader, shared) = WebReader::new(payload, started.intake);
    actix_web::rt::spawn(reader.run());
    let frames = web_writer::frames(started.drain, shared, (closed, started.seat));
    BodyStream::new(frames).boxed()
}
