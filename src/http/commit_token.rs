//! The header `NetBit-Commit`, and the cookie with the same value for browsers: with several nodes,
//! a client that sends the value back reads its own writes at any of them.

use actix_web::HttpRequest;
use actix_web::cookie::Cookie;
use actix_web::dev::ServiceRequest;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::web;

use super::cookie;
use super::error::HttpError;
use super::room::Room;
use crate::services::{CommitToken, CommitTokens, Services};

/// The header of requests and responses.
pub(super) const NETBIT_COMMIT: HeaderName = HeaderName::from_static("netbit-commit");

fn tokens(request: &HttpRequest) -> Option<&CommitTokens> {
    request.app_data::<web::Data<Services>>()?.commits.as_ref()
}

/// Waits for the commit that the request names. Returns the refusal of a request that names none
/// correctly, or whose commit did not arrive in time.
pub(super) async fn wait(request: &ServiceRequest) -> Option<HttpError> {
    let tokens = tokens(request.request())?;
    let token = match request.headers().get(&NETBIT_COMMIT) {
        Some(value) => match value.to_str().ok().and_then(|text| text.parse::<CommitToken>().ok()) {
            Some(token) => token,
            None => {
                let detail = "NetBit-Commit must have the value of an earlier response";
                return Some(HttpError::bad_request(detail));
            }
        },
        // Other applications of the host may set any cookie.
        None => cookie::commit(request.request())?.parse().ok()?,
    };
    tokens.reach(token).await.err().map(HttpError::from)
}

/// Adds the newest commit to the response of a request that may have written: as a header, and for
/// browsers as a cookie.
pub(super) fn add(request: &HttpRequest, room: Room, status: StatusCode, headers: &mut HeaderMap) {
    let may_write = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let is_refused = status.is_client_error() || status.is_server_error();
    // An answer that another node has made names the commit of that node.
    if !may_write || is_refused || headers.contains_key(&NETBIT_COMMIT) {
        return;
    }
    let Some(token) = tokens(request).map(|tokens| tokens.newest().to_string()) else { return };
    if let Ok(value) = HeaderValue::from_str(&token) {
        headers.insert(NETBIT_COMMIT, value);
    }
    if (room == Room::Pages || cookie::is_sent(request))
        && let Some(value) = set_cookie(cookie::committed(request, token))
    {
        headers.append(header::SET_COOKIE, value);
    }
}

fn set_cookie(cookie: Cookie<'static>) -> Option<HeaderValue> {
    HeaderValue::from_str(&cookie.encoded().to_string()).ok()
}
