//! git over HTTP (gitprotocol-http): clone, fetch and push with the standard git client.
//!
//! Invariants
//! * The route alone decides what a request may do, never its query.
//! * A missing or wrong credential yields 401 with a Basic challenge, so that git asks its user;
//!   never 403.
//! * Bodies stream in both directions; nothing here holds a pack.
//! * Other refusals are messages of the git protocol (`git_refusal.rs`).

use std::io;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpMessage, HttpRequest, HttpResponse, HttpResponseBuilder, web};
use base64::Engine;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt};
use serde::Deserialize;
use tokio::io::AsyncReadExt;
use tokio_util::io::StreamReader;

use super::git_refusal::{Exchange, GitError, answered, mark, problem, service_line};
use crate::core::shares::{Direction, Holder};
use crate::domain::access::{Credential, RequiredScope};
use crate::git::metrics::TransferPermit;
use crate::git::program::{ProtocolVersion, Service};
use crate::git::push_request::{PushRequest, PushRequestError, PushRequestReader};
use crate::git::transfer::Input;
use crate::http::address;
use crate::http::error::HttpError;
use crate::http::extract::{Path, Peer, client_of};
use crate::protocol::code::Code;
use crate::services::access::{RepositoryPath, required};
use crate::services::push_targets::PushTarget;
use crate::services::transfers::{IncomingPush, PushAnswer};
use crate::services::{ServiceError, Services};

pub(super) type GitResult = Result<HttpResponse, GitError>;

/// The parts of a request with a body that the handlers of all services receive.
pub(super) type Call = (HttpRequest, Peer, Path<RepositoryPath>, web::Payload, web::Data<Services>);

#[derive(Deserialize)]
pub(super) struct ServiceQuery {
    service: Option<String>,
}

/// Removes the suffix `.git` of the repository name.
pub(super) fn without_suffix(mut at: RepositoryPath) -> RepositoryPath {
    if let Some(name) = at.repo.strip_suffix(".git") {
        at.repo = name.to_owned();
    }
    at
}

/// Returns the caller of `Authorization: Basic` or `Bearer`, or `None` for an anonymous request.
pub(super) async fn caller(
    request: &HttpRequest,
    services: &Services,
    peer: &Peer,
) -> Result<Option<Credential>, GitError> {
    let who = credential(request, services, peer).await?;
    if let Some(who) = who {
        // Used by the request log.
        request.extensions_mut().insert(Holder::Account(who.user));
    }
    Ok(who)
}

/// Returns the credential of the header, if there is one.
async fn credential(
    request: &HttpRequest,
    services: &Services,
    peer: &Peer,
) -> Result<Option<Credential>, GitError> {
    let Some(value) = request.headers().get(header::AUTHORIZATION) else { return Ok(None) };
    let wrong = ServiceError::unauthenticated;
    let (scheme, credentials) =
        value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or_else(wrong)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(Some(services.bearer(credentials.trim(), RequiredScope::Identity).await?));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(wrong().into());
    }
    let decoded =
        base64::engine::general_purpose::STANDARD.decode(credentials.trim()).map_err(|_| wrong())?;
    let text = String::from_utf8(decoded).map_err(|_| wrong())?;
    let (username, password) = text.split_once(':').ok_or_else(wrong)?;
    Ok(Some(services.basic(peer.0, username, password.to_owned()).await?))
}

fn protocol_of(request: &HttpRequest) -> ProtocolVersion {
    let value = request.headers().get("git-protocol").and_then(|value| value.to_str().ok());
    ProtocolVersion::from_header(value)
}

/// Starts a response of `service`; `kind` is `advertisement` or `result`.
pub(super) fn answer(service: &str, kind: &str) -> HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response
        .content_type(format!("application/x-{service}-{kind}"))
        .insert_header((header::EXPIRES, "Fri, 01 Jan 1980 00:00:00 GMT"))
        .insert_header((header::PRAGMA, "no-cache"))
        .insert_header((header::CACHE_CONTROL, "no-cache, max-age=0, must-revalidate"));
    response
}

/// Returns the refs of a repository: the first request of every clone, fetch and push.
pub(super) async fn info_refs(
    request: HttpRequest,
    peer: Peer,
    path: Path<RepositoryPath>,
    query: web::Query<ServiceQuery>,
    services: web::Data<Services>,
) -> HttpResponse {
    let Some(service) = query.service.as_deref().and_then(Service::from_name) else {
        let why = "only git's smart protocol is served here";
        let refused = problem(StatusCode::FORBIDDEN, Code::Forbidden, why);
        return answered(Exchange::Fetch, Err(refused));
    };
    let refs = advertise(request, peer, path, service, services).await;
    answered(Exchange::Advertisement(service), refs)
}

async fn advertise(
    request: HttpRequest,
    peer: Peer,
    path: Path<RepositoryPath>,
    service: Service,
    services: web::Data<Services>,
) -> GitResult {
    let who = caller(&request, &services, &peer).await?;
    let at = without_suffix(path.0);
    let target = match service {
        Service::ReceivePack => services.push_target(who, &at).await?,
        Service::UploadPack => {
            PushTarget::Existing(Box::new(services.git_repository(who, &at, service).await?))
        }
    };
    let view = target.existing();
    if let Some(view) = view
        && view.moved
    {
        let now = format!("/{}.git/info/refs?service={}", view.path(), service.name());
        return Ok(HttpResponse::MovedPermanently().insert_header((header::LOCATION, now)).finish());
    }
    let client = client_of(&request, who.map(|who| who.user))?;
    let refs = services.advertise(view, service, protocol_of(&request), client).await?;
    let begin = futures_util::stream::iter([Ok(service_line(service).freeze())]);
    Ok(answer(service.name(), "advertisement").streaming(begin.chain(refs)))
}

/// Returns the `Content-Encoding` of the body.
fn encoding_of(request: &HttpRequest) -> &str {
    let value = request.headers().get(header::CONTENT_ENCODING);
    value.and_then(|value| value.to_str().ok()).unwrap_or("")
}

/// Returns the body of a request, inflated if it is compressed.
pub(super) fn body_of(
    request: &HttpRequest,
    payload: web::Payload,
    service: &str,
) -> Result<Input, GitError> {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    let kind = header(header::CONTENT_TYPE);
    if kind != format!("application/x-{service}-request") {
        let detail = "the content type is not that of a git client";
        return Err(problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::BadRequest, detail));
    }
    let reader = StreamReader::new(payload.map_err(io::Error::other));
    match encoding_of(request) {
        "" | "identity" => Ok(Input::plain(reader)),
        "gzip" | "x-gzip" => Ok(Input::gzip(reader)),
        _ => {
            let detail = "the Content-Encoding is not supported: send gzip or none";
            Err(problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::BadRequest, detail))
        }
    }
}

/// Handles a clone or a fetch.
pub(super) async fn upload_pack(call: Call) -> HttpResponse {
    answered(Exchange::Fetch, fetch(call).await)
}

async fn fetch((request, peer, path, payload, services): Call) -> GitResult {
    let who = caller(&request, &services, &peer).await?;
    let view = services.git_repository(who, &without_suffix(path.0), Service::UploadPack).await?;
    let mut input = body_of(&request, payload, Service::UploadPack.name())?;
    let client = client_of(&request, who.map(|who| who.user))?;
    let permit = drained_if_refused(&mut input, services.fetch_permit(client).await).await?;
    // The request is read completely before the response starts: an earlier response would make the
    // client lose its connection.
    let read = with_permit(&permit, &services, services.spool_request(client.holder, &mut input)).await;
    let read = kept(read.and_then(|read| Ok(read?)), permit);
    let (asked, permit) = drained_if_refused(&mut input, read).await?;
    let body = services.fetch(who, &view, protocol_of(&request), asked, permit).await?;
    Ok(answer(Service::UploadPack.name(), "result").streaming(body))
}

/// Returns an outcome. Before a refusal the rest of the request is read: a client that is still
/// sending would lose its connection, and the error message with it.
async fn drained_if_refused<T, E>(input: &mut Input, outcome: Result<T, E>) -> Result<T, E> {
    if outcome.is_err() {
        input.drain().await;
    }
    outcome
}

/// Keeps the permit of a request that was read. The permit of a refused request is released while
/// the rest is read.
fn kept<T, E>(outcome: Result<T, E>, permit: TransferPermit) -> Result<(T, TransferPermit), E> {
    outcome.map(|read| (read, permit))
}

/// Reads the beginning of a request whose client holds a permit, until `limits.git_head_ms` has
/// passed or another holder needs the permit.
async fn with_permit<T>(
    permit: &TransferPermit,
    services: &Services,
    read: impl Future<Output = T>,
) -> Result<T, GitError> {
    let patience = Duration::from_millis(services.limits.git_head_ms);
    let share = permit.share();
    let read = tokio::time::timeout(patience, share.pace().wait(Direction::In, read));
    tokio::select! {
        biased;
        read = read => read.map_err(|_| too_slow()),
        () = share.cut().cancelled() => {
            let detail = "the request arrived too slowly while other clients were waiting; try again";
            Err(ServiceError::later(Code::Overloaded, detail, 1_000).into())
        }
    }
}

pub(super) fn too_slow() -> GitError {
    problem(StatusCode::REQUEST_TIMEOUT, Code::BadRequest, "the request took too long to arrive")
}

/// Handles a push.
pub(super) async fn receive_pack(call: Call) -> HttpResponse {
    answered(Exchange::Push, push(call).await)
}

async fn push((request, peer, path, payload, services): Call) -> GitResult {
    let who = caller(&request, &services, &peer).await?;
    let target = services.push_target(who, &without_suffix(path.0)).await?;
    let who = required(who)?;
    let mut input = body_of(&request, payload, Service::ReceivePack.name())?;
    let permit = services.push_permit(client_of(&request, Some(who.user))?).await;
    let permit = drained_if_refused(&mut input, permit).await?;
    let read = with_permit(&permit, &services, read_head(&mut input, &services)).await;
    let read = kept(read.and_then(|read| read), permit);
    let ((head, rest), permit) = drained_if_refused(&mut input, read).await?;
    if head.is_probe() {
        // The probe of a client that is about to send a chunked body.
        return Ok(answer(Service::ReceivePack.name(), "result").finish());
    }
    let compressed = !matches!(encoding_of(&request), "" | "identity");
    let base_url = address::base_url(&request, &services);
    let incoming = IncomingPush { head, rest, base_url, compressed };
    match services.push(who, target, protocol_of(&request), incoming, input, permit).await? {
        PushAnswer::Streamed(body) => Ok(answer(Service::ReceivePack.name(), "result").streaming(body)),
        PushAnswer::Refused { answer: report, error, mut unread } => {
            unread.drain().await;
            let mut response = answer(Service::ReceivePack.name(), "result").body(report);
            if let Some(error) = error {
                mark(&mut response, error);
            }
            Ok(response)
        }
    }
}

/// Reads the commands and options of a push, and the beginning of what follows.
async fn read_head(input: &mut Input, services: &Services) -> Result<(PushRequest, Bytes), GitError> {
    let limits = &services.limits;
    let mut reader = PushRequestReader::new(limits.git_updates, limits.git_head_bytes);
    let mut buffer = BytesMut::with_capacity(16 * 1024);
    loop {
        buffer.clear();
        let count = input.read_buf(&mut buffer).await;
        let count =
            count.map_err(|error| HttpError::bad_request(format!("the body ended early: {error}")))?;
        if count == 0 {
            return Err(HttpError::bad_request("the push ended early").into());
        }
        if reader.feed(&buffer).map_err(head_error)? {
            return Ok(reader.finish());
        }
    }
}

fn head_error(error: PushRequestError) -> HttpError {
    match error {
        PushRequestError::TooManyRefs(_)
        | PushRequestError::TooManyOptions(_)
        | PushRequestError::TooLarge(_) => ServiceError::new(Code::TooLarge, error.to_string()).into(),
        PushRequestError::Malformed | PushRequestError::Signed => HttpError::bad_request(error.to_string()),
    }
}
