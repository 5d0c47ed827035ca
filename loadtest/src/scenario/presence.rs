//! An authenticated `Ping` over UDP, compared with a socket that echoes datagrams.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::net::UdpSocket;

use super::{Compared, Outcome, Plan, Scenario};
use crate::servers::{SeededServer, Setup, Subject};
use crate::wire::{PacketView, TcpConnection, UdpConnection, hello};

/// Time to wait for a lost datagram; none is lost on one machine.
const TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(crate) struct Presence;

impl Scenario for Presence {
    fn name(&self) -> String {
        "presence/udp_ping".to_owned()
    }

    fn plan(&self) -> Plan {
        Plan::new(Setup { users: 1, shared_chats: 1, ..Setup::default() }, Compared::Median)
    }

    async fn round(&self, server: &SeededServer, time: Duration) -> anyhow::Result<Outcome> {
        let mut outcome = Outcome::new()?;
        let end = Instant::now() + time;
        if server.subject == Subject::Floor {
            let socket = UdpSocket::bind("127.0.0.1:0").await?;
            socket
                .connect(server.process()?.addresses.udp.context("the floor printed no UDP address")?)
                .await?;
            outcome.begin();
            while Instant::now() < end {
                let sent = Instant::now();
                echo(&socket, &[7; 40]).await?;
                outcome.took(sent.elapsed());
                outcome.done(1);
            }
            return Ok(outcome);
        }
        let mut session = TcpConnection::connect(server.tcp()).await?;
        session.send(&hello(&server.token(0)?, true)?).await?;
        let view = PacketView::of(session.frame().await?)?;
        let mut udp = UdpConnection::open(&view.udp.context("Welcome without a ticket")?).await?;
        outcome.begin();
        while Instant::now() < end {
            let sent = Instant::now();
            udp.ping().await?;
            outcome.took(sent.elapsed());
            outcome.done(1);
        }
        Ok(outcome)
    }
}

async fn echo(socket: &UdpSocket, datagram: &[u8]) -> anyhow::Result<()> {
    let mut buffer = [0; 2048];
    socket.send(datagram).await?;
    let count = tokio::time::timeout(TIMEOUT, socket.recv(&mut buffer)).await.context("no answer")??;
    ensure!(buffer.get(..count) == Some(datagram), "the echo differs");
    Ok(())
}
