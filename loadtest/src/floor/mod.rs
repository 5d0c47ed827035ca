//! The floor: what this machine can do when next to nothing is promised.
//!
//! The same frames as NetBit's, the same durability (one writer thread, SQLite in WAL mode with `synchronous=FULL`, one
//! commit for all that waits), the same coalesced writes; no accounts, no rights, no idempotency, no numbers but the
//! next one, no limits. One thread does all the networking with plain data, another one writes. What NetBit costs is its
//! distance from here, measured in the same run.
//!
//! Whoever says `Hello` names the chats that they are in instead of a token: `1,7`.

mod chats;
mod connection;
mod echo;
mod encode;
mod writer;

use std::path::PathBuf;
use std::rc::Rc;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::task::{LocalSet, spawn_local};

use chats::Chats;

/// Serves until it is killed. Where it listens is said like NetBit says it, on standard output.
#[allow(clippy::print_stdout, reason = "a server says where it is")]
pub(crate) fn serve(directory: PathBuf) -> anyhow::Result<()> {
    let http = echo::serve_http()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(LocalSet::new().run_until(async move {
        let (writer, mut written) = writer::open(&directory)?;
        let chats = Rc::new(Chats::new(writer));
        let listener = TcpListener::bind("127.0.0.1:0").await.context("cannot listen")?;
        let udp = echo::serve_udp().await?;
        println!(
            "floor: tcp://{} http://{http}/api/ udp://{udp} http://{http}/readyz",
            listener.local_addr()?
        );
        let publishing = chats.clone();
        spawn_local(async move {
            while let Some(batch) = written.recv().await {
                publishing.publish(batch);
            }
        });
        loop {
            let (socket, _) = listener.accept().await?;
            socket.set_nodelay(true)?;
            connection::serve(socket, chats.clone());
        }
    }))
}
