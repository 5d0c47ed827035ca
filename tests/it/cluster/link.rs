//! A link to the database that a test can cut: a TCP proxy in the process of the test. It has a
//! thread of its own, because a test blocks its thread while a server starts.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Whether the link works. Each cut ends the connections over it.
pub(super) struct Link {
    /// The URL of the database over this link.
    pub(super) url: String,
    is_up: watch::Sender<bool>,
}

impl Link {
    /// Opens a link to the server of `database`.
    pub(super) fn to(database: &str) -> Self {
        let (scheme, rest) = database.split_once("://").unwrap();
        let (place, path) = rest.split_once('/').unwrap();
        let (user, address) = place.rsplit_once('@').unwrap();
        let target: SocketAddr = address.parse().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("{scheme}://{user}@{}/{path}", listener.local_addr().unwrap());
        let (is_up, state) = watch::channel(true);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(serve(listener, target, state));
        });
        Self { url, is_up }
    }

    pub(super) fn cut(&self) {
        self.is_up.send_replace(false);
    }

    pub(super) fn mend(&self) {
        self.is_up.send_replace(true);
    }
}

/// Accepts connections until the link is dropped.
async fn serve(listener: std::net::TcpListener, target: SocketAddr, mut state: watch::Receiver<bool>) {
    let listener = TcpListener::from_std(listener).unwrap();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (client, _) = accepted.unwrap();
                // While the link is down, the client is closed at once.
                if *state.borrow_and_update() {
                    tokio::spawn(carry(client, target, state.clone()));
                }
            }
            changed = state.changed() => if changed.is_err() { return },
        }
    }
}

/// Copies bytes both ways until the link is cut.
async fn carry(mut client: TcpStream, target: SocketAddr, mut state: watch::Receiver<bool>) {
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
        _ = state.wait_for(|is_up| !is_up) => {}
    }
}
