//! The reading half of a WebSocket: messages into packets, never more of them than the session's window.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Acquire, Ordering::Release};
use std::time::Duration;

use actix_web::web::Payload;
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::Instant;

use super::actor::Frame;
use super::intake::{End, Intake};
use super::state::Incoming;
use super::web_close::{SharedClose, WebClose};
use super::web_frames::{WebFrames, WebMessage};
use crate::protocol::answer::GoodbyeCode;
use crate::protocol::{json, packet};

/// Pongs that wait for the socket; to a client that pings faster than it reads, one is as good as many.
const PONGS_MAX: usize = 4;
/// What a peer may still send while it is being said goodbye to.
const LINGER_CHUNKS_MAX: usize = 64;

/// The form of the first message is the session's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// MessagePack in binary messages.
    Binary,
    /// JSON in text messages.
    Text,
}

/// The session's form, as soon as it is known.
#[derive(Clone, Default)]
pub(super) struct SharedForm(Arc<AtomicU8>);

impl SharedForm {
    /// Before the first message: text, which a person can read.
    pub(super) fn get(&self) -> Form {
        if self.0.load(Acquire) == 1 { Form::Binary } else { Form::Text }
    }

    /// Whether a message of this form is one of this session. The first one decides.
    fn accepts(&self, form: Form) -> bool {
        let number = if form == Form::Binary { 1 } else { 2 };
        match self.0.load(Acquire) {
            0 => {
                self.0.store(number, Release);
                true
            }
            known => known == number,
        }
    }
}

pub(super) struct WebReader {
    payload: Payload,
    frames: WebFrames,
    intake: Intake,
    pongs: Sender<Bytes>,
    form: SharedForm,
    close: SharedClose,
}

/// What the writing half shares with the reading half.
pub(super) struct ForWriter {
    pub(super) pongs: Receiver<Bytes>,
    pub(super) form: SharedForm,
    pub(super) close: SharedClose,
}

impl WebReader {
    pub(super) fn new(payload: Payload, intake: Intake) -> (Self, ForWriter) {
        let (pongs, waiting) = channel(PONGS_MAX);
        let (form, close) = (SharedForm::default(), SharedClose::default());
        let shared = ForWriter { pongs: waiting, form: form.clone(), close: close.clone() };
        (Self { payload, frames: WebFrames::default(), intake, pongs, form, close }, shared)
    }

    pub(super) async fn run(mut self) {
        let end = self.read().await;
        if self.intake.end(end) {
            let linger = Duration::from_millis(self.intake.limits().linger_ms);
            let mut rest = self.payload.take(LINGER_CHUNKS_MAX);
            drop(tokio::time::timeout(linger, async { while rest.next().await.is_some() {} }).await);
        }
    }

    async fn read(&mut self) -> End {
        let opened = Instant::now();
        // When the message began of which a part is here.
        let mut began = None;
        loop {
            // As over TCP: nothing is read without a place for it.
            match self.intake.place().await {
                Ok(free) => drop(free),
                // HTTP stops while the writer still works: what was asked is answered.
                Err(End::Say(GoodbyeCode::Shutdown)) => return End::SayLast(GoodbyeCode::Shutdown),
                Err(end) => return end,
            }
            match self.frames.take(self.intake.bytes_max()) {
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
            let patience = self.intake.patience(opened, began);
            let arrived = tokio::select! {
                biased;
                () = self.intake.closed.cancelled() => return End::Closed,
                () = self.intake.stopping.cancelled() => return End::SayLast(GoodbyeCode::Shutdown),
                arrived = tokio::time::timeout(patience, self.payload.next()) => arrived,
            };
            match arrived {
                Ok(Some(Ok(bytes))) => self.frames.add(&bytes),
                Ok(Some(Err(_)) | None) => return End::Closed,
                Err(_) if !self.intake.is_welcomed() => return End::Say(GoodbyeCode::Unauthenticated),
                Err(_) if began.is_some() => return End::Say(GoodbyeCode::BadRequest),
                Err(_) => return End::Say(GoodbyeCode::Idle),
            }
        }
    }

    /// Hands a message over; returns why reading ends, if it does.
    async fn receive(&mut self, message: WebMessage) -> Option<End> {
        let incoming = match message {
            WebMessage::Whole(form, bytes) => self.packet(form, &bytes),
            // A stranger has nothing to say that is so long.
            WebMessage::TooLarge(..) if !self.intake.is_welcomed() => {
                return Some(self.broken(WebClose::TOO_LARGE));
            }
            WebMessage::TooLarge(form, beginning) => {
                self.intake.meter.malformed();
                let request_id = if form == Form::Text { json::request_id_in(&beginning) } else { None };
                Incoming::TooLarge { request_id, bytes_max: self.intake.bytes_max() }
            }
            WebMessage::Ping(payload) => {
                // A full queue of pongs will do for this ping too.
                drop(self.pongs.try_send(payload));
                return None;
            }
            WebMessage::Pong => return None,
            WebMessage::Close(code) => {
                self.close.echo(code);
                return Some(End::Finished);
            }
        };
        let last = matches!(incoming, Incoming::Malformed);
        match self.intake.place().await {
            Ok(place) => self.intake.session.post(Frame { incoming, place }),
            Err(end) => return Some(end),
        }
        last.then(|| self.broken(WebClose::INVALID))
    }

    /// The client broke the protocol.
    fn broken(&self, close: WebClose) -> End {
        tracing::debug!(code = close.code(), "a WebSocket broke its protocol");
        self.intake.meter.malformed();
        self.close.set(close);
        End::Say(GoodbyeCode::BadRequest)
    }

    fn packet(&self, form: Form, bytes: &[u8]) -> Incoming {
        self.intake.meter.received(bytes.len());
        if !self.form.accepts(form) {
            let reason = "the form of the first message, text or binary, is the session's".to_owned();
            return Incoming::BadField { request_id: None, reason };
        }
        let decoded = match form {
            Form::Binary => Incoming::of(packet::decode(bytes)),
            Form::Text => Incoming::of(packet::decode_json(bytes)),
        };
        match decoded {
            // Text is well formed where JSON is not: the session goes on.
            Incoming::Malformed if form == Form::Text => {
                let reason =
                    "this is not a JSON object of at most 16 levels, or holds half a character".to_owned();
                Incoming::BadField { request_id: json::request_id_in(bytes), reason }
            }
            decoded => decoded,
        }
    }
}
