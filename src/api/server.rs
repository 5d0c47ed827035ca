//! What the server says of itself to anybody.

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
    page::read(&request, info.get_ref(), None)
}
