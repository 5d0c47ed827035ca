//! The layer around every request: its id, one log line, metrics, security headers, and problem
//! bodies for errors of the framework.
//!
//! It is a single layer, because each layer costs every request.
//!
//! The request id in logs and audit events is always the server's own. The id that a client sends
//! is echoed to that client, and logged as `client_request_id` in addition.

use std::sync::Arc;
use std::time::Instant;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest, web};
use tracing::field::display;
use tracing::{Instrument, debug, debug_span, error, info, warn};

use super::activity::{Activity, UnderWay};
use super::commit_token;
use super::cors::name_origin;
use super::error::{HttpError, PROBLEM_JSON};
use super::error_page::ErrorPage;
use super::extract::peer_of;
use super::head::{Sent, becomes_get};
use super::metrics::HttpMetrics;
use super::origin::check_same_origin;
use super::query_keys::unknown_query_key;
use super::refused::{AsSent, Refused};
use super::request_log::{RequestLog, is_refusal};
use super::room::{Room, accepts_html};
use super::route_names::Route;
use crate::core::proxies::TrustedProxies;
use crate::core::saturate;
use crate::core::shares::Holder;
use crate::core::telemetry::{self, cut};
use crate::protocol::code::Code;
use crate::services::Services;

/// The media type of pages.
const HTML: &str = "text/html";

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Maximum length of a client's own request id.
const REQUEST_ID_BYTES_MAX: usize = 64;

/// Returns the request id of the client, if it is short and has only plain characters.
pub(crate) fn client_request_id(headers: &HeaderMap) -> Option<String> {
    let given = headers.get(&REQUEST_ID).and_then(|value| value.to_str().ok());
    let plain = |text: &&str| {
        !text.is_empty()
            && text.len() <= REQUEST_ID_BYTES_MAX
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    given.filter(plain).map(str::to_owned)
}

pub async fn observe<B: MessageBody + Unpin + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<Sent<EitherBody<B>>>, Error> {
    let begun = Instant::now();
    let under_way = request.request().conn_data::<Arc<Activity>>().map(UnderWay::begin);
    let metrics = request.app_data::<web::Data<HttpMetrics>>().cloned();
    note_forwarder(&request);
    let _under_way = metrics.as_ref().map(|metrics| metrics.begun());
    let id = uuid::Uuid::now_v7().to_string();
    let client_id = client_request_id(request.headers());
    let (method, route) = (request.method().clone(), request.match_pattern().map(Arc::<str>::from));
    request.extensions_mut().insert(Route(route.clone()));
    // Only the path is logged: queries may hold confidential values.
    let path = cut(request.path()).to_string();
    let room = Room::of(request.request(), route.as_ref());
    let log = request.app_data::<web::Data<RequestLog>>().cloned();
    let client = peer_of(request.request()).ok();
    let is_head = becomes_get(&mut request);
    // Errors of handlers are responses at this point; only another middleware could fail here.
    let refused = uri_too_long(&request)
        .or_else(|| unknown_query_key(&request, route.as_deref()))
        .or_else(|| foreign_form(&request, room));
    let refused = match refused {
        None => commit_token::wait(&request).await,
        refused => refused,
    };
    let response = match refused {
        Some(refused) => {
            let mut response = match room {
                Room::Git => request.into_response(refused.respond(&id)),
                // With the error, which becomes the body below.
                Room::Api | Room::Pages => request.error_response(refused),
            };
            name_origin(&mut response);
            response.map_into_right_body()
        }
        None => {
            // At `debug`: the request's own line below has these fields without the span.
            let span =
                debug_span!("request", request_id = id, method = %cut(&method), route = route.as_deref());
            let answered = telemetry::in_request(id.as_str().into(), next.call(request));
            answered.instrument(span).await?.map_into_left_body()
        }
    };
    let shown = client_id.as_deref().unwrap_or(&id);
    let failure = failure_of(&response);
    let mut response = match room {
        // git clients print a line of text, not a document.
        Room::Git => response,
        _ if response.response().extensions().contains::<AsSent>() => response,
        Room::Api | Room::Pages => with_error_body(response, room, shown),
    };
    add_commit(&mut response, room);
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(shown) {
        headers.insert(REQUEST_ID, value);
    }
    let is_problem = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == PROBLEM_JSON);
    secure(headers, if is_problem { Room::Api } else { room });
    // Refusals for git clients have the status 200.
    let refused = response.response().extensions().get::<Refused>().map(|refused| refused.status);
    let sent_status = refused.map(|_| response.status().as_u16());
    let status = refused.unwrap_or_else(|| response.status());
    let duration_ms = saturate::millis(begun.elapsed());
    if let Some(metrics) = metrics {
        metrics.answered(&method, route.as_deref(), status, begun.elapsed());
    }
    let (route, method, status) = (route.as_deref().unwrap_or_default(), cut(&method), status.as_u16());
    let client_request_id = client_id.as_deref();
    let client = client.as_ref().map(display);
    let user_id = user_of(response.request());
    let error = failure.as_deref();
    macro_rules! log_line {
        ($level:ident $(, $more:ident)?) => {
            $level!(
                request_id = id, client_request_id, client, user_id, %method, path, route, status, sent_status, duration_ms, error,
                $($more,)? "{method} {path} {status}"
            )
        };
    }
    match log.map_or(Some(0), |log| log.admit(status)) {
        Some(_) if status >= 500 && !is_refusal(status) => log_line!(error),
        Some(0) => log_line!(info),
        Some(unlogged) => log_line!(info, unlogged),
        None => log_line!(debug),
    }
    Ok(response.map_body(|_, body| Sent::new(body, is_head, under_way)))
}

fn add_commit<B>(response: &mut ServiceResponse<B>, room: Room) {
    let (request, status) = (response.request().clone(), response.status());
    commit_token::add(&request, room, status, response.headers_mut());
}

/// Returns the error that was answered, with its causes; `None` if it has no cause.
fn failure_of<B>(response: &ServiceResponse<B>) -> Option<String> {
    let response = response.response();
    if let Some(error) = response.error().and_then(|error| error.as_error::<HttpError>()) {
        return error.error.causes();
    }
    response.extensions().get::<Refused>()?.causes.clone()
}

/// Returns the user of the request's credentials, if the request proved any.
fn user_of(request: &HttpRequest) -> Option<i64> {
    match request.extensions().get::<Holder>() {
        Some(Holder::Account(user)) => Some(user.0),
        _ => None,
    }
}

/// Returns the refusal of a request whose path and query are longer than `limits.uri_bytes`.
fn uri_too_long(request: &ServiceRequest) -> Option<HttpError> {
    let max = request.app_data::<web::Data<Services>>()?.limits.uri_bytes;
    let bytes = request.uri().path_and_query().map_or(0, |uri| uri.as_str().len());
    let detail = || format!("path and query are longer than {max} bytes");
    (bytes > max).then(|| HttpError::with_status(StatusCode::URI_TOO_LONG, Code::BadRequest, detail()))
}

/// Returns the refusal of a request that changes something through a page, unless a page of this
/// server sent it.
fn foreign_form(request: &ServiceRequest, room: Room) -> Option<HttpError> {
    (room == Room::Pages).then(|| check_same_origin(request.request()).err()).flatten()
}

/// Logs once each peer that sends `X-Forwarded-For` and is not trusted: all clients of such a proxy
/// count as the same client.
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
        warn!(%peer, "{peer} sends X-Forwarded-For but is not in http.trusted_proxies: all its clients count as the same client");
    }
}

/// Headers that the inner layers set on a refused request, kept with the problem body.
const KEPT_IN_PROBLEMS: [HeaderName; 4] =
    [header::ALLOW, header::ACCESS_CONTROL_ALLOW_ORIGIN, header::ACCESS_CONTROL_EXPOSE_HEADERS, header::VARY];

/// Replaces the body of an error response with a document that contains the request id: a page for
/// people, else a problem document.
fn with_error_body<B: MessageBody + 'static>(
    response: ServiceResponse<EitherBody<B>>,
    room: Room,
    id: &str,
) -> ServiceResponse<EitherBody<B>> {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let own = response.response().error().and_then(|error| error.as_error::<HttpError>().cloned());
    // A page may be an error itself, such as a form with its problems.
    let own_kind = if room == Room::Pages { HTML } else { PROBLEM_JSON };
    let ready = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(own_kind.as_bytes()));
    let error = match own {
        Some(error) => error,
        None if ready => return response,
        None => HttpError::of_status(status),
    };
    // A program that asks for a page reads the error as that of any other address.
    let is_shown = room == Room::Pages && accepts_html(response.request());
    let page = response.request().app_data::<web::Data<ErrorPage>>().filter(|_| is_shown);
    let mut problem = match page {
        Some(page) => page.0(response.request(), &error, id),
        None => error.respond(id),
    };
    for name in KEPT_IN_PROBLEMS {
        if let Some(value) = response.headers().get(&name) {
            problem.headers_mut().insert(name, value.clone());
        }
    }
    response.into_response(problem).map_into_right_body()
}

/// The policy of pages: everything comes from this server, no script is inline, and no string
/// becomes a script or HTML.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; \
     media-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; \
     manifest-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'";

/// Sets security headers: responses are not framed, not cached by proxies, and not sniffed.
fn secure(headers: &mut HeaderMap, room: Room) {
    let is_page = room == Room::Pages;
    // With `no-referrer`, browsers send `Origin: null` with forms, and each form would be refused.
    let referrer = if is_page { "same-origin" } else { "no-referrer" };
    let policy = if is_page { PAGE_POLICY } else { "default-src 'none'; frame-ancestors 'none'" };
    if is_page {
        let name = HeaderName::from_static("cross-origin-opener-policy");
        headers.insert(name, HeaderValue::from_static("same-origin"));
    }
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, referrer),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Defaults that a route may override: raw files have a stricter policy, some responses may be
    // cached.
    let defaults = [(header::CONTENT_SECURITY_POLICY, policy), (header::CACHE_CONTROL, "no-store")];
    for (name, value) in defaults {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
}
