//! A connection to another node, for one request.

use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::LocalBoxStream;
use http_body_util::{Either, Empty, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustix::io::Errno;
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tracing::debug;

use crate::core::node_address::NodeAddress;
use crate::core::trust::Trust;

/// A node whose machine does not answer for these times together is gone: 10 s of silence, then 3
/// probes.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(10);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);
const KEEPALIVE_PROBES: u32 = 3;

/// The body of a forwarded request.
pub(super) type Outgoing =
    Either<Empty<Bytes>, StreamBody<LocalBoxStream<'static, io::Result<Frame<Bytes>>>>>;

/// An open connection. It is closed when this is dropped, whatever was sent.
pub(super) struct Link {
    pub(super) sender: SendRequest<Outgoing>,
    _driver: AbortOnDrop,
}

/// Ends a task with its owner.
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Connects to a node, within `patience`. `trust` is filled for the first node with TLS.
pub(super) async fn connect(
    address: &NodeAddress,
    trust: &OnceLock<Trust>,
    patience: Duration,
) -> io::Result<Link> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    tokio::time::timeout(patience, open(address, trust)).await.map_err(late)?
}

/// Returns whether this machine, not the other one, cannot open a connection now: it has no local
/// port or no file descriptor left.
pub(super) fn is_local(error: &io::Error) -> bool {
    let local = [Errno::ADDRNOTAVAIL, Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    Errno::from_io_error(error).is_some_and(|errno| local.contains(&errno))
}

async fn open(address: &NodeAddress, trust: &OnceLock<Trust>) -> io::Result<Link> {
    let socket = TcpStream::connect((address.host.as_str(), address.port)).await?;
    socket.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_AFTER)
        .with_interval(KEEPALIVE_EVERY)
        .with_retries(KEEPALIVE_PROBES);
    SockRef::from(&socket).set_tcp_keepalive(&keepalive)?;
    // This node closes first, and a connection is only closed once its answer was read or given up.
    // Without this, its port could not be used again for a minute.
    SockRef::from(&socket).set_linger(Some(Duration::ZERO))?;
    if !address.is_encrypted {
        return drive(socket).await;
    }
    let trust = match trust.get() {
        Some(trust) => trust.clone(),
        None => {
            let read = tokio::task::spawn_blocking(Trust::of_platform).await.map_err(io::Error::other)?;
            let read = read.map_err(io::Error::other)?;
            trust.get_or_init(|| read).clone()
        }
    };
    let name = ServerName::try_from(address.host.clone()).map_err(io::Error::other)?;
    drive(TlsConnector::from(trust.config().clone()).connect(name, socket).await?).await
}

async fn drive(socket: impl AsyncRead + AsyncWrite + Unpin + 'static) -> io::Result<Link> {
    let (sender, connection) = http1::handshake(TokioIo::new(socket)).await.map_err(io::Error::other)?;
    let driver = actix_web::rt::spawn(async {
        if let Err(error) = connection.await {
            debug!(%error, "the connection to another node ended");
        }
    });
    Ok(Link { sender, _driver: AbortOnDrop(driver) })
}
