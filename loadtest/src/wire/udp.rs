//! A UDP session, opened with a ticket.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use netbit::protocol::datagram::{self, Header, Kind};
use serde::Deserialize;
use tokio::net::UdpSocket;

use super::packet_view::UdpTicketView;

/// Attempts of a `Ping`, because datagrams may be lost.
const TRIES: u32 = 3;
/// Time to wait for the answer to an attempt.
const TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct UdpConnection {
    socket: UdpSocket,
    connection_id: u64,
    key_up: datagram::Key,
    key_down: datagram::Key,
    counter: u64,
    /// The presence version up to which all changes were received.
    known: u64,
}

impl UdpConnection {
    pub(crate) async fn open(ticket: &UdpTicketView<'_>) -> anyhow::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        socket.connect(ticket.address.parse::<SocketAddr>()?).await?;
        Ok(Self {
            socket,
            connection_id: ticket.connection_id,
            key_up: ticket.key_up.try_into()?,
            key_down: ticket.key_down.try_into()?,
            counter: 0,
            known: 0,
        })
    }

    /// Sends a `Ping`, which acknowledges the received presence changes, and waits for the `Pong`.
    pub(crate) async fn ping(&mut self) -> anyhow::Result<()> {
        let mut buffer = [0; 2048];
        // Unread datagrams fill the socket buffer and leave no room for the answer.
        while let Ok(count) = self.socket.try_recv(&mut buffer) {
            self.take(buffer.get(..count).unwrap_or_default())?;
        }
        for _ in 0..TRIES {
            self.counter += 1;
            // An answer is never longer than its request, so the Ping is padded.
            let ping =
                serde_json::json!({ "known": self.known, "padding": "................................" });
            let header =
                Header { kind: Kind::Ping, connection_id: self.connection_id, counter: self.counter };
            let datagram = datagram::seal(&self.key_up, header, &ping).context("cannot seal a Ping")?;
            self.socket.send(&datagram).await?;
            while let Ok(count) = tokio::time::timeout(TIMEOUT, self.socket.recv(&mut buffer)).await {
                if self.take(buffer.get(..count?).unwrap_or_default())? == Kind::Pong {
                    return Ok(());
                }
            }
        }
        bail!("no answer to {TRIES} Pings")
    }

    fn take(&mut self, datagram: &[u8]) -> anyhow::Result<Kind> {
        let header = Header::of(datagram).map_err(|why| anyhow::anyhow!("{why:?}"))?;
        ensure!(header.connection_id == self.connection_id, "a datagram for another connection: {header:?}");
        let view: DatagramView = datagram::open(&self.key_down, header, datagram)
            .map_err(|why| anyhow::anyhow!("{header:?} cannot be opened: {why:?}"))?;
        if view.from.is_some_and(|from| from <= self.known) {
            self.known = self.known.max(view.to.unwrap_or(0));
        }
        Ok(header.kind)
    }
}

/// The checked fields of a datagram from the server.
#[derive(Deserialize)]
struct DatagramView {
    /// The presence versions of a `PresenceBatch`: it changes `from` into `to`.
    #[serde(default)]
    from: Option<u64>,
    #[serde(default)]
    to: Option<u64>,
}
