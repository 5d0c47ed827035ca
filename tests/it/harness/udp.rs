//! A presence client over UDP.

use std::net::SocketAddr;

use netbit::domain::presence::Status;
use netbit::protocol::answer::TicketData;
use netbit::protocol::datagram::{self, Header, Kind, Pong, PresenceBatch, Upward};
use tokio::net::UdpSocket;

use super::soon;

/// A client over UDP.
pub(crate) struct Udp {
    pub(crate) socket: UdpSocket,
    pub(crate) server: SocketAddr,
    pub(crate) connection_id: u64,
    pub(crate) keys: (datagram::Key, datagram::Key),
    counter: u64,
}

impl Udp {
    pub(crate) async fn new(ticket: &TicketData) -> Self {
        let key = |bytes: &[u8]| bytes.try_into().unwrap();
        Self {
            socket: UdpSocket::bind("127.0.0.1:0").await.unwrap(),
            server: ticket.address.parse().unwrap(),
            connection_id: ticket.connection_id,
            keys: (key(&ticket.key_up), key(&ticket.key_down)),
            counter: 0,
        }
    }

    pub(crate) fn sealed(&mut self, kind: Kind, map: &Upward) -> Vec<u8> {
        self.counter += 1;
        let header = Header { kind, connection_id: self.connection_id, counter: self.counter };
        datagram::seal(&self.keys.0, header, map).unwrap()
    }

    pub(crate) async fn send(&mut self, kind: Kind, map: &Upward) {
        let datagram = self.sealed(kind, map);
        self.socket.send_to(&datagram, self.server).await.unwrap();
    }

    pub(crate) async fn receive(&self) -> (Header, Vec<u8>) {
        let mut buffer = [0; 600];
        let (size, from) = soon(self.socket.recv_from(&mut buffer)).await.unwrap();
        assert_eq!(from, self.server);
        (Header::of(&buffer[..size]).unwrap(), buffer[..size].to_vec())
    }

    pub(crate) async fn pong(&self) -> Pong {
        loop {
            let (header, bytes) = self.receive().await;
            if header.kind == Kind::Pong {
                return datagram::open(&self.keys.1, header, &bytes).unwrap();
            }
        }
    }

    pub(crate) async fn batch(&self) -> PresenceBatch {
        loop {
            let (header, bytes) = self.receive().await;
            if header.kind == Kind::PresenceBatch {
                return datagram::open(&self.keys.1, header, &bytes).unwrap();
            }
        }
    }

    /// Whether a datagram is in the socket's receive buffer.
    pub(crate) fn has_received(&self) -> bool {
        let mut buffer = [0; 600];
        rustix::net::recv(&self.socket, &mut buffer, rustix::net::RecvFlags::DONTWAIT).is_ok()
    }
}

/// Returns a ping that is large enough for its answer.
pub(crate) fn ping(known: u64) -> Upward {
    Upward { known: Some(known), version: Some(1), status: Some(Status::Online), ..Upward::default() }
}
