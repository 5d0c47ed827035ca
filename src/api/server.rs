//! What the server says of itself to anybody.

use std::net::SocketAddr;

use actix_web::{HttpRequest, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::error::ApiResult;
use super::page;
use crate::core::config::Registration;

/// How a client finds the other listeners.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ServerInfo {
    pub name: &'static str,
    pub version: &'static str,
    /// `host:port` of the TCP listener.
    pub tcp_address: String,
    /// `open` or `closed`.
    #[schema(value_type = String)]
    pub registration: Registration,
}

/// Names the server, its version and its listeners.
#[utoipa::path(get, path = "/api/server", responses((status = 200, body = ServerInfo)))]
pub(super) async fn info(request: HttpRequest, info: web::Data<ServerInfo>) -> ApiResult {
    let mut info = info.get_ref().clone();
    // Bound to every address: what the client reached us by is the one that it can use.
    let connection = request.connection_info();
    if let Some((listen, host)) = info.tcp_address.parse::<SocketAddr>().ok().zip(host_of(connection.host()))
        && listen.ip().is_unspecified()
    {
        info.tcp_address = format!("{host}:{}", listen.port());
    }
    page::read(&request, &info, None)
}

/// `example.org:8080` without the port; brackets of an IPv6 address stay.
fn host_of(authority: &str) -> Option<&str> {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    Some(host).filter(|host| !host.is_empty())
}
