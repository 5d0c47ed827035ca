//! A datagram and its answer: an authenticated `Ping` over UDP, held against a socket that sends back what it gets.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use netbit::protocol::datagram::{self, Header, Kind};
use tokio::net::UdpSocket;

use super::{Compared, Outcome, Scenario};
use crate::stage::{Cast, Stage, Subject};
use crate::wire::{Seen, Wire, hello};

/// What a lost datagram would make us wait; on this machine none is.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(crate) struct Presence;

/// What one needs to speak.
struct Ticket {
    connection_id: u64,
    key_up: datagram::Key,
    key_down: datagram::Key,
}

impl Scenario for Presence {
    fn name(&self) -> String {
        "presence/udp_ping".to_owned()
    }

    fn cast(&self) -> Cast {
        Cast { users: 1, shared_chats: 1, ..Cast::default() }
    }

    fn compared(&self) -> Compared {
        Compared::Median
    }

    async fn round(&self, stage: &Stage, time: Duration) -> anyhow::Result<Outcome> {
        let mut outcome = Outcome::new()?;
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        let mut session = None;
        let ticket = if stage.subject == Subject::NetBit {
            let mut wire = Wire::connect(stage.tcp()).await?;
            wire.send(&hello(&stage.token(0)?, true)?).await?;
            let seen = Seen::of(wire.frame().await?)?;
            let udp = seen.udp.context("Welcome without a ticket")?;
            socket.connect(udp.address).await?;
            let ticket = Ticket {
                connection_id: udp.connection_id,
                key_up: udp.key_up.try_into()?,
                key_down: udp.key_down.try_into()?,
            };
            session = Some(wire);
            Some(ticket)
        } else {
            socket.connect(stage.process.addresses.udp.context("the floor names no UDP address")?).await?;
            None
        };
        let (end, mut counter, mut buffer) = (Instant::now() + time, 0, [0; 2048]);
        outcome.begin();
        while Instant::now() < end {
            counter += 1;
            let datagram = match &ticket {
                Some(Ticket { connection_id, key_up, .. }) => {
                    // No answer is longer than its question: a Ping is filled up.
                    let ping = serde_json::json!({ "known": counter, "padding": "................................" });
                    let header = Header { kind: Kind::Ping, connection_id: *connection_id, counter };
                    datagram::seal(key_up, header, &ping).context("cannot be sealed")?
                }
                None => vec![7; 40],
            };
            let sent = Instant::now();
            socket.send(&datagram).await?;
            let count = loop {
                let waiting = tokio::time::timeout(PATIENCE, socket.recv(&mut buffer));
                let count = waiting.await.context("no answer")??;
                // Before it may come who else is there.
                let answer = buffer.get(..count).unwrap_or_default();
                if ticket.is_none() || Header::of(answer).is_ok_and(|header| header.kind == Kind::Pong) {
                    break count;
                }
            };
            outcome.took(sent.elapsed());
            outcome.done(1);
            let answer = buffer.get(..count).unwrap_or_default();
            match &ticket {
                Some(Ticket { key_down, connection_id, .. }) => {
                    let header = Header::of(answer).map_err(|why| anyhow::anyhow!("{why:?}"))?;
                    let whole = datagram::open::<serde_json::Value>(key_down, header, answer).is_ok();
                    ensure!(
                        header.kind == Kind::Pong && header.connection_id == *connection_id && whole,
                        "a Ping is answered by {header:?}"
                    );
                }
                None => outcome.check(answer == datagram, || "the echo is another".to_owned()),
            }
        }
        drop(session);
        Ok(outcome)
    }
}
