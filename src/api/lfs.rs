//! Git LFS over HTTP (its `docs/api`): batches, and the bytes of objects with the transfer `basic`.
//!
//! Invariants
//! * The access is that of git: who may fetch downloads, who may push uploads. A repository that
//!   the caller may not read is answered like one that does not exist.
//! * An address in the answer to a batch works with the link beside it, for this repository and
//!   operation only ([`LfsLink`]).
//! * Errors have the form of Git LFS, with the media type that its client reads.

use std::io;

use actix_web::body::SizedStream;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use futures_util::TryStreamExt;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::git::{caller as git_caller, without_suffix};
use crate::actors::cache::RepositoryView;
use crate::core::shares::Holder;
use crate::domain::access::Credential;
use crate::domain::file::BlobHash;
use crate::domain::permission::project::Act;
use crate::domain::refusal::Refusal;
use crate::http::contents::{SANDBOX, disposition};
use crate::http::error::HttpError;
use crate::http::extract::{Path, Peer, client_of, counted, object, read_body_within};
use crate::http::lfs_error::{LFS_JSON, LfsResult, json};
use crate::http::ranges;
use crate::http::{address, address::path_encoded};
use crate::protocol::code::Code;
use crate::services::access::{RepositoryPath, required};
use crate::services::lfs::{BatchedObject, LFS_LINK_PREFIX, LfsLink, LfsOperation, ObjectUpload};
use crate::services::{ServiceError, Services};

/// The only transfer of this server.
const BASIC: &str = "basic";
const SHA256: &str = "sha256";

/// The path of an object.
#[derive(Deserialize)]
pub(super) struct ObjectPath {
    user: String,
    project: String,
    repo: String,
    oid: String,
}

impl ObjectPath {
    fn split(self) -> (RepositoryPath, String) {
        let Self { user, project, repo, oid } = self;
        (RepositoryPath { user, project, repo }, oid)
    }
}

/// A repository, and the caller who may use it.
pub(super) struct Entered {
    pub(super) who: Option<Credential>,
    pub(super) view: RepositoryView,
}

/// Finds the repository, if the caller may `act` on it.
pub(super) async fn enter(
    request: &HttpRequest,
    (services, peer): (&Services, &Peer),
    at: RepositoryPath,
    act: Act,
) -> Result<Entered, HttpError> {
    let who = git_caller(request, services, peer).await.map_err(|error| error.error)?;
    enter_as(request, services, who, without_suffix(at), act).await
}

async fn enter_as(
    request: &HttpRequest,
    services: &Services,
    who: Option<Credential>,
    at: RepositoryPath,
    act: Act,
) -> Result<Entered, HttpError> {
    let view = services.repository(who, &at, act).await?;
    Ok(Entered { who, view: counted(request, view)? })
}

/// Like [`enter`], for a request about one object: also with the link of a batch.
async fn enter_for_object(
    request: &HttpRequest,
    (services, peer): (&Services, &Peer),
    at: RepositoryPath,
    act: Act,
) -> Result<Entered, HttpError> {
    let value = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = value.and_then(|value| value.strip_prefix("Bearer "));
    let Some(text) = bearer.filter(|text| text.starts_with(LFS_LINK_PREFIX)) else {
        return enter(request, (services, peer), at, act).await;
    };
    let link = services.open_lfs_link(text)?;
    if link.act != act {
        return Err(ServiceError::unauthenticated().into());
    }
    let at = without_suffix(at);
    // Before the access that `act` needs: a link must not reveal what its user may do elsewhere.
    let read = services.repository(Some(link.who), &at, Act::Read).await;
    match &read {
        Ok(view) if view.repository.id == link.repository => {}
        Err(error) if error.code != Code::Forbidden => {}
        Ok(_) | Err(_) => return Err(ServiceError::from(Refusal::NotFound("repository")).into()),
    }
    let view = match act {
        Act::Read => read?,
        _ => {
            read?;
            services.repository(Some(link.who), &at, act).await?
        }
    };
    if view.repository.id != link.repository {
        return Err(ServiceError::from(Refusal::NotFound("repository")).into());
    }
    // Used by the request log.
    request.extensions_mut().insert(Holder::Account(link.who.user));
    Ok(Entered { who: Some(link.who), view: counted(request, view)? })
}

/// Reads a JSON body of Git LFS.
pub(super) async fn body_of<T: DeserializeOwned>(
    request: &HttpRequest,
    payload: web::Payload,
    services: &Services,
) -> Result<T, HttpError> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = kind.map(|kind| kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    if !matches!(essence.as_deref(), Some(LFS_JSON | "application/json")) {
        let detail = "send the body as JSON, with Content-Type: application/vnd.git-lfs+json";
        return Err(HttpError::with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::BadRequest, detail));
    }
    let bytes = read_body_within(request, &mut payload.into_inner(), services.limits.lfs_body_bytes).await?;
    object(&bytes).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => {
            ServiceError::new(Code::Validation, format!("the body is not valid: {error}")).into()
        }
        _ => HttpError::bad_request(format!("the body is not JSON: {error}")),
    })
}

/// A batch. Other fields, such as `ref`, are ignored: access does not depend on the branch.
#[derive(Deserialize)]
struct BatchBody {
    operation: String,
    #[serde(default)]
    transfers: Vec<String>,
    #[serde(default)]
    hash_algo: Option<String>,
    objects: Vec<ObjectBody>,
}

#[derive(Deserialize)]
struct ObjectBody {
    oid: String,
    #[serde(default)]
    size: i64,
}

#[derive(Serialize)]
struct BatchAnswer<'a> {
    transfer: &'static str,
    objects: Vec<ObjectAnswer<'a>>,
    hash_algo: &'static str,
}

#[derive(Serialize)]
struct ObjectAnswer<'a> {
    oid: &'a str,
    size: i64,
    /// The actions have credentials of their own, or need none.
    #[serde(skip_serializing_if = "Option::is_none")]
    authenticated: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actions: Option<Actions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ObjectError>,
}

#[derive(Serialize)]
struct Actions {
    #[serde(skip_serializing_if = "Option::is_none")]
    upload: Option<Action>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verify: Option<Action>,
    #[serde(skip_serializing_if = "Option::is_none")]
    download: Option<Action>,
}

#[derive(Serialize)]
struct Action {
    href: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<ActionHeader>,
    expires_in: i64,
}

#[derive(Serialize, Clone)]
struct ActionHeader {
    #[serde(rename = "Authorization")]
    authorization: String,
}

#[derive(Serialize)]
struct ObjectError {
    code: u16,
    message: String,
}

/// Answers for each object of a batch how its client transfers it.
pub(super) async fn batch(
    request: HttpRequest,
    peer: Peer,
    path: Path<RepositoryPath>,
    payload: web::Payload,
    services: web::Data<Services>,
) -> LfsResult {
    // Before the body is read: a stranger must not make the server read it.
    let at = without_suffix(path.0);
    let who = git_caller(&request, &services, &peer).await.map_err(|error| error.error)?;
    let mut entered = enter_as(&request, &services, who, at.clone(), Act::Read).await?;
    let body: BatchBody = body_of(&request, payload, &services).await?;
    let operation = match body.operation.as_str() {
        "download" => LfsOperation::Download,
        "upload" => LfsOperation::Upload,
        _ => return Err(invalid("the operation must be upload or download").into()),
    };
    if !body.transfers.is_empty() && !body.transfers.iter().any(|transfer| transfer == BASIC) {
        return Err(invalid("this server has the transfer basic only").into());
    }
    if body.hash_algo.as_deref().is_some_and(|algorithm| algorithm != SHA256) {
        return Err(ServiceError::new(Code::Conflict, "this server has the hash_algo sha256 only").into());
    }
    if operation == LfsOperation::Upload {
        entered = enter_as(&request, &services, who, at, Act::Push).await?;
    }
    let view = entered.view;
    let objects: Vec<_> = body.objects.into_iter().map(|object| (object.oid, object.size)).collect();
    let answers = services.lfs_batch(&view, operation, &objects).await?;
    let act = operation.act();
    let link = who.and_then(|who| services.lfs_link(LfsLink { who, repository: view.repository.id, act }));
    let header = link.map(|link| ActionHeader { authorization: format!("Bearer {link}") });
    let base = format!(
        "{}/{}.git/info/lfs/objects",
        address::base_url(&request, &services),
        path_encoded(&view.path())
    );
    let expires_in = services.limits.lfs_link_seconds;
    let action = |href: String| Some(Action { href, header: header.clone(), expires_in });
    let shown = objects.iter().zip(answers).map(|((oid, size), answer)| {
        let (actions, error) = match (answer, operation) {
            (BatchedObject::Present, _) => (None, None),
            (BatchedObject::Refused { status, why }, _) => {
                (None, Some(ObjectError { code: status, message: why }))
            }
            (BatchedObject::Transfer(hash), LfsOperation::Download) => {
                let download = action(format!("{base}/{hash}"));
                (Some(Actions { upload: None, verify: None, download }), None)
            }
            (BatchedObject::Transfer(hash), LfsOperation::Upload) => {
                let (upload, verify) =
                    (action(format!("{base}/{hash}?size={size}")), action(format!("{base}/verify")));
                (Some(Actions { upload, verify, download: None }), None)
            }
        };
        let authenticated = actions.as_ref().map(|_| true);
        ObjectAnswer { oid, size: *size, authenticated, actions, error }
    });
    let answer = BatchAnswer { transfer: BASIC, objects: shown.collect(), hash_algo: SHA256 };
    Ok(json(&mut HttpResponse::Ok(), &answer))
}

pub(super) fn invalid(why: &str) -> HttpError {
    ServiceError::new(Code::Validation, why).into()
}

fn hash_of(oid: &str) -> Result<BlobHash, HttpError> {
    BlobHash::parse(oid).ok_or_else(|| invalid("the oid must be 64 hexadecimal digits in lower case"))
}

/// Values of the address of an upload.
#[derive(Deserialize)]
pub(super) struct UploadQuery {
    size: Option<u64>,
}

/// Receives an object.
pub(super) async fn upload(
    request: HttpRequest,
    peer: Peer,
    path: Path<ObjectPath>,
    query: web::Query<UploadQuery>,
    payload: web::Payload,
    services: web::Data<Services>,
) -> LfsResult {
    let ((at, oid), announced) = (path.0.split(), query.size);
    let Entered { who, view } = enter_for_object(&request, (&services, &peer), at, Act::Push).await?;
    let (who, oid) = (required(who)?, hash_of(&oid)?);
    if request.headers().contains_key(header::CONTENT_ENCODING) {
        let detail = "send the object without a Content-Encoding";
        let kind = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(HttpError::with_status(kind, Code::BadRequest, detail).into());
    }
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let length = length.and_then(|length| length.parse::<u64>().ok());
    if let (Some(length), Some(size)) = (length, announced)
        && length != size
    {
        let why = format!("the body has {length} bytes, and the object was announced with {size}");
        return Err(invalid(&why).into());
    }
    let Some(size) = announced.or(length) else {
        let detail = "send the object with Content-Length, or to the address that the batch answered";
        return Err(HttpError::with_status(StatusCode::LENGTH_REQUIRED, Code::BadRequest, detail).into());
    };
    let client = client_of(&request, Some(who.user))?;
    let object = ObjectUpload { oid, size };
    let body = payload.map_err(io::Error::other);
    services.upload_lfs_object(who, client, (&view, object), body).await?;
    Ok(HttpResponse::Ok().finish())
}

/// Sends an object, or a range of it.
pub(super) async fn download(
    request: HttpRequest,
    peer: Peer,
    path: Path<ObjectPath>,
    services: web::Data<Services>,
) -> LfsResult {
    let (at, oid) = path.0.split();
    let Entered { who, view } = enter_for_object(&request, (&services, &peer), at, Act::Read).await?;
    let oid = hash_of(&oid)?;
    let object = services.lfs_object(&view, oid).await?;
    let (tag, size) = (format!("\"{oid}\""), object.bytes());
    let mut response = HttpResponse::Ok();
    response
        .content_type("application/octet-stream")
        .insert_header((header::CONTENT_DISPOSITION, disposition(false, &oid.to_string())))
        .insert_header((header::CONTENT_SECURITY_POLICY, SANDBOX))
        // Asked for again each time: access may be lost.
        .insert_header((header::CACHE_CONTROL, "private, no-cache"))
        .insert_header((header::VARY, "authorization"));
    let Some((from, bytes)) = ranges::begin(&request, &mut response, &tag, size)? else {
        return Ok(response.finish());
    };
    let open = services.open_lfs_object(who, &view, &object).await?;
    Ok(response.body(SizedStream::new(bytes, Box::pin(open.pieces(from, bytes)))))
}

/// Checks that the repository has an object, after its upload.
pub(super) async fn verify(
    request: HttpRequest,
    peer: Peer,
    path: Path<RepositoryPath>,
    payload: web::Payload,
    services: web::Data<Services>,
) -> LfsResult {
    let Entered { view, .. } = enter_for_object(&request, (&services, &peer), path.0, Act::Push).await?;
    let body: ObjectBody = body_of(&request, payload, &services).await?;
    let size = u64::try_from(body.size).map_err(|_| invalid("the size must not be negative"))?;
    services.verify_lfs_object(&view, hash_of(&body.oid)?, size).await?;
    Ok(json(&mut HttpResponse::Ok(), &serde_json::json!({})))
}
