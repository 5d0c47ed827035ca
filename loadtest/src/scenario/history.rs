//! Clients that open a chat: they read the last fifty messages repeatedly.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::task::JoinSet;

use super::{Compared, Outcome, Plan, Scenario};
use crate::servers::{SeededServer, Setup};
use crate::wire::{ClientIdKind, MessageTemplate, PacketView, TcpConnection, message_content, page};

/// Messages in a page.
pub(crate) const PAGE: u16 = 50;

#[derive(Debug)]
pub(crate) struct History {
    pub(crate) clients: usize,
}

impl Scenario for History {
    fn name(&self) -> String {
        "history".to_owned()
    }

    fn plan(&self) -> Plan {
        Plan::new(Setup { users: self.clients, shared_chats: 1, ..Setup::default() }, Compared::Rate)
    }

    async fn round(&self, server: &SeededServer, time: Duration) -> anyhow::Result<Outcome> {
        let chat = server.first_chat()?;
        fill(&mut server.open(0).await?, chat).await?;
        let mut connections = Vec::new();
        for n in 0..self.clients {
            connections.push(server.open(n).await?);
        }
        let ask: Rc<[u8]> = page(chat, None, PAGE)?.into();
        let outcome = Rc::new(RefCell::new(Outcome::new()?));
        outcome.borrow_mut().begin();
        let (end, mut tasks) = (Instant::now() + time, JoinSet::new());
        for connection in connections {
            tasks.spawn_local(read(connection, ask.clone(), end, outcome.clone()));
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        Rc::into_inner(outcome).map(RefCell::into_inner).context("a reader is still running")
    }
}

/// Sends as many messages as a page holds.
pub(super) async fn fill(connection: &mut TcpConnection, chat: i64) -> anyhow::Result<()> {
    let (mut template, mut out) = (MessageTemplate::new(0, chat, ClientIdKind::Ordered)?, Vec::new());
    for number in 1..=u64::from(PAGE) {
        template.append(number, &mut out);
    }
    connection.send(&out).await?;
    for number in 1..=u64::from(PAGE) {
        loop {
            let view = PacketView::of(connection.frame().await?)?;
            if view.request_id == Some(number) {
                ensure!(view.is_fresh_ack(), "{view:?}");
                break;
            }
        }
    }
    Ok(())
}

/// Requests pages until `end`. Checks the first answer; all others must equal it, byte by byte.
async fn read(
    mut connection: TcpConnection,
    ask: Rc<[u8]>,
    end: Instant,
    outcome: Rc<RefCell<Outcome>>,
) -> anyhow::Result<()> {
    let mut first: Option<Vec<u8>> = None;
    while Instant::now() < end {
        let sent = Instant::now();
        connection.send(&ask).await?;
        let frame = loop {
            let frame = connection.frame().await?;
            let known = first.as_deref() == Some(frame);
            // A `Presence` may precede the answer.
            if known || PacketView::of(frame)?.packet_type == "Messages" {
                break frame.to_vec();
            }
        };
        let mut outcome = outcome.borrow_mut();
        match &first {
            None => {
                let view = PacketView::of(&frame)?;
                let right = view.messages.len() == usize::from(PAGE)
                    && view
                        .messages
                        .iter()
                        .zip(1..)
                        .all(|(message, n)| message.content == message_content(0, n));
                outcome.check(right, || format!("the newest {PAGE} messages are {view:?}"));
                first = Some(frame);
            }
            Some(first) => {
                outcome.check(*first == frame, || "an answer differs from the one before".to_owned())
            }
        }
        outcome.took(sent.elapsed());
        outcome.done(1);
    }
    Ok(())
}
