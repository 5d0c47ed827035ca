//! Attacks, grouped by their entry point. Each gets a clear refusal or a close, disturbs no other
//! user and stores nothing.
//!
//! Each test begins with its story. `docs/SECURITY-TESTS.md` lists the tests next to the properties
//! that they show.

mod answers;
mod browsing;
mod connection_shares;
mod credentials;
mod datagrams;
mod files;
mod floods;
mod frames;
mod lfs;
mod logins;
mod logs;
mod people;
mod pictures;
mod push_memory;
mod pushes;
mod requests;
mod revoked;
mod search;
mod seeds;
mod shares;

use netbit::client::{TcpClient, TcpError};
use netbit::domain::ids::ChatId;

use crate::harness::{Person, TestServer, soon};

/// Reads to the end; returns the code of the NACK, if any, and the code of the Goodbye.
async fn read_until_closed(client: &mut TcpClient) -> (Option<String>, Option<String>) {
    let mut nack = None;
    loop {
        match soon(client.reader.next()).await {
            Ok(packet) if packet.packet_type == "Ack" => nack = packet.code,
            Ok(_) => {}
            Err(TcpError::Closed(code)) => return (nack, code),
            Err(TcpError::Io(_)) => return (nack, None),
            Err(other) => panic!("{other}"),
        }
    }
}

/// Alice's server, with a second session that must keep working.
struct Fixture {
    server: TestServer,
    alice: Person,
    chat: ChatId,
    witness: TcpClient,
}

impl Fixture {
    async fn new() -> Self {
        let server = TestServer::with_limits(|limits| {
            (limits.hello_timeout_ms, limits.frame_timeout_ms) = (1_500, 300);
        })
        .await;
        let alice = server.user("alice").await;
        let chat = alice.group(&[]).await;
        let witness = alice.tcp().await;
        Self { server, alice, chat, witness }
    }

    /// Sends raw bytes on a fresh connection, before or after Hello, and reads to the end.
    async fn send_raw(&self, known: bool, bytes: &[u8]) -> (Option<String>, Option<String>) {
        let mut client = if known {
            self.alice.tcp().await
        } else {
            TcpClient::connect(self.server.app.addresses.tcp).await.unwrap()
        };
        // The server may have closed the connection already.
        drop(client.writer.send_bytes(bytes).await);
        read_until_closed(&mut client).await
    }

    /// Checks that no other session was disturbed and that nothing was stored.
    async fn assert_unharmed(mut self) {
        assert_eq!(self.alice.contents(self.chat).await, Vec::<String>::new());
        let ack = self.witness.say(self.chat, "still here").await.unwrap();
        assert!(ack.success);
        self.server.stop().await;
    }
}

/// Returns a frame with this body.
fn frame(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap();
    [&length.to_be_bytes(), body].concat()
}
