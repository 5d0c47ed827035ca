//! The writing half of a WebSocket: streams all frames of the outbox as the body of the upgraded
//! response.
//!
//! The HTTP worker polls for the next chunk when the socket has taken the last one. So frames leave
//! the outbox only when there is room for them, and a client that stopped reading costs no more
//! than over TCP.

use std::collections::VecDeque;

use actix_http::ws::{CloseCode, Codec, Message};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, stream};
use tokio_util::codec::Encoder;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::super::admission::ConnectionSlot;
use super::web_close::WebClose;
use super::web_form::Form;
use super::web_reader::ForWriter;
use crate::actors::outbox::{Drained, OutboxDrain};
use crate::protocol::{framing, json};

/// Maximum number of bytes per chunk.
const CHUNK_BYTES: usize = 64 * 1024;

struct WebWriter {
    drain: OutboxDrain,
    reader: ForWriter,
    codec: Codec,
    waiting: VecDeque<Bytes>,
    /// Frames and bytes of the last chunk; removed from the outbox at the next poll.
    handed_over: (usize, usize),
    end: ClosePhase,
    /// The connection counts until its body is dropped; then its reader ends too.
    _dropped_last: (DropGuard, ConnectionSlot),
}

#[derive(PartialEq)]
enum ClosePhase {
    Open,
    /// The outbox is closed: after the remaining frames, the closing handshake follows with this
    /// code.
    Draining(WebClose),
    Sent,
}

/// Returns the session's frames as a stream of WebSocket messages.
pub(super) fn frames(
    drain: OutboxDrain,
    reader: ForWriter,
    (closed, slot): (CancellationToken, ConnectionSlot),
) -> impl Stream<Item = Result<Bytes, std::io::Error>> {
    let writer = WebWriter {
        drain,
        reader,
        codec: Codec::new(),
        waiting: VecDeque::new(),
        handed_over: (0, 0),
        end: ClosePhase::Open,
        _dropped_last: (closed.drop_guard(), slot),
    };
    stream::unfold(writer, |mut writer| async move {
        let chunk = writer.chunk().await?;
        Some((Ok(chunk), writer))
    })
}

impl WebWriter {
    async fn chunk(&mut self) -> Option<Bytes> {
        let (frames, bytes) = std::mem::take(&mut self.handed_over);
        self.drain.written(frames, bytes);
        let mut out = BytesMut::new();
        while out.is_empty() {
            if self.waiting.is_empty() && self.end == ClosePhase::Open {
                self.wait(&mut out).await;
            }
            while out.len() < CHUNK_BYTES
                && let Some(frame) = self.waiting.pop_front()
            {
                self.handed_over.0 += 1;
                self.handed_over.1 += frame.len();
                self.put(message(self.reader.form.get(), &frame), &mut out);
            }
            if self.waiting.is_empty() {
                match self.end {
                    ClosePhase::Open => {}
                    ClosePhase::Draining(close) => {
                        self.end = ClosePhase::Sent;
                        let close = self.reader.close.get().unwrap_or(close);
                        self.put(Message::Close(Some(CloseCode::from(close.code()).into())), &mut out);
                    }
                    ClosePhase::Sent => return (!out.is_empty()).then(|| out.freeze()),
                }
            }
        }
        Some(out.freeze())
    }

    /// Waits for frames, a pong or the end of the outbox.
    async fn wait(&mut self, out: &mut BytesMut) {
        let mut frames = Vec::new();
        tokio::select! {
            drained = self.drain.next(&mut frames) => {
                self.waiting.extend(frames);
                if let Drained::Closed(goodbye) = drained {
                    self.end = ClosePhase::Draining(goodbye.map_or(WebClose::NORMAL, WebClose::of));
                }
            }
            Some(payload) = self.reader.pongs.recv() => self.put(Message::Pong(payload), out),
        }
    }

    fn put(&mut self, message: Message, out: &mut BytesMut) {
        if let Err(error) = self.codec.encode(message, out) {
            tracing::error!(%error, "cannot encode a WebSocket message");
        }
    }
}

/// Encodes a frame of the server in the form of the session.
fn message(form: Form, frame: &Bytes) -> Message {
    let packet = framing::packet_of(frame);
    match form {
        Form::Binary => Message::Binary(packet),
        Form::Text => Message::Text(json::from_message_pack(&packet).unwrap_or_default().into()),
    }
}
