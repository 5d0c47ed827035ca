//! The two HTTP listeners.

use std::sync::Arc;
use std::time::Duration;

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::dev::ServerHandle;
use actix_web::rt::net::TcpStream;
use actix_web::{App as WebApp, HttpRequest, HttpResponse, HttpServer, middleware, web};
use rustls::ServerConfig;
use tracing::debug;

use super::stop::HTTP_SHARE;
use crate::api::metrics::HttpMetrics;
use crate::api::openapi::DescriptionText;
use crate::api::{self, Operations, ServerInfo};
use crate::core::config::Config;
use crate::core::limits::Limits;
use crate::core::tls::Tls;
use crate::messaging::{SessionEdge, open_websocket};
use crate::services::Services;

pub(super) fn serve_http(
    listener: std::net::TcpListener,
    services: Arc<Services>,
    sessions: Arc<SessionEdge>,
    info: ServerInfo,
    metrics: HttpMetrics,
    (config, tls): (&Config, Option<&Tls>),
) -> std::io::Result<ServerHandle> {
    let limits = &config.limits;
    let proxies = web::Data::new(config.http.trusted_proxies.clone());
    let (workers, stall_ms) = (Limits::per_core(limits.http_workers), limits.write_stall_ms);
    let services = web::Data::from(services);
    let (info, sessions) = (web::Data::new(info), web::Data::from(sessions));
    let log = web::Data::new(api::RequestLog::new(limits));
    let page = web::Data::new(api::docs::Page::default());
    let (counted, described) = (web::Data::new(metrics.clone()), web::Data::new(DescriptionText::default()));
    let server = HttpServer::new(move || {
        WebApp::new()
            .app_data(services.clone())
            .app_data(info.clone())
            .app_data(counted.clone())
            .app_data(log.clone())
            .app_data(described.clone())
            .app_data(page.clone())
            .app_data(proxies.clone())
            .app_data(sessions.clone())
            .wrap(middleware::from_fn(api::observe::observe))
            .configure(api::routes)
            .service(web::resource("/ws").get(upgrade))
    })
    .workers(workers)
    .max_connections(limits.http_connections.div_ceil(workers))
    .on_connect(move |connection, kept| {
        kept.insert(metrics.connected());
        cut_off_when_stuck(connection, stall_ms);
    })
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

/// A session over WebSocket: the one route that is no request.
async fn upgrade(
    request: HttpRequest,
    payload: web::Payload,
    sessions: web::Data<SessionEdge>,
) -> Result<HttpResponse, api::ApiError> {
    let from = api::peer_of(&request)?;
    Ok(open_websocket(&request, payload, from, &sessions)?)
}

/// Has the kernel end a connection whose peer takes nothing for so long (`TCP_USER_TIMEOUT`): a client that asks and does
/// not read would otherwise keep its answer in memory for ever.
fn cut_off_when_stuck(connection: &dyn std::any::Any, stall_ms: u64) {
    let plain = connection.downcast_ref::<TcpStream>();
    let Some(socket) = plain.or_else(|| Some(connection.downcast_ref::<TlsStream<TcpStream>>()?.get_ref().0))
    else {
        return;
    };
    let stall_ms = u32::try_from(stall_ms).unwrap_or(u32::MAX);
    if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(socket, stall_ms) {
        debug!(%error, "a connection has no write timeout");
    }
}

/// The operator's socket. One at a time is enough.
pub(super) fn serve_control(
    listener: std::os::unix::net::UnixListener,
    services: Arc<Services>,
) -> std::io::Result<ServerHandle> {
    let services = web::Data::from(services);
    let server = HttpServer::new(move || {
        WebApp::new()
            .app_data(services.clone())
            .wrap(middleware::from_fn(api::observe::observe))
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

pub(super) fn serve_operations(
    listener: std::net::TcpListener,
    operations: Operations,
) -> std::io::Result<ServerHandle> {
    let operations = web::Data::new(operations);
    let server =
        HttpServer::new(move || WebApp::new().app_data(operations.clone()).configure(api::operations_routes))
            .workers(1)
            .disable_signals()
            .shutdown_timeout(0)
            .listen(listener)?
            .run();
    let handle = server.handle();
    actix::spawn(server);
    Ok(handle)
}
