//! Many senders, each with several unacknowledged messages: the throughput of the server.
//!
//! Each sender has its own chat, so that the scenario measures the commit of a message and not its
//! delivery to others.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::task::JoinSet;

use super::{Compared, Outcome, Plan, Scenario};
use crate::servers::{SeededServer, Setup};
use crate::wire::{ClientIdKind, Cursor, MessageTemplate, PacketView, TcpConnection, message_content, page};

#[derive(Debug)]
pub(crate) struct Pipelined {
    pub(crate) senders: usize,
    pub(crate) in_flight: u64,
    pub(crate) client_ids: ClientIdKind,
    /// Messages in the database before the first round.
    pub(crate) rows: usize,
    /// Chats in addition to those of the senders.
    pub(crate) chats: usize,
}

impl Default for Pipelined {
    fn default() -> Self {
        Self { senders: 50, in_flight: 16, client_ids: ClientIdKind::Ordered, rows: 0, chats: 0 }
    }
}

/// Size of the page that is read back at the end.
const PAGE: u16 = 100;

impl Scenario for Pipelined {
    fn name(&self) -> String {
        let client_ids = if self.client_ids == ClientIdKind::Random { "/random_ids" } else { "" };
        let rows = if self.rows > 0 { format!("/rows_{}", self.rows) } else { String::new() };
        let chats = if self.chats > 1 { format!("/chats_{}", self.chats) } else { String::new() };
        format!("pipelined{client_ids}{rows}{chats}")
    }

    fn plan(&self) -> Plan {
        let shared_chats = if self.rows > 0 { self.chats.max(1) } else { self.chats };
        let setup = Setup {
            users: self.senders,
            own_chats: true,
            shared_chats,
            messages: self.rows,
            ..Setup::default()
        };
        Plan { needs_own_server: self.rows > 0, ..Plan::new(setup, Compared::Rate) }
    }

    async fn round(&self, server: &SeededServer, time: Duration) -> anyhow::Result<Outcome> {
        let mut senders = Vec::new();
        for n in 0..self.senders {
            let chat = server.own_chat(n)?;
            let sender = u64::try_from(n)?;
            senders.push(PipelinedSender {
                connection: server.open(n).await?,
                template: MessageTemplate::new(sender, chat, self.client_ids)?,
                chat,
                sender,
            });
        }
        let outcome = Rc::new(RefCell::new(Outcome::new()?));
        outcome.borrow_mut().begin();
        let (end, mut tasks) = (Instant::now() + time, JoinSet::new());
        for sender in senders {
            tasks.spawn_local(sender.run(self.in_flight, end, outcome.clone()));
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        Rc::into_inner(outcome).map(RefCell::into_inner).context("a sender is still running")
    }
}

struct PipelinedSender {
    connection: TcpConnection,
    template: MessageTemplate,
    chat: i64,
    sender: u64,
}

impl PipelinedSender {
    async fn run(
        mut self,
        in_flight: u64,
        end: Instant,
        outcome: Rc<RefCell<Outcome>>,
    ) -> anyhow::Result<()> {
        let (mut sent_at, mut out) = (std::collections::VecDeque::new(), Vec::new());
        let (mut sent, mut answered, mut seqs) = (0, 0, Cursor::default());
        loop {
            let now = Instant::now();
            if now < end {
                while sent - answered < in_flight {
                    sent += 1;
                    self.template.append(sent, &mut out);
                    sent_at.push_back(now);
                }
                self.connection.send(&out).await?;
                out.clear();
            } else if sent == answered {
                break;
            }
            self.connection.fill().await?;
            let now = Instant::now();
            let mut outcome = outcome.borrow_mut();
            while let Some(frame) = self.connection.next()? {
                let view = PacketView::of(frame)?;
                let Some(number) = view.request_id else { continue };
                answered += 1;
                outcome.check(number == answered && view.is_fresh_ack(), || {
                    format!("message {answered} of sender {} is answered by {view:?}", self.sender)
                });
                let seq = view.seq.unwrap_or(0);
                if answered == 1 {
                    seqs = Cursor(seq - 1);
                }
                if let Err(reason) = seqs.take(seq) {
                    outcome.wrong(|| format!("chat {}: {reason}", self.chat));
                }
                if let Some(at) = sent_at.pop_front() {
                    outcome.took(now - at);
                }
                outcome.done(1);
            }
        }
        self.read_back(sent, seqs.0, &outcome).await
    }

    /// Checks that the newest messages of the chat are the last that were sent, in order.
    async fn read_back(mut self, sent: u64, head: i64, outcome: &RefCell<Outcome>) -> anyhow::Result<()> {
        self.connection.send(&page(self.chat, None, PAGE)?).await?;
        let view = loop {
            let view = PacketView::of(self.connection.frame().await?)?;
            if view.packet_type == "Messages" {
                break view;
            }
        };
        let mut outcome = outcome.borrow_mut();
        let count = u64::from(PAGE).min(sent);
        let here = u64::try_from(view.messages.len())?;
        outcome.check(here >= count, || format!("chat {}: {here} messages instead of {count}", self.chat));
        for (message, back) in view.messages.iter().rev().zip(0..count) {
            let expected = (Some(head - i64::try_from(back)?), message_content(self.sender, sent - back));
            outcome.check((message.seq, message.content) == (expected.0, expected.1.as_str()), || {
                format!("chat {}: {message:?} instead of {expected:?}", self.chat)
            });
        }
        Ok(())
    }
}
