//! The TCP listener: accepts, admits, and passes each socket to a session thread.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::acceptor::{AcceptedConnection, SessionAcceptor};
use super::metrics::Transport;
use super::session;
use crate::core::tls::Tls;
use crate::protocol::answer::{GoodbyeCode, ServerPacket};
use crate::protocol::framing;

/// Connections that the kernel queues before they are accepted.
const BACKLOG: i32 = 1024;
/// Pause of the accept loop when no file descriptors are left.
const REST: Duration = Duration::from_millis(50);

/// A running TCP listener.
pub struct TcpAcceptor {
    accepting: CancellationToken,
}

/// Binds the address, so that mistakes show before anything is started.
pub fn bind(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    let domain =
        if address.is_ipv4() { rustix::net::AddressFamily::INET } else { rustix::net::AddressFamily::INET6 };
    let kind = rustix::net::SocketType::STREAM;
    let flags = rustix::net::SocketFlags::CLOEXEC | rustix::net::SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(domain, kind, flags, None)?;
    rustix::net::sockopt::set_socket_reuseaddr(&socket, true)?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

impl TcpAcceptor {
    /// Starts accepting on the current thread.
    pub fn start(
        listener: std::net::TcpListener,
        acceptor: Arc<SessionAcceptor>,
        tls: Option<&Tls>,
    ) -> std::io::Result<Self> {
        let this = Self { accepting: CancellationToken::new() };
        let listener = TcpListener::from_std(listener)?;
        let tls = tls.map(|tls| TlsAcceptor::from(tls.config().clone()));
        actix::spawn(AcceptLoop { acceptor, tls }.run(listener, this.accepting.clone()));
        Ok(this)
    }

    pub fn stop_accepting(&self) {
        self.accepting.cancel();
    }
}

struct AcceptLoop {
    acceptor: Arc<SessionAcceptor>,
    tls: Option<TlsAcceptor>,
}

impl AcceptLoop {
    async fn run(self, listener: TcpListener, stop: CancellationToken) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((socket, peer)) => match self.acceptor.accept(Transport::Tcp, peer.ip()) {
                    Some(connection) => self.hand_over(socket, connection),
                    None => reject(&socket, self.tls.is_some()),
                },
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }

    /// Moves a socket to another thread. A socket belongs to the reactor that created it, so it is
    /// passed as a standard one.
    fn hand_over(&self, socket: TcpStream, connection: AcceptedConnection) {
        let socket = match socket.set_nodelay(true).and_then(|()| socket.into_std()) {
            Ok(socket) => socket,
            Err(error) => return debug!(%error, "a connection closed before its session started"),
        };
        let (acceptor, thread, tls) = (self.acceptor.clone(), connection.thread.clone(), self.tls.clone());
        thread.spawn_fn(move || match (TcpStream::from_std(socket), tls) {
            (Ok(socket), None) => session::over_tcp(socket, connection, &acceptor),
            (Ok(socket), Some(tls)) => drop(actix::spawn(tls_handshake(socket, tls, connection, acceptor))),
            (Err(error), _) => debug!(%error, "cannot register a connection on its session thread"),
        });
    }
}

/// Performs the TLS handshake within the time limit of `Hello`; the connection's slot is already
/// taken.
async fn tls_handshake(
    socket: TcpStream,
    tls: TlsAcceptor,
    connection: AcceptedConnection,
    acceptor: Arc<SessionAcceptor>,
) {
    let patience = Duration::from_millis(acceptor.services.limits.hello_timeout_ms);
    match tokio::time::timeout(patience, tls.accept(socket)).await {
        Ok(Ok(stream)) => session::over_tls(stream, connection, &acceptor),
        Ok(Err(error)) => debug!(%error, "TLS handshake failed"),
        Err(_) => debug!("TLS handshake timed out"),
    }
}

/// Sends a `Goodbye` frame if the socket accepts it at once, then closes. A client that expects TLS
/// gets no frame, because it could not read one.
fn reject(socket: &TcpStream, encrypted: bool) {
    if encrypted {
        return;
    }
    let goodbye =
        ServerPacket::Goodbye { code: GoodbyeCode::Overloaded, reconnect: true, after_ms: Some(1000) };
    if let Ok(frame) = framing::encode(&goodbye)
        && let Err(error) = socket.try_write(&frame)
    {
        debug!(%error, "a connection was refused without a Goodbye");
    }
}
