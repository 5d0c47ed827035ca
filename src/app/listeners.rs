//! The HTTP listeners: the public one, the operator's control socket and the operations listener.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::dev::ServerHandle;
use actix_web::rt::net::TcpStream;
use actix_web::{App as WebApp, HttpRequest, HttpResponse, HttpServer, middleware, web};
use rustls::ServerConfig;
use tracing::{debug, warn};

use super::idle::{IdleConnections, Registered};
use super::instruments::Instruments;
use super::sockets::{bind_operations, listen_error};
use super::stop::HTTP_SHARE;
use super::{Addresses, StartError};
use crate::api::openapi::DescriptionText;
use crate::api::{self, Operations, OpsState, Readiness, ServerInfo};
use crate::cluster::{self, Proxy};
use crate::core::config::Config;
use crate::core::limits::Limits;
use crate::core::origins::AllowedOrigins;
use crate::core::proxies::TrustedProxies;
use crate::core::shares::{Holder, PoolMetrics, PoolName, Slot, Slots};
use crate::core::tls::Tls;
use crate::http;
use crate::http::metrics::HttpMetrics;
use crate::messaging::{HttpSpot, SessionAcceptor, TcpAcceptor, open_websocket};
use crate::services::Services;
use crate::web as pages;

/// The listeners of clients, which accept connections.
pub(super) struct ClientListeners {
    pub(super) tcp: TcpAcceptor,
    pub(super) http: ServerHandle,
}

/// Starts to accept clients over TCP, then over HTTP.
pub(super) fn serve(
    (http, tcp): (TcpListener, TcpListener),
    addresses: Addresses,
    (services, sessions): (Arc<Services>, Arc<SessionAcceptor>),
    proxy: Option<Proxy>,
    (config, tls): (&Config, Option<&Tls>),
    instruments: &Instruments,
) -> Result<ClientListeners, StartError> {
    let tcp =
        TcpAcceptor::start(tcp, sessions.clone(), tls).map_err(listen_error("tcp.listen", &addresses.tcp))?;
    let info = ServerInfo {
        name: "NetBit",
        version: env!("CARGO_PKG_VERSION"),
        tcp_address: addresses.tcp.to_string(),
        tcp_tls: tls.is_some(),
        udp_address: services.udp_address().to_string(),
        registration: config.accounts.registration,
    };
    let metrics = (instruments.http.clone(), &instruments.pools);
    let http = serve_http(http, (services, proxy), sessions, info, metrics, (config, tls))
        .map_err(listen_error("http.listen", &addresses.http))?;
    Ok(ClientListeners { tcp, http })
}

fn serve_http(
    listener: TcpListener,
    (services, proxy): (Arc<Services>, Option<Proxy>),
    sessions: Arc<SessionAcceptor>,
    info: ServerInfo,
    (metrics, pools): (HttpMetrics, &PoolMetrics),
    (config, tls): (&Config, Option<&Tls>),
) -> std::io::Result<ServerHandle> {
    if let Some(folder) = &config.web_dir {
        warn!(folder = %folder.display(), "serving the files of the pages from a folder, for development");
    }
    let limits = &config.limits;
    let proxies = web::Data::new(config.http.trusted_proxies.clone());
    let (workers, stall_ms) = (Limits::per_core(limits.http_workers), limits.write_stall_ms);
    let services = web::Data::from(services);
    let (info, sessions) = (web::Data::new(info), web::Data::from(sessions));
    let log = web::Data::new(http::RequestLog::new(limits));
    let page = web::Data::new(api::docs::DocsPage::default());
    let (counted, described) = (web::Data::new(metrics.clone()), web::Data::new(DescriptionText::default()));
    let doorway = Doorway::new(limits, pools, config.http.trusted_proxies.clone());
    let (unsent_bytes, is_encrypted) = (limits.http_unsent_bytes, tls.is_some());
    // `max_connections` bounds handshakes; with a smaller bound, a few silent clients could block
    // all handshakes.
    actix_tls::accept::max_concurrent_tls_connect(limits.http_connections + limits.http_handshakes);
    let origins = config.http.allowed_origins.clone();
    let allowed = web::Data::new(origins.clone());
    let loose_files = web::Data::new(pages::LooseFiles(config.web_dir.clone()));
    let error_page = web::Data::new(http::ErrorPage(pages::error_page));
    let proxy = proxy.map(web::Data::new);
    let has_nodes = proxy.is_some();
    let server = HttpServer::new(move || {
        WebApp::new()
            .app_data(services.clone())
            .app_data(allowed.clone())
            .app_data(info.clone())
            .app_data(counted.clone())
            .app_data(log.clone())
            .app_data(described.clone())
            .app_data(page.clone())
            .app_data(proxies.clone())
            .app_data(sessions.clone())
            .app_data(error_page.clone())
            .app_data(loose_files.clone())
            .configure(|app| {
                if let Some(proxy) = &proxy {
                    app.app_data(proxy.clone());
                }
            })
            .wrap(middleware::Condition::new(has_nodes, middleware::from_fn(cluster::forward)))
            .wrap(middleware::Condition::new(!origins.is_empty(), http::cors::cors(origins.clone())))
            .wrap(middleware::from_fn(http::observe::observe))
            .wrap(middleware::Condition::new(has_nodes, middleware::from_fn(cluster::accept)))
            .configure(api::routes)
            .service(web::resource("/ws").get(upgrade))
            .configure(pages::routes)
    })
    .workers(workers)
    // Larger than the bound of `Doorway`, so that accepting never stops: `Doorway` decides which
    // connection is refused.
    .max_connections((limits.http_connections + limits.http_handshakes).div_ceil(workers))
    .on_connect(move |connection, kept| {
        let Some(socket) = socket_of(connection) else { return };
        kept.insert(metrics.connected());
        tune(socket, stall_ms, unsent_bytes);
        match doorway.admit(socket) {
            Some(mut spot) => {
                kept.insert(HttpSpot::new(spot.split()));
                kept.insert(spot);
                if let Some(registered) = doorway.register(socket) {
                    kept.insert(registered.activity());
                    kept.insert(registered);
                }
            }
            None => {
                doorway.make_room(socket);
                reject(socket, is_encrypted);
            }
        }
    })
    .tls_handshake_timeout(Duration::from_millis(limits.tls_handshake_ms))
    .client_request_timeout(Duration::from_millis(limits.request_head_ms))
    .h1_allow_half_closed(false)
    .tcp_nodelay(true)
    .shutdown_timeout((limits.shutdown_ms * u64::from(HTTP_SHARE) / 100 / 1000).max(1))
    .disable_signals();
    let server = match tls {
        Some(tls) => server.listen_rustls_0_23(listener, ServerConfig::clone(tls.config()))?,
        None => server.listen(listener)?,
    };
    let server = server.run();
    let handle = server.handle();
    actix::spawn(server);
    Ok(handle)
}

/// Upgrades a request to a session over WebSocket.
async fn upgrade(
    request: HttpRequest,
    payload: web::Payload,
    sessions: web::Data<SessionAcceptor>,
    origins: web::Data<AllowedOrigins>,
) -> Result<HttpResponse, http::HttpError> {
    let from = http::peer_of(&request)?;
    open_websocket(&request, payload, from, (&sessions, &origins)).await
}

/// Decides which clients get an HTTP connection: each network gets its share of the connections. A
/// trusted proxy acts for many clients and limits them itself, so its connections are not counted
/// per network.
#[derive(Clone)]
struct Doorway {
    connections: Arc<Slots>,
    idle: IdleConnections,
    next: Arc<AtomicU64>,
    proxies: TrustedProxies,
}

impl Doorway {
    fn new(limits: &Limits, pools: &PoolMetrics, proxies: TrustedProxies) -> Self {
        let meter = pools.meter(PoolName::Http);
        let crowd = Slots::new(limits.http_connections, usize::MAX).measured(meter.clone());
        let idle = IdleConnections::start(meter);
        Self { connections: Arc::new(crowd), idle, next: Arc::default(), proxies }
    }

    /// Reserves a slot for the connection; `None` if there is none for its network. Dropping the
    /// returned [`Slot`] releases the slot.
    fn admit(&self, socket: &TcpStream) -> Option<Slot> {
        let Ok(peer) = socket.peer_addr() else { return None };
        if self.proxies.trusts(peer.ip()) {
            self.connections.enter_uncounted()
        } else {
            self.connections.enter(Holder::network(peer.ip()))
        }
    }

    /// Registers the connection for closing when it is idle and another network needs its slot.
    /// `None`: the connection is never closed for another network.
    fn register(&self, socket: &TcpStream) -> Option<Registered> {
        let peer = socket.peer_addr().ok().filter(|peer| !self.proxies.trusts(peer.ip()))?;
        let second = socket.as_fd().try_clone_to_owned().ok()?;
        Some(self.idle.register(self.next.fetch_add(1, Relaxed), peer.ip(), second))
    }

    /// Closes idle connections of a larger network. The refused client gets a slot when it retries.
    fn make_room(&self, socket: &TcpStream) {
        if let Ok(peer) = socket.peer_addr() {
            self.idle.refused(peer.ip());
        }
    }
}

fn socket_of(connection: &dyn std::any::Any) -> Option<&TcpStream> {
    let plain = connection.downcast_ref::<TcpStream>();
    plain.or_else(|| Some(connection.downcast_ref::<TlsStream<TcpStream>>()?.get_ref().0))
}

/// Shuts down a connection that got no slot: the server then reads the end of its input. A plain
/// HTTP client receives a response first, if the socket accepts it without blocking.
fn reject(socket: &TcpStream, is_encrypted: bool) {
    const ANSWER: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nconnection: close\r\n\
        content-type: text/plain\r\ncontent-length: 37\r\n\r\ntoo many connections of this network\n";
    // Bypasses the runtime, which has not registered the socket as writable yet.
    let flags = rustix::net::SendFlags::DONTWAIT | rustix::net::SendFlags::NOSIGNAL;
    if !is_encrypted && let Err(error) = rustix::net::send(socket, ANSWER, flags) {
        debug!(%error, "a refused connection was closed without a response");
    }
    if let Err(error) = rustix::net::shutdown(socket, rustix::net::Shutdown::Both) {
        debug!(%error, "a connection was closed by the peer before it was refused");
    }
}

/// Sets the socket options of an HTTP connection.
///
/// `TCP_USER_TIMEOUT`: the kernel closes a connection whose peer accepts no bytes for `stall_ms`.
/// Without it, the response to a client that does not read would stay in memory without limit.
///
/// `TCP_NOTSENT_LOWAT`: the socket buffers at most `unsent_bytes` that are not sent yet. The data
/// that a slow reader has not read stays where its speed is measured.
fn tune(socket: &TcpStream, stall_ms: u64, unsent_bytes: u32) {
    let stall_ms = u32::try_from(stall_ms).unwrap_or(u32::MAX);
    if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(socket, stall_ms) {
        debug!(%error, "a connection has no write timeout");
    }
    if let Err(error) = socket2::SockRef::from(socket).set_tcp_notsent_lowat(unsent_bytes) {
        debug!(%error, "a connection has no limit on unsent bytes");
    }
}

/// Serves the operator's control socket. One worker is enough.
pub(super) fn serve_control(
    listener: std::os::unix::net::UnixListener,
    services: Arc<Services>,
) -> std::io::Result<ServerHandle> {
    let services = web::Data::from(services);
    let server = HttpServer::new(move || {
        WebApp::new()
            .app_data(services.clone())
            .wrap(middleware::from_fn(http::observe::observe))
            .configure(api::control_routes)
    })
    .workers(1)
    .disable_signals()
    .shutdown_timeout(1)
    .listen_uds(listener)?
    .run();
    let handle = server.handle();
    actix::spawn(server);
    Ok(handle)
}

/// The operations listener, which serves before the rest of the start.
pub(super) struct OperationsListener {
    pub(super) server: ServerHandle,
    pub(super) address: SocketAddr,
    pub(super) readiness: Readiness,
}

impl OperationsListener {
    /// Binds and serves; the server counts as not ready.
    pub(super) fn start(config: &Config, instruments: &Instruments) -> Result<Self, StartError> {
        let shown = OpsState {
            actors: instruments.actors(),
            cache: instruments.cached.clone(),
            udp: instruments.datagrams.clone(),
            ready: instruments.ready.clone(),
            stopping: instruments.stopping.clone(),
            freshness: instruments.freshness.clone(),
            registry: instruments.registry.clone(),
        };
        let (operations, readiness) = Operations::new(shown);
        let (listener, address) = bind_operations(config)?;
        let server = serve_operations(listener, operations).map_err(listen_error("ops.listen", &address))?;
        Ok(Self { server, address, readiness })
    }
}

fn serve_operations(listener: TcpListener, operations: Operations) -> std::io::Result<ServerHandle> {
    let operations = web::Data::new(operations);
    let server = HttpServer::new(move || {
        WebApp::new()
            .app_data(operations.clone())
            .wrap(middleware::from_fn(http::head::answer_head))
            .configure(api::operations_routes)
    })
    .workers(1)
    .disable_signals()
    .shutdown_timeout(0)
    .listen(listener)?
    .run();
    let handle = server.handle();
    actix::spawn(server);
    Ok(handle)
}
