//! A session that stops reading: it must neither disturb the others nor cost more than its outbox.
//!
//! It asks for far more than the kernel holds for it and reads nothing of it, so that its outbox on the server is full
//! soon, however little the scenario says. When all is over it reads what it got: the events are an unbroken beginning,
//! told apart from what is missing by `Limited {}`.

use std::convert::Infallible;
use std::rc::Rc;

use anyhow::{Context, ensure};
use netbit::client::{FrameReader, FrameWriter, HttpClient, TcpClient, TcpError};
use netbit::domain::ids::ChatId;
use netbit::protocol::packet::MessagePacket;
use serde_json::Value;
use tokio::task::JoinSet;

use super::run::{Phase, Run};
use super::session::{LAST_PING, ping, see};
use crate::servers::retry_while_busy;

/// How much is asked for: more than the kernel keeps for one connection (`tcp_wmem` and `tcp_rmem`; 4 MiB are usual).
const ASKED_BYTES: usize = 12 * 1024 * 1024;
/// Messages in one answer: about half of what the server lets one answer be.
const QUERY_MESSAGES: u16 = 32;
/// The longest content there is.
const QUERY_MESSAGE_BYTES: usize = 16 * 1024;

/// A question with a large answer: messages that were there before the scenario.
#[derive(Debug, Clone)]
pub(super) struct LargeQuery(MessagePacket);

impl LargeQuery {
    /// Puts long messages into the first chat of whoever `http` speaks for.
    pub(super) async fn prepare(http: &HttpClient) -> anyhow::Result<Self> {
        let chats = http.get("/api/chats?limit=1").await?;
        let chat = chats.body.pointer("/items/0/id").and_then(Value::as_i64).map(ChatId);
        let chat = chat.context("there is no chat")?;
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
    /// The session's number at the judge.
    number: usize,
    reader: FrameReader,
}

/// How such a session came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SlowReaderEnd {
    /// It was told that it missed something.
    Limited,
    /// It was cut off.
    Closed,
    /// There was room enough for everything.
    Whole,
}

impl SlowReader {
    /// Stops reading. What it asks for is written by a task among `tasks`, which keeps the session open.
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
            // Cut off: reading says so.
            drop(ask(&asking, &query, writer).await);
        });
        Self { run, number, reader }
    }

    /// Reads, at last, what came. The error is what should not have come.
    pub(super) async fn read(mut self) -> anyhow::Result<SlowReaderEnd> {
        let mut limited = false;
        let ended = loop {
            let Ok(packet) = self.reader.next().await else { break SlowReaderEnd::Closed };
            match packet.packet_type.as_str() {
                "Event" => {
                    ensure!(!limited, "a slow reader got an event behind Limited");
                    see(&self.run, self.number, &packet);
                }
                "Limited" => {
                    ensure!(!limited, "a slow reader got Limited twice");
                    limited = true;
                }
                // An answer, or that there is none for now: in either case the events before it are here.
                "Pong" | "Ack" if packet.request_id == Some(LAST_PING) => break SlowReaderEnd::Whole,
                // What was asked for, and Goodbye.
                _ => {}
            }
        };
        Ok(if limited { SlowReaderEnd::Limited } else { ended })
    }
}

/// Asks a lot, and in the end for the last answer.
async fn ask(run: &Run, query: &LargeQuery, mut writer: FrameWriter) -> Result<Infallible, TcpError> {
    for _ in 0..ASKED_BYTES / (usize::from(QUERY_MESSAGES) * QUERY_MESSAGE_BYTES) {
        writer.send(&query.0).await?;
    }
    run.reached(Phase::Finishing).await;
    writer.send(&ping(LAST_PING)).await?;
    std::future::pending().await
}
