//! Extractors of the handlers: callers, strict JSON bodies, path ids, query values.

use std::future::{Future, Ready, ready};
use std::net::IpAddr;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::error::QueryPayloadError;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName};
use actix_web::web::{self, Bytes};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;

use super::cookie;
use super::error::HttpError;
use super::origin::check_same_origin;
use super::route_names::{Route, required_scope_of};
use crate::core::proxies::TrustedProxies;
use crate::core::shares::{Client, Holder};
use crate::core::telemetry::cut;
use crate::domain::access::Credential;
use crate::domain::ids::UserId;
use crate::protocol::code::Code;
use crate::services::{FieldProblem, RepositoryView, ServiceError, Services};

/// The holder of the valid token in `Authorization: Bearer` (RFC 6750). A personal access token
/// must meet the need of the route ([`required_scope_of`]).
pub(crate) struct AuthenticatedUser(pub(crate) Credential);

impl FromRequest for AuthenticatedUser {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, HttpError>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let who = caller(&request).await?;
            Ok(Self(who.ok_or_else(ServiceError::unauthenticated)?))
        })
    }
}

/// The holder of a valid token, or an anonymous caller. An invalid token is an error, not an
/// anonymous request.
pub(crate) struct Anyone(pub(crate) Option<Credential>);

impl FromRequest for Anyone {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, HttpError>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { Ok(Self(caller(&request).await?)) })
    }
}

async fn caller(request: &HttpRequest) -> Result<Option<Credential>, HttpError> {
    let services = services(request)?;
    let Some(value) = request.headers().get(header::AUTHORIZATION) else { return own_page(request).await };
    let token = value
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let (_, token) = token.ok_or_else(ServiceError::unauthenticated)?;
    let Route(route) = request.extensions().get::<Route>().cloned().unwrap_or_default();
    let required_scope = required_scope_of(request.method().as_str(), route.as_deref().unwrap_or_default());
    let who = services.bearer(token.trim(), required_scope).await?;
    request.extensions_mut().insert(Holder::Account(who.user));
    Ok(Some(who))
}

/// The caller of a GET that answers with the bytes of a file: [`AuthenticatedUser`], or the holder
/// of the login cookie. The element of a page that shows an image sends no header.
///
/// A page of another origin cannot read the answer, and browsers do not send the cookie with the
/// images of other sites (`SameSite`).
pub(crate) struct Viewer(pub(crate) Credential);

impl FromRequest for Viewer {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, HttpError>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { Ok(Self(viewer(&request).await?)) })
    }
}

/// [`Viewer`], or an anonymous caller. A cookie whose login has ended counts as none, because
/// browsers keep sending it. An invalid `Authorization` is an error.
pub(crate) struct MaybeViewer(pub(crate) Option<Credential>);

impl FromRequest for MaybeViewer {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, HttpError>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { Ok(Self(viewer_if_known(&request).await?)) })
    }
}

/// Returns the caller of a request about a file: [`Viewer`].
pub(crate) async fn viewer(request: &HttpRequest) -> Result<Credential, HttpError> {
    Ok(viewer_if_known(request).await?.ok_or_else(ServiceError::unauthenticated)?)
}

async fn viewer_if_known(request: &HttpRequest) -> Result<Option<Credential>, HttpError> {
    let by_cookie = !request.headers().contains_key(header::AUTHORIZATION);
    let who = if by_cookie { cookie::credential(request).await? } else { caller(request).await? };
    if let Some(who) = who {
        request.extensions_mut().insert(Holder::Account(who.user));
    }
    Ok(who)
}

/// The header with which the script of our pages marks its requests to the API. Forms and scripts
/// of other origins cannot set it without a preflight.
const OWN_PAGE: HeaderName = HeaderName::from_static("x-netbit-web");

/// Returns the holder of the login cookie, for a request of the script of our own pages. Other
/// requests to the API do not use the cookie.
async fn own_page(request: &HttpRequest) -> Result<Option<Credential>, HttpError> {
    if request.headers().get(OWN_PAGE).is_none_or(|value| value != "1") || !cookie::is_sent(request) {
        return Ok(None);
    }
    check_same_origin(request)?;
    let who = cookie::credential(request).await?.ok_or_else(ServiceError::unauthenticated)?;
    request.extensions_mut().insert(Holder::Account(who.user));
    Ok(Some(who))
}

/// Returns the account of the request's token, or the network of a client without a token.
pub(crate) fn holder_of(request: &HttpRequest) -> Result<Holder, HttpError> {
    let known = request.extensions().get::<Holder>().copied();
    known.map_or_else(|| Ok(Holder::network(peer_of(request)?)), Ok)
}

pub(crate) fn services(request: &HttpRequest) -> Result<&web::Data<Services>, HttpError> {
    let services = request.app_data::<web::Data<Services>>();
    services.ok_or_else(|| {
        ServiceError::new(Code::Internal, "the services are not registered with the server").into()
    })
}

/// The client's address: that of the socket's peer, or the address that a trusted proxy forwards
/// (`http.trusted_proxies`).
pub(crate) struct Peer(pub(crate) IpAddr);

impl FromRequest for Peer {
    type Error = HttpError;
    type Future = Ready<Result<Self, HttpError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(peer_of(request).map(Self))
    }
}

/// Returns the address of [`Peer`].
pub fn peer_of(request: &HttpRequest) -> Result<IpAddr, HttpError> {
    let peer = request.peer_addr().ok_or_else(|| HttpError::bad_request("the connection has no address"))?;
    let forwarded: Vec<_> = request
        .headers()
        .get_all("x-forwarded-for")
        .map(|value| value.to_str().unwrap_or_default())
        .collect();
    let proxies = request.app_data::<web::Data<TrustedProxies>>();
    Ok(proxies.map_or(peer.ip(), |proxies| proxies.client(peer.ip(), forwarded.into_iter())))
}

/// Returns the `User-Agent` of the request, or an empty text without a readable one.
pub(crate) fn user_agent_of(request: &HttpRequest) -> &str {
    let agent = request.headers().get(header::USER_AGENT);
    agent.and_then(|agent| agent.to_str().ok()).unwrap_or_default()
}

/// Returns whether this address belongs to a trusted proxy that did not forward the address of its
/// client.
fn is_proxy(request: &HttpRequest, address: IpAddr) -> bool {
    request.app_data::<web::Data<TrustedProxies>>().is_some_and(|proxies| proxies.trusts(address))
}

/// Returns the account or network that the permits of this request count for, and its network.
pub(crate) fn client_of(request: &HttpRequest, user: Option<UserId>) -> Result<Client, HttpError> {
    let address = peer_of(request)?;
    let network = (!is_proxy(request, address)).then_some(address);
    Ok(Client::new(Holder::of(user, address), network))
}

/// Returns the view for the client of this request: reads take permits that count for its account
/// or network.
pub(crate) fn counted(request: &HttpRequest, view: RepositoryView) -> Result<RepositoryView, HttpError> {
    let address = peer_of(request)?;
    Ok(view.from_address(address, is_proxy(request, address)))
}

/// A JSON body: at most `limits.body_bytes`; unknown fields are refused.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, HttpError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let json = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
            let essence =
                json.map(|value| value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
            if essence.as_deref() != Some("application/json") {
                let detail = "send the body as JSON, with Content-Type: application/json";
                return Err(HttpError::with_status(
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    Code::BadRequest,
                    detail,
                ));
            }
            let bytes = read_body(&request, &mut payload).await?;
            object(&bytes).map(Self).map_err(|error| json_error(&error))
        })
    }
}

/// Reads a request body of at most `limits.body_bytes`, within `limits.request_body_ms`.
///
/// # Errors
/// 413 if it is larger, 408 if it is late, 400 if it ends early.
pub(crate) async fn read_body(request: &HttpRequest, payload: &mut Payload) -> Result<Vec<u8>, HttpError> {
    let max = services(request)?.limits.body_bytes;
    read_body_within(request, payload, max).await
}

/// Like [`read_body`], for a body of at most `max` bytes.
pub(crate) async fn read_body_within(
    request: &HttpRequest,
    payload: &mut Payload,
    max: usize,
) -> Result<Vec<u8>, HttpError> {
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let too_large = || ServiceError::new(Code::TooLarge, format!("the body is larger than {max} bytes"));
    if announced.and_then(|value| value.parse::<usize>().ok()).is_some_and(|length| length > max) {
        return Err(too_large().into());
    }
    let patience = std::time::Duration::from_millis(services(request)?.limits.request_body_ms);
    let read = async {
        let mut bytes = Vec::new();
        while let Some(chunk) = payload.next().await {
            let broken = |error| HttpError::bad_request(format!("the body ended early: {error}"));
            let chunk: Bytes = chunk.map_err(broken)?;
            if bytes.len() + chunk.len() > max {
                return Err(too_large().into());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok::<_, HttpError>(bytes)
    };
    let late = |_| {
        let detail = "the body took too long to arrive";
        HttpError::with_status(StatusCode::REQUEST_TIMEOUT, Code::BadRequest, detail)
    };
    tokio::time::timeout(patience, read).await.map_err(late)?
}

/// Parses a JSON object. serde would also accept an array as its fields in order, and an empty
/// array as all defaults.
pub(crate) fn object<T: DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<T> {
    if bytes.trim_ascii_start().starts_with(b"[") {
        serde_json::from_slice::<serde::de::IgnoredAny>(bytes)?;
        return Err(serde::de::Error::invalid_type(serde::de::Unexpected::Seq, &"an object"));
    }
    serde_json::from_slice(bytes)
}

/// Maps invalid syntax to 400, and an invalid shape to 422.
fn json_error(error: &serde_json::Error) -> HttpError {
    match error.classify() {
        serde_json::error::Category::Data => {
            let reason = without_position(error);
            let problem = FieldProblem { field: "body", problem: reason.clone() };
            ServiceError { fields: vec![problem], ..ServiceError::new(Code::Validation, reason) }.into()
        }
        _ => HttpError::bad_request(format!("the body is not JSON: {error}")),
    }
}

/// Returns the reason without the parser's position in the body. The reason names the field or the
/// value; the position would only help in a text with syntax errors.
fn without_position(error: &serde_json::Error) -> String {
    let reason = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    let reason = reason.strip_suffix(&position).unwrap_or(&reason);
    match reason.strip_prefix("unknown variant ") {
        Some(rest) => format!("unknown value {rest}"),
        None => reason.to_owned(),
    }
}

/// Maximum number of pairs of a refused query that are tried as the cause.
const QUERY_PAIRS_TRIED: usize = 16;

/// Values of the query string.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned + 'static> FromRequest for Query<T> {
    type Error = HttpError;
    type Future = Ready<Result<Self, HttpError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let parsed = web::Query::<T>::from_query(request.query_string());
        ready(
            parsed
                .map(|query| Self(query.into_inner()))
                .map_err(|error| HttpError::bad_request(refused_value::<T>(request.query_string(), &error))),
        )
    }
}

/// Names the key whose value is refused: without that key's pairs the query is valid.
fn refused_value<T: DeserializeOwned>(query: &str, error: &QueryPayloadError) -> String {
    let reason = match error {
        QueryPayloadError::Deserialize(reason) => reason.to_string(),
        other => other.to_string(),
    };
    let pairs = || query.split('&');
    let key_of = |pair: &str| pair.split('=').next().unwrap_or_default().to_owned();
    let is_culprit = |key: &String| {
        let rest: Vec<_> = pairs().filter(|pair| key_of(pair) != *key).collect();
        web::Query::<T>::from_query(&rest.join("&")).is_ok()
    };
    match pairs().take(QUERY_PAIRS_TRIED).map(key_of).find(is_culprit) {
        Some(key) => format!("the value of \"{}\" is not valid: {reason}", cut(&key)),
        None => format!("the query is not valid: {reason}"),
    }
}

/// Segments of the path. A segment that cannot be an id yields 404.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + 'static> FromRequest for Path<T> {
    type Error = HttpError;
    type Future = Ready<Result<Self, HttpError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        // Handlers that need credentials take `AuthenticatedUser` first, so anonymous callers get
        // 401 before 404 can reveal what exists.
        let segments = web::Path::<T>::from_request(request, payload).into_inner();
        let missing = |_| HttpError::of_status(StatusCode::NOT_FOUND);
        ready(segments.map(|path| Self(path.into_inner())).map_err(missing))
    }
}
