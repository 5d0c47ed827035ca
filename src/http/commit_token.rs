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
/// browsers as a cookie. Browsers with a login get the cookie for reads too: a later read at
/// another node is then not older.
pub(super) fn add(request: &HttpRequest, room: Room, status: StatusCode, headers: &mut HeaderMap) {
    let may_write = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let is_refused = status.is_client_error() || status.is_server_error();
    // An answer that another node has made names the commit of that node.
    if is_refused || headers.contains_key(&NETBIT_COMMIT) {
        return;
    }
    let Some(newest) = tokens(request).map(CommitTokens::newest) else { return };
    if may_write && let Ok(value) = HeaderValue::from_str(&newest.to_string()) {
        headers.insert(NETBIT_COMMIT, value);
    }
    let is_wanted = match may_write {
        true => room == Room::Pages || cookie::is_sent(request),
        false => room != Room::Git && cookie::is_sent(request) && is_news(request, newest, headers),
    };
    if is_wanted && let Some(value) = set_cookie(cookie::committed(request, newest.to_string())) {
        headers.append(header::SET_COOKIE, value);
    }
}

/// Returns whether the browser does not know the commit, and the answer to its read may name it: no
/// cache keeps the answer, and no other node has named its own commit.
fn is_news(request: &HttpRequest, newest: CommitToken, headers: &HeaderMap) -> bool {
    let known = cookie::commit(request).and_then(|sent| sent.parse::<CommitToken>().ok());
    let is_kept = headers.get(header::CACHE_CONTROL).and_then(|value| value.to_str().ok());
    let is_kept = is_kept.is_some_and(|value| !value.contains("no-store") && !value.contains("no-cache"));
    !is_kept && !known.is_some_and(|known| known.covers(newest)) && !cookie::commits(request, headers)
}

fn set_cookie(cookie: Cookie<'static>) -> Option<HeaderValue> {
    HeaderValue::from_str(&cookie.encoded().to_string()).ok()
}
