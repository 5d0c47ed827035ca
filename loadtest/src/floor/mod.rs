//! The floor: the performance of this machine with the fewest guarantees.
//!
//! It has the frames, the durability and the coalesced writes of NetBit. Durability means one
//! writer thread and SQLite in WAL mode with `synchronous=FULL`, with one commit for all queued
//! rows. It has no accounts, permissions, idempotency or limits, and only counts seqs. One thread
//! does all networking with plain data, another thread writes. The cost of NetBit is its distance
//! from the floor in the same run.
//!
//! The token in a `Hello` lists the chats of the session: `1,7`.

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

/// Serves until it is killed. Prints its addresses to standard output, like NetBit.
#[allow(clippy::print_stdout, reason = "a server prints its addresses")]
pub(crate) fn serve(directory: PathBuf) -> anyhow::Result<()> {
    let http = echo::serve_http()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(LocalSet::new().run_until(async move {
        let (writer, mut written) = writer::open(&directory)?;
        let chats = Rc::new(Chats::new(writer));
        let listener = TcpListener::bind("127.0.0.1:0").await.context("cannot listen on TCP")?;
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
