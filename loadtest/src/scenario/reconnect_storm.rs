//! All sessions are disconnected at once, miss a few messages, and resume together.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::task::JoinSet;

use super::idle::connect_users;
use super::{Compared, Outcome, Plan, Scenario};
use crate::servers::{SeededServer, Setup};
use crate::wire::{ClientIdKind, Cursor, MessageTemplate, PacketView, TcpConnection, page, resume};

/// Messages that are sent while no session is connected.
const MISSED: u64 = 5;
const SESSIONS_PER_USER: usize = 20;

#[derive(Debug)]
pub(crate) struct ReconnectStorm {
    pub(crate) sessions: usize,
}

impl Scenario for ReconnectStorm {
    fn name(&self) -> String {
        format!("reconnect_storm/{}", self.sessions)
    }

    fn plan(&self) -> Plan {
        Plan {
            // The floor keeps no events for disconnected sessions, so there is nothing to compare.
            has_floor: false,
            ..Plan::new(
                Setup {
                    users: self.sessions.div_ceil(SESSIONS_PER_USER),
                    shared_chats: 1,
                    ..Setup::default()
                },
                Compared::Rate,
            )
        }
    }

    async fn round(&self, server: &SeededServer, _: Duration) -> anyhow::Result<Outcome> {
        let (chat, mut outcome) = (server.first_chat()?, Outcome::new()?);
        let connections = connect_users(server, self.sessions, SESSIONS_PER_USER, &mut outcome).await?;
        connections.into_iter().for_each(TcpConnection::close);

        let mut sender = server.open(0).await?;
        let (head, epoch) = head_of(&mut sender, chat).await?;
        let mut template = MessageTemplate::new(0, chat, ClientIdKind::Ordered)?;
        let mut out = Vec::new();
        (1..=MISSED).for_each(|number| template.append(number, &mut out));
        sender.send(&out).await?;
        let mut acknowledged = 0;
        while acknowledged < MISSED {
            let view = PacketView::of(sender.frame().await?)?;
            if view.packet_type == "Ack" {
                ensure!(view.is_fresh_ack(), "{view:?}");
                acknowledged += 1;
            }
        }

        let mut outcome = Outcome::new()?;
        outcome.begin();
        let (outcome, mut tasks) = (Rc::new(RefCell::new(outcome)), JoinSet::new());
        let ask: Rc<[u8]> = resume(epoch, chat, u64::try_from(head)?)?.into();
        for n in 0..self.sessions {
            let (tcp, token) = (server.tcp(), server.token(n / SESSIONS_PER_USER)?);
            let session = ResumingSession { chat, head, ask: ask.clone(), outcome: outcome.clone() };
            tasks.spawn_local(async move { session.resume(tcp, &token).await });
        }
        let mut connections = Vec::new();
        while let Some(done) = tasks.join_next().await {
            connections.push(done??);
        }
        let mut outcome =
            Rc::into_inner(outcome).map(RefCell::into_inner).context("a session is still resuming")?;
        let took = outcome.within.as_secs_f64();
        outcome.notes.push(format!("{} sessions resumed in {took:.2} s", self.sessions));
        Ok(outcome)
    }
}

/// Returns the last seq of the chat, and the epoch that a `Resume` must name.
async fn head_of(connection: &mut TcpConnection, chat: i64) -> anyhow::Result<(i64, u64)> {
    connection.send(&page(chat, None, 1)?).await?;
    let head = loop {
        let view = PacketView::of(connection.frame().await?)?;
        if view.packet_type == "Messages" {
            break view.as_of.context("a page without as_of")?;
        }
    };
    Ok((head, connection.epoch))
}

struct ResumingSession {
    chat: i64,
    head: i64,
    ask: Rc<[u8]>,
    outcome: Rc<RefCell<Outcome>>,
}

impl ResumingSession {
    async fn resume(self, tcp: std::net::SocketAddr, token: &str) -> anyhow::Result<TcpConnection> {
        let begun = Instant::now();
        let mut connection = TcpConnection::open(tcp, token).await?;
        connection.send(&self.ask).await?;
        let mut cursor = Cursor(self.head);
        loop {
            let view = PacketView::of(connection.frame().await?)?;
            match view.packet_type {
                "Event" if view.chat_id == Some(self.chat) => {
                    if let Err(reason) = cursor.take(view.seq.unwrap_or(0)) {
                        self.outcome.borrow_mut().wrong(|| format!("a replay has {reason}"));
                    }
                }
                "Synced" => {
                    let mut outcome = self.outcome.borrow_mut();
                    {
                        let missed = self.head + i64::try_from(MISSED)?;
                        outcome.check(view.seq == Some(missed) && cursor.0 == missed, || {
                            format!(
                                "Synced at {:?} with events up to {} instead of {missed}",
                                view.seq, cursor.0
                            )
                        });
                    }
                    outcome.took(begun.elapsed());
                    outcome.done(1);
                    return Ok(connection);
                }
                "Ack" | "Presence" => {}
                other => self.outcome.borrow_mut().wrong(|| format!("{other} during a resume")),
            }
        }
    }
}
