//! Proxies between the nodes and the database, for machines without network namespaces.
//!
//! A cut proxy forwards nothing and closes nothing, like a link that loses every packet.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

use super::network::NODES;

/// Interval at which a cut proxy checks whether it forwards again.
const CHECK_EVERY: Duration = Duration::from_millis(5);

pub(super) struct Proxies {
    /// On a thread of its own: clients on the thread of the test must not delay the database.
    runtime: Option<Runtime>,
    cut: [Arc<AtomicBool>; NODES],
    #[expect(clippy::disallowed_types, reason = "never held across an await")]
    addresses: std::sync::Mutex<HashMap<(usize, u16), SocketAddr>>,
}

impl Proxies {
    pub(super) fn new() -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Self { runtime: Some(runtime), cut: Default::default(), addresses: Default::default() }
    }

    /// Returns the address at which a node reaches a port of the database.
    pub(super) fn address(&self, node: usize, port: u16) -> String {
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let address = *addresses.entry((node, port)).or_insert_with(|| {
            let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            listener.set_nonblocking(true).unwrap();
            let address = listener.local_addr().unwrap();
            let cut = self.cut[node].clone();
            self.runtime.as_ref().unwrap().spawn(accept(listener, port, cut));
            address
        });
        address.to_string()
    }

    pub(super) fn set_cut(&self, node: usize, cut: bool) {
        self.cut[node].store(cut, Ordering::SeqCst);
    }
}

impl Drop for Proxies {
    fn drop(&mut self) {
        // Dropped on a thread of another runtime, which must not wait.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept(listener: std::net::TcpListener, port: u16, cut: Arc<AtomicBool>) {
    let listener = TcpListener::from_std(listener).unwrap();
    while let Ok((socket, _)) = listener.accept().await {
        let cut = cut.clone();
        tokio::spawn(async move {
            until_mended(&cut).await;
            // Without a database, the node sees a connection that ends.
            let Ok(database) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return };
            socket.set_nodelay(true).ok();
            database.set_nodelay(true).ok();
            let ((read_node, write_node), (read_database, write_database)) =
                (socket.into_split(), database.into_split());
            tokio::join!(forward(read_node, write_database, &cut), forward(read_database, write_node, &cut));
        });
    }
}

async fn until_mended(cut: &AtomicBool) {
    while cut.load(Ordering::SeqCst) {
        tokio::time::sleep(CHECK_EVERY).await;
    }
}

async fn forward(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    cut: &AtomicBool,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = from.read(&mut buffer).await.unwrap_or(0);
        until_mended(cut).await;
        if count == 0 || to.write_all(&buffer[..count]).await.is_err() {
            to.shutdown().await.ok();
            return;
        }
    }
}
