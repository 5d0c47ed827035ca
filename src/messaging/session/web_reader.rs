//! The reading half of a WebSocket: messages into packets, never more of them than the session's window.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Acquire, Ordering::Release};
use std::time::Duration;

use actix_ws::{AggregatedMessage, AggregatedMessageStream, MessageStream};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::Instant;

use super::actor::Frame;
use super::intake::{End, Intake};
use super::state::Incoming;
use crate::core::telemetry::cut;
use crate::protocol::answer::GoodbyeCode;
use crate::protocol::packet;

/// Pongs that wait for the socket; to a client that pings faster than it reads, one is as good as many.
const PONGS_MAX: usize = 4;
/// What a peer may still send while it is being said goodbye to.
const LINGER_MESSAGES_MAX: usize = 64;

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
    messages: AggregatedMessageStream,
    intake: Intake,
    pongs: Sender<Bytes>,
    form: SharedForm,
}

impl WebReader {
    pub(super) fn new(messages: MessageStream, intake: Intake) -> (Self, Receiver<Bytes>, SharedForm) {
        let max = intake.limits().frame_bytes;
        let messages = messages.max_frame_size(max).aggregate_continuations().max_continuation_size(max);
        let ((pongs, waiting), form) = (channel(PONGS_MAX), SharedForm::default());
        (Self { messages, intake, pongs, form: form.clone() }, waiting, form)
    }

    pub(super) async fn run(mut self) {
        let end = self.read().await;
        if self.intake.end(end) {
            let linger = Duration::from_millis(self.intake.limits().linger_ms);
            let mut rest = self.messages.take(LINGER_MESSAGES_MAX);
            drop(tokio::time::timeout(linger, async { while rest.next().await.is_some() {} }).await);
        }
    }

    async fn read(&mut self) -> End {
        let opened = Instant::now();
        loop {
            // As over TCP: nothing is read without a place for it.
            match self.intake.place().await {
                Ok(free) => drop(free),
                // HTTP stops while the writer still works: what was asked is answered.
                Err(End::Say(GoodbyeCode::Shutdown)) => return End::SayLast(GoodbyeCode::Shutdown),
                Err(end) => return end,
            }
            let patience = self.intake.patience(opened, None);
            let message = tokio::select! {
                biased;
                () = self.intake.closed.cancelled() => return End::Closed,
                () = self.intake.stopping.cancelled() => return End::SayLast(GoodbyeCode::Shutdown),
                message = tokio::time::timeout(patience, self.messages.next()) => message,
            };
            let incoming = match message {
                Ok(Some(Ok(AggregatedMessage::Binary(bytes)))) => self.packet(Form::Binary, &bytes),
                Ok(Some(Ok(AggregatedMessage::Text(text)))) => self.packet(Form::Text, text.as_bytes()),
                Ok(Some(Ok(AggregatedMessage::Ping(payload)))) => {
                    // A full queue of pongs will do for this ping too.
                    drop(self.pongs.try_send(payload));
                    continue;
                }
                Ok(Some(Ok(AggregatedMessage::Pong(_)))) => continue,
                Ok(Some(Ok(AggregatedMessage::Close(_)))) => return End::Finished,
                Ok(Some(Err(error))) => {
                    tracing::debug!(error = %cut(&error), "a WebSocket broke its protocol");
                    return End::Say(GoodbyeCode::BadRequest);
                }
                Ok(None) => return End::Closed,
                Err(_) if !self.intake.is_welcomed() => return End::Say(GoodbyeCode::Unauthenticated),
                Err(_) => return End::Say(GoodbyeCode::Idle),
            };
            let last = matches!(incoming, Incoming::Malformed);
            match self.intake.place().await {
                Ok(place) => self.intake.session.post(Frame { incoming, place }),
                Err(end) => return end,
            }
            if last {
                self.intake.meter.malformed();
                return End::Say(GoodbyeCode::BadRequest);
            }
        }
    }

    fn packet(&self, form: Form, bytes: &[u8]) -> Incoming {
        self.intake.meter.received(bytes.len());
        if bytes.is_empty() || bytes.len() > self.intake.bytes_max() {
            return Incoming::Malformed;
        }
        if !self.form.accepts(form) {
            let reason = "the form of the first message, text or binary, is the session's".to_owned();
            return Incoming::BadField { request_id: None, reason };
        }
        Incoming::of(match form {
            Form::Binary => packet::decode(bytes),
            Form::Text => packet::decode_json(bytes),
        })
    }
}
