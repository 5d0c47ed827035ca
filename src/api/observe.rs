//! Around every request: its id, one log line, security headers, and problems for errors the framework made.

use std::time::Instant;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, web};
use tracing::{error, info, warn};

use super::error::{ApiError, PROBLEM_JSON};
use super::metrics::HttpMetrics;
use crate::core::proxies::TrustedProxies;
use crate::core::telemetry;
use crate::services::Services;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// A client's own request id is taken up to this length.
const REQUEST_ID_BYTES_MAX: usize = 64;

/// A header of ours is worth keeping only if it is short and plain.
fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get(&REQUEST_ID).and_then(|value| value.to_str().ok());
    let plain = |text: &&str| {
        !text.is_empty()
            && text.len() <= REQUEST_ID_BYTES_MAX
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    given.filter(plain).map_or_else(|| uuid::Uuid::now_v7().to_string(), str::to_owned)
}

pub async fn observe<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let begun = Instant::now();
    let metrics = request.app_data::<web::Data<HttpMetrics>>().cloned();
    note_forwarder(&request);
    let _under_way = metrics.as_ref().map(|metrics| metrics.begun());
    let id = request_id(request.headers());
    let (method, route) = (request.method().clone(), request.match_pattern());
    // The path as it was asked for; queries may hold what does not belong into logs.
    let path = request.path().to_owned();
    // Handlers' errors are responses by now; only another middleware could make this fail.
    let answered = telemetry::in_request(id.as_str().into(), next.call(request)).await;
    let response = answered?.map_into_left_body();
    // git clients understand a line of text, and nothing else.
    let for_git = route.as_deref().is_some_and(|route| route.starts_with("/{user}/"));
    let mut response = if for_git { response } else { into_problem(response, &id) };
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, value);
    }
    secure(headers);
    let status = response.status();
    let duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    if let Some(metrics) = metrics {
        metrics.answered(&method, route.as_deref(), status, begun.elapsed());
    }
    let route = route.unwrap_or_default();
    if status.is_server_error() {
        error!(request_id = id, %method, path, route, status = status.as_u16(), duration_ms, "{method} {path} {status}");
    } else {
        info!(request_id = id, %method, path, route, status = status.as_u16(), duration_ms, "{method} {path} {status}");
    }
    Ok(response)
}

/// Names a peer in the log, once, that sends `X-Forwarded-For` and is not trusted: every client behind such a proxy counts
/// as one.
fn note_forwarder(request: &ServiceRequest) {
    if !request.headers().contains_key("x-forwarded-for") {
        return;
    }
    let proxies = request.app_data::<web::Data<TrustedProxies>>();
    let services = request.app_data::<web::Data<Services>>();
    let (Some(proxies), Some(services), Some(peer)) = (proxies, services, request.peer_addr()) else {
        return;
    };
    if !proxies.trusts(peer.ip()) && services.forwarders.saw(peer.ip()) {
        let peer = peer.ip();
        warn!(%peer, "{peer} sends X-Forwarded-For but is not in http.trusted_proxies: all clients behind it count as one");
    }
}

/// Gives an error response its problem body, with the request's id.
fn into_problem<B: MessageBody + 'static>(
    response: ServiceResponse<EitherBody<B>>,
    id: &str,
) -> ServiceResponse<EitherBody<B>> {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let own = response.response().error().and_then(|error| error.as_error::<ApiError>().cloned());
    let ready = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes() == PROBLEM_JSON.as_bytes());
    let error = match own {
        Some(error) => error,
        None if ready => return response,
        None => ApiError::of_status(status),
    };
    let allow = response.headers().get(header::ALLOW).cloned();
    let mut problem = error.respond(id);
    if let Some(allow) = allow {
        problem.headers_mut().insert(header::ALLOW, allow);
    }
    response.into_response(problem).map_into_right_body()
}

/// Nothing of ours is a page, is framed, cached by proxies, or guessed at.
fn secure(headers: &mut HeaderMap) {
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // What a route may say better about its own answers: raw files have a stricter policy, some answers may be kept.
    let unless_said = [
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in unless_said {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
}
