//! Starts a session: its actor, and the two tasks at its socket.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use actix_web::body::{BodyStream, BoxBody, MessageBody};
use actix_web::web::Payload;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tracing::field::Empty;
use tracing::{Instrument, Span, debug_span};

use super::super::acceptor::{AcceptedConnection, SessionAcceptor};
use super::super::admission::ConnectionSlot;
use super::actor::NewSession;
use super::handle::SessionHandle;
use super::reader::{Reader, Source};
use super::reader_context::ReaderContext;
use super::responder::Responder;
use super::web_reader::WebReader;
use super::{web_writer, writer};
use crate::actors::outbox::{Outbox, OutboxDrain};

/// Runs a session over TCP on its own thread.
pub(in super::super) fn over_tcp(
    socket: TcpStream,
    connection: AcceptedConnection,
    acceptor: &SessionAcceptor,
) {
    let (reading, writing) = socket.into_split();
    over_stream(reading, writing, connection, acceptor);
}

/// Runs a session over TLS on its own thread.
pub(in super::super) fn over_tls(
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
    let started = start(connection, acceptor, acceptor.current().tcp);
    let stall = Duration::from_millis(started.context.limits().write_stall_ms);
    let closed = started.context.closed.clone();
    let span = started.span;
    actix::spawn(writer::run(writing, started.drain, stall, closed, started.slot).instrument(span.clone()));
    actix::spawn(Reader { socket: reading, context: started.context }.run().instrument(span));
}

/// Runs a session over WebSocket. `payload` is the input of the client; the returned body carries
/// the session's messages. The session runs on its own thread; the socket stays with the HTTP
/// worker.
pub(in super::super) fn over_websocket(
    payload: Payload,
    connection: AcceptedConnection,
    acceptor: &SessionAcceptor,
) -> BoxBody {
    let started = start(connection, acceptor, acceptor.current().web);
    let closed = started.context.closed.clone();
    let (reader, shared) = WebReader::new(payload, started.context);
    actix_web::rt::spawn(reader.run().instrument(started.span));
    let frames = web_writer::frames(started.drain, shared, (closed, started.slot));
    BodyStream::new(frames).boxed()
}

/// Parts that the two tasks at a session's socket use.
struct Started {
    context: ReaderContext,
    drain: OutboxDrain,
    slot: ConnectionSlot,
    span: Span,
}

/// Starts a session's actor on its thread.
fn start(connection: AcceptedConnection, acceptor: &SessionAcceptor, stopping: CancellationToken) -> Started {
    let AcceptedConnection { id, transport, hub, thread, slot, pre_auth, meter, deliveries, web_login } =
        connection;
    let (services, limits) = (acceptor.services.clone(), &acceptor.services.limits);
    let (outbox, drain) = Outbox::new(limits.outbox_bytes, limits.outbox_frames, deliveries);
    let (window, welcomed) = (Arc::new(Semaphore::new(1)), Arc::new(AtomicBool::new(false)));
    let responder = Responder {
        session: id,
        hub,
        transport,
        services: services.clone(),
        outbox: outbox.clone(),
        bulk: Arc::new(Semaphore::new(1)),
    };
    let new = NewSession {
        responder,
        admission: acceptor.admission.clone(),
        pre_auth,
        meter: meter.clone(),
        window: window.clone(),
        welcomed: welcomed.clone(),
        web_login,
    };
    // At `debug`: a connection and its messages must not pay for a span that no line needs.
    let span = debug_span!(parent: None, "session", session.id = id.0, user_id = Empty);
    // The actor keeps the span of its start.
    let session = span.in_scope(|| SessionHandle::start(new, &thread, acceptor));
    let closed = CancellationToken::new();
    let context = ReaderContext { session, window, outbox, welcomed, closed, stopping, services, meter };
    Started { context, drain, slot, span }
}
