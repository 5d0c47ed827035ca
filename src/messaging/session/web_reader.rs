//! The reading half of a WebSocket: decodes messages into packets, at most as many as the session's
//! window allows.

use std::time::Duration;

use actix_web::web::Payload;
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::Instant;

use super::reader_context::{ReadEnd, ReaderContext};
use super::state::Incoming;
use super::web_close::{SharedClose, WebClose};
use super::web_form::{Form, SharedForm};
use super::web_frames::{WebFrames, WebMessage};
use crate::protocol::answer::GoodbyeCode;
use crate::protocol::{json, packet};

/// Maximum number of queued pongs. For a client that pings faster than it reads, further pongs add
/// nothing.
const PONGS_MAX: usize = 4;
/// Maximum number of chunks that are read from a peer after the session sent `Goodbye`.
const LINGER_CHUNKS_MAX: usize = 64;

pub(super) struct WebReader {
    payload: Payload,
    frames: WebFrames,
    context: ReaderContext,
    pongs: Sender<Bytes>,
    form: SharedForm,
    close: SharedClose,
}

/// State that the writing half shares with the reading half.
pub(super) struct ForWriter {
    pub(super) pongs: Receiver<Bytes>,
    pub(super) form: SharedForm,
    pub(super) close: SharedClose,
}

impl WebReader {
    pub(super) fn new(payload: Payload, context: ReaderContext) -> (Self, ForWriter) {
        let (pongs, waiting) = channel(PONGS_MAX);
        let (form, close) = (SharedForm::default(), SharedClose::default());
        let shared = ForWriter { pongs: waiting, form: form.clone(), close: close.clone() };
        (Self { payload, frames: WebFrames::default(), context, pongs, form, close }, shared)
    }

    pub(super) async fn run(mut self) {
        let end = self.read().await;
        if self.context.end(end) {
            let linger = Duration::from_millis(self.context.limits().linger_ms);
            let mut rest = self.payload.take(LINGER_CHUNKS_MAX);
            drop(tokio::time::timeout(linger, async { while rest.next().await.is_some() {} }).await);
        }
    }

    async fn read(&mut self) -> ReadEnd {
        let opened = Instant::now();
        // Start of the message of which a part has arrived.
        let mut began = None;
        loop {
            // As over TCP: the reader reads only while a permit is free.
            match self.context.permit().await {
                Ok(free) => drop(free),
                // HTTP stops while the writer still works: packets that were received are answered.
                Err(ReadEnd::CloseWith(GoodbyeCode::Shutdown)) => {
                    return ReadEnd::CloseAfterReplies(GoodbyeCode::Shutdown);
                }
                Err(end) => return end,
            }
            match self.frames.take(self.context.bytes_max()) {
                Ok(Some(message)) => {
                    began = None;
                    if let Some(end) = self.receive(message).await {
                        return end;
                    }
                    continue;
                }
                Ok(None) => {}
                Err(close) => return self.broken(close),
            }
            began = began.or(Some(Instant::now())).filter(|_| self.frames.is_within_message());
            let patience = self.context.patience(opened, began);
            let arrived = tokio::select! {
                biased;
                () = self.context.closed.cancelled() => return ReadEnd::Closed,
                () = self.context.stopping.cancelled() => return ReadEnd::CloseAfterReplies(GoodbyeCode::Shutdown),
                arrived = tokio::time::timeout(patience, self.payload.next()) => arrived,
            };
            match arrived {
                Ok(Some(Ok(bytes))) => self.frames.add(&bytes),
                Ok(Some(Err(_)) | None) => return ReadEnd::Closed,
                Err(_) if !self.context.is_welcomed() => {
                    return ReadEnd::CloseWith(GoodbyeCode::Unauthenticated);
                }
                Err(_) if began.is_some() => return ReadEnd::CloseWith(GoodbyeCode::BadRequest),
                Err(_) => return ReadEnd::CloseWith(GoodbyeCode::Idle),
            }
        }
    }

    /// Passes a message to the session; returns why reading ends, if it does.
    async fn receive(&mut self, message: WebMessage) -> Option<ReadEnd> {
        let incoming = match message {
            WebMessage::Whole(form, bytes) => self.packet(form, &bytes),
            // No packet of an unauthenticated client is this long.
            WebMessage::TooLarge(..) if !self.context.is_welcomed() => {
                return Some(self.broken(WebClose::TOO_LARGE));
            }
            WebMessage::TooLarge(form, beginning) => {
                self.context.meter.malformed();
                let request_id = if form == Form::Text { json::request_id_in(&beginning) } else { None };
                Incoming::TooLarge { request_id, bytes_max: self.context.bytes_max() }
            }
            WebMessage::Ping(payload) => {
                // With a full queue the client receives the pongs that are queued already.
                drop(self.pongs.try_send(payload));
                return None;
            }
            WebMessage::Pong => return None,
            WebMessage::Close(code) => {
                self.close.echo(code);
                return Some(ReadEnd::EndOfStream);
            }
        };
        let last = matches!(incoming, Incoming::Malformed);
        match self.context.permit().await {
            Ok(window_permit) => self.context.session.receive(incoming, window_permit),
            Err(end) => return Some(end),
        }
        last.then(|| self.broken(WebClose::INVALID))
    }

    /// Ends the connection because the client broke the protocol.
    fn broken(&self, close: WebClose) -> ReadEnd {
        tracing::debug!(code = close.code(), "a client broke the WebSocket protocol");
        self.context.meter.malformed();
        self.close.set(close);
        ReadEnd::CloseWith(GoodbyeCode::BadRequest)
    }

    fn packet(&self, form: Form, bytes: &[u8]) -> Incoming {
        self.context.meter.received(bytes.len());
        if !self.form.accepts(form) {
            let reason = "all messages must have the form of the first one, text or binary".to_owned();
            return Incoming::BadField { request_id: None, reason };
        }
        let decoded = match form {
            Form::Binary => Incoming::of(packet::decode(bytes)),
            Form::Text => Incoming::of(packet::decode_json(bytes)),
        };
        match decoded {
            // A text message that is not JSON is still well framed: the session continues.
            Incoming::Malformed if form == Form::Text => {
                let reason =
                    "the message must be a JSON object of at most 16 levels without unpaired surrogates"
                        .to_owned();
                Incoming::BadField { request_id: json::request_id_in(bytes), reason }
            }
            decoded => decoded,
        }
    }
}
