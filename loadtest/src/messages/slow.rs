//! A session that stops reading. It must not disturb others, nor cost more memory than its outbox.
//!
//! It requests far more data than the kernel buffers and reads none of it, so that its outbox on
//! the server is soon full, however few messages the scenario has. At the end it reads all it
//! received: an unbroken sequence of events, followed by `Limited` where events are missing.

use std::convert::Infallible;
use std::rc::Rc;

use anyhow::{Context, ensure};
use netbit::client::{FrameReader, FrameWriter, HttpClient, TcpClient, TcpError};
use netbit::domain::ids::ChatId;
use netbit::protocol::packet::MessagePacket;
use serde_json::Value;
use tokio::task::JoinSet;

use super::run::{Phase, Run};
use super::session::{LAST_PING, ping, receive};
use crate::servers::retry_while_busy;

/// Requested bytes: more than the kernel buffers for a connection (`tcp_wmem` and `tcp_rmem`,
/// usually 4 MiB).
const ASKED_BYTES: usize = 12 * 1024 * 1024;
/// Messages in one answer: about half of the maximum size of an answer.
const QUERY_MESSAGES: u16 = 32;
/// The maximum length of a content.
const QUERY_MESSAGE_BYTES: usize = 16 * 1024;

/// A request with a large answer: messages that exist before the scenario.
#[derive(Debug, Clone)]
pub(super) struct LargeQuery(MessagePacket);

impl LargeQuery {
    /// Posts long messages to the first chat of the user of `http`.
    pub(super) async fn prepare(http: &HttpClient) -> anyhow::Result<Self> {
        let chats = http.get("/api/chats?limit=1").await?;
        let chat = chats.body.pointer("/items/0/id").and_then(Value::as_i64).map(ChatId);
        let chat = chat.context("the user has no chat")?;
        let content = "z".repeat(QUERY_MESSAGE_BYTES);
        let mut head = 0;
        for _ in 0..QUERY_MESSAGES {
            head = retry_while_busy(async || http.post_message(chat, &content).await).await?.seq;
        }
        Ok(Self(MessagePacket {
            packet_type: "GetMessages".to_owned(),
            chat_id: Some(chat),
            before_seq: Some(u64::try_from(head)? + 1),
            limit: Some(QUERY_MESSAGES),
            ..MessagePacket::default()
        }))
    }
}

#[derive(Debug)]
pub(super) struct SlowReader {
    run: Rc<Run>,
    /// The number of the session in the checker.
    number: usize,
    reader: FrameReader,
}

/// How a slow reader ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SlowReaderEnd {
    /// The server reported missed events with `Limited`.
    Limited,
    /// The server closed the session.
    Closed,
    /// The buffers held everything.
    Complete,
}

impl SlowReader {
    /// Stops reading. A task in `tasks` writes the requests and keeps the session open.
    pub(super) fn start(
        run: Rc<Run>,
        number: usize,
        client: TcpClient,
        query: &LargeQuery,
        tasks: &mut JoinSet<()>,
    ) -> Self {
        let (reader, writer) = client.into_halves();
        let (asking, query) = (run.clone(), query.clone());
        tasks.spawn_local(async move {
            // The reader reports a closed session.
            drop(ask(&asking, &query, writer).await);
        });
        Self { run, number, reader }
    }

    /// Reads all that was received.
    ///
    /// # Errors
    /// A packet that must not follow.
    pub(super) async fn read(mut self) -> anyhow::Result<SlowReaderEnd> {
        let mut limited = false;
        let ended = loop {
            let Ok(packet) = self.reader.next().await else { break SlowReaderEnd::Closed };
            match packet.packet_type.as_str() {
                "Event" => {
                    ensure!(!limited, "a slow reader got an event after Limited");
                    receive(&self.run, self.number, &packet);
                }
                "Limited" => {
                    ensure!(!limited, "a slow reader got Limited twice");
                    limited = true;
                }
                // Either answer to the last ping, refused or not, follows all events.
                "Pong" | "Ack" if packet.request_id == Some(LAST_PING) => break SlowReaderEnd::Complete,
                // Answers to requests, and Goodbye.
                _ => {}
            }
        };
        Ok(if limited { SlowReaderEnd::Limited } else { ended })
    }
}

/// Sends large requests, and the last ping when the run finishes.
async fn ask(run: &Run, query: &LargeQuery, mut writer: FrameWriter) -> Result<Infallible, TcpError> {
    for _ in 0..ASKED_BYTES / (usize::from(QUERY_MESSAGES) * QUERY_MESSAGE_BYTES) {
        writer.send(&query.0).await?;
    }
    run.reached(Phase::Finishing).await;
    writer.send(&ping(LAST_PING)).await?;
    std::future::pending().await
}
