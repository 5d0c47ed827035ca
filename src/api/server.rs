//! Public information about the server.

use actix_web::{HttpRequest, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::page;
use crate::core::config::RegistrationPolicy;
use crate::http::address::reachable;
use crate::http::error::HttpResult;

/// The server's version, and the addresses of its other listeners.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ServerInfo {
    pub name: &'static str,
    pub version: &'static str,
    /// `host:port` of the TCP listener.
    pub tcp_address: String,
    /// Whether that listener expects TLS.
    pub tcp_tls: bool,
    /// `host:port` of the UDP socket.
    pub udp_address: String,
    /// `open` or `closed`.
    #[schema(value_type = String)]
    pub registration: RegistrationPolicy,
}

/// Returns the server's name, its version and its listeners.
#[utoipa::path(get, operation_id = "get_server", path = "/api/server", responses((status = 200, body = ServerInfo)))]
pub(super) async fn info(request: HttpRequest, info: web::Data<ServerInfo>) -> HttpResult {
    let mut info = info.get_ref().clone();
    info.tcp_address = reachable(&request, &info.tcp_address);
    info.udp_address = reachable(&request, &info.udp_address);
    page::read(&request, &info, None)
}
