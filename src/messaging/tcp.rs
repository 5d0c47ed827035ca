//! The TCP listener: accepts, admits, and hands each socket to a session thread.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Acquire, Ordering::Relaxed};
use std::time::Duration;

use actix::ArbiterHandle;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::admission::{Admission, Seat, StrangerSeat};
use super::session::{self, SessionStats, Setup};
use crate::actors::hub::Outbox;
use crate::core::actor::FatalSignal;
use crate::domain::ids::SessionId;
use crate::protocol::answer::{GoodbyeCode, ServerPacket};
use crate::protocol::framing;
use crate::services::Services;

/// Connections that the kernel keeps until we accept them.
const BACKLOG: i32 = 1024;
/// How long the accept loop rests when there are no file descriptors left.
const REST: Duration = Duration::from_millis(50);

/// A thread that owns sessions; its place in the list is the number of its hub.
#[derive(Clone)]
pub struct SessionThread(pub ArbiterHandle);

/// The running TCP edge.
pub struct TcpEdge {
    accepting: CancellationToken,
    sessions: CancellationToken,
    connections: Arc<AtomicUsize>,
    stats: SessionStats,
}

/// Binds, so that mistakes show before anything is started.
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

impl TcpEdge {
    /// Starts accepting on the current thread.
    pub fn start(
        listener: std::net::TcpListener,
        threads: Vec<SessionThread>,
        services: Arc<Services>,
        fatal: FatalSignal,
    ) -> std::io::Result<Self> {
        let edge = Self {
            accepting: CancellationToken::new(),
            sessions: CancellationToken::new(),
            connections: Arc::default(),
            stats: session::stats(),
        };
        let listener = TcpListener::from_std(listener)?;
        let acceptor = Acceptor {
            admission: Admission::new(edge.connections.clone(), services.limits.clone()),
            next_session: AtomicU64::new(1),
            threads,
            services,
            stats: edge.stats.clone(),
            fatal,
            sessions: edge.sessions.clone(),
        };
        actix::spawn(acceptor.run(listener, edge.accepting.clone()));
        Ok(edge)
    }

    pub fn stats(&self) -> &SessionStats {
        &self.stats
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Acquire)
    }

    pub fn stop_accepting(&self) {
        self.accepting.cancel();
    }

    /// Says goodbye to every session, behind what is already in its outbox, and waits until they are closed.
    pub async fn end_sessions(&self) {
        self.sessions.cancel();
        while self.connections() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

struct Acceptor {
    admission: Admission,
    next_session: AtomicU64,
    threads: Vec<SessionThread>,
    services: Arc<Services>,
    stats: SessionStats,
    fatal: FatalSignal,
    sessions: CancellationToken,
}

impl Acceptor {
    async fn run(mut self, listener: TcpListener, stop: CancellationToken) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((socket, peer)) => match self.admission.admit(peer.ip()) {
                    Some((seat, stranger)) => self.hand_over(socket, seat, stranger),
                    None => turn_away(&socket),
                },
                Err(error) => {
                    warn!(%error, "accepting a connection failed");
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }

    /// A socket belongs to the reactor it was made on: it travels as a plain one.
    fn hand_over(&self, socket: TcpStream, seat: Seat, stranger: StrangerSeat) {
        let id = self.next_session.fetch_add(1, Relaxed);
        let hub = usize::try_from(id).unwrap_or(0) % self.threads.len().max(1);
        let Some(SessionThread(thread)) = self.threads.get(hub) else { return };
        let socket = match socket.set_nodelay(true).and_then(|()| socket.into_std()) {
            Ok(socket) => socket,
            Err(error) => return debug!(%error, "a connection was gone before it began"),
        };
        let limits = &self.services.limits;
        let (outbox, drain) = Outbox::new(limits.outbox_bytes, limits.outbox_frames);
        let setup = Setup { id: SessionId(id), hub, outbox, services: self.services.clone(), stranger };
        let (stats, fatal, stopping) = (self.stats.clone(), self.fatal.clone(), self.sessions.clone());
        thread.spawn_fn(move || match TcpStream::from_std(socket) {
            Ok(socket) => session::start(socket, seat, setup, drain, stats, fatal, stopping),
            Err(error) => debug!(%error, "a connection could not be taken over"),
        });
    }
}

/// One frame if the socket takes it at once, then closed.
fn turn_away(socket: &TcpStream) {
    let goodbye =
        ServerPacket::Goodbye { code: GoodbyeCode::Overloaded, reconnect: true, after_ms: Some(1000) };
    if let Ok(frame) = framing::encode(&goodbye)
        && let Err(error) = socket.try_write(&frame)
    {
        debug!(%error, "a connection was turned away without a word");
    }
}
