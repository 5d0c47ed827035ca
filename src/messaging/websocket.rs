//! The WebSocket transport: the upgrade of `GET /ws`. The session is the same as over TCP.

use std::cell::Cell;
use std::net::IpAddr;

use actix_http::ws;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};

use super::acceptor::SessionAcceptor;
use super::metrics::Transport;
use super::session;
use crate::core::origins::AllowedOrigins;
use crate::core::shares::HolderSlot;
use crate::http::cookie;
use crate::http::error::HttpError;
use crate::http::origin::is_own_origin;
use crate::protocol::code::Code;
use crate::services::ServiceError;

/// Time after which a browser should retry when no slot for a session is free.
const RETRY_AFTER_MS: u64 = 1_000;

/// The part of an HTTP connection's slot that counts for its network. A session over the connection
/// takes this part and releases it at its `Welcome`: from then on the connection counts for an
/// account.
pub struct HttpSpot(Cell<Option<HolderSlot>>);

impl HttpSpot {
    pub fn new(own: HolderSlot) -> Self {
        Self(Cell::new(Some(own)))
    }
}

/// Upgrades a request to a session. The first message is `Hello`, with a token; a page of this
/// server may use the login cookie instead.
/// A browser sends the origin of its page. Pages of other origins must not act for the user, except
/// those in `http.allowed_origins`.
pub async fn open(
    request: &HttpRequest,
    payload: web::Payload,
    from: IpAddr,
    (acceptor, allowed): (&SessionAcceptor, &AllowedOrigins),
) -> Result<HttpResponse, HttpError> {
    let own = is_own_origin(request, acceptor.services.git.public_url());
    if !own.unwrap_or(true) && !is_allowed(request, allowed) {
        return Err(ServiceError::new(Code::Forbidden, "this origin may not open sessions").into());
    }
    // Only for pages of this server: a page elsewhere, and a client that sends no origin, need a
    // token.
    let web_login = if own == Some(true) { cookie::credential(request).await? } else { None };
    let not_upgrade =
        |error| ServiceError::new(Code::BadRequest, format!("not a WebSocket upgrade: {error}"));
    let mut response = ws::handshake(request.head()).map_err(not_upgrade)?;
    let mut connection = acceptor
        .accept(Transport::WebSocket, from)
        .ok_or_else(|| ServiceError::later(Code::Overloaded, "too many connections", RETRY_AFTER_MS))?;
    connection.web_login = web_login;
    // Taken last: a connection whose session is refused must still count for its network.
    let http = request.conn_data::<HttpSpot>().and_then(|spot| spot.0.take());
    connection.pre_auth = connection.pre_auth.with_http(http);
    let body = session::over_websocket(payload, connection, acceptor);
    let response = response.message_body(body).map_err(|error| {
        tracing::error!(%error, "cannot build the response to a WebSocket upgrade");
        ServiceError::new(Code::Internal, "the upgrade failed")
    })?;
    Ok(response.into())
}

fn is_allowed(request: &HttpRequest, allowed: &AllowedOrigins) -> bool {
    let origin = request.headers().get(header::ORIGIN);
    origin.is_some_and(|origin| origin.to_str().is_ok_and(|origin| allowed.contains(origin)))
}
