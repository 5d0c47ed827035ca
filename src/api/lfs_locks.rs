//! Locks of Git LFS over HTTP (its `docs/api/locking.md`). A lock holds on all branches: `ref` and
//! `refspec` are ignored.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};

use super::lfs::{Entered, body_of, enter, invalid};
use crate::core::telemetry;
use crate::domain::ids::LfsLockId;
use crate::domain::lfs::LfsLock;
use crate::domain::permission::project::Act;
use crate::domain::timestamp::Timestamp;
use crate::http::error::HttpError;
use crate::http::extract::{Path, Peer};
use crate::http::lfs_error::{LfsResult, json};
use crate::services::Services;
use crate::services::access::{RepositoryPath, required};
use crate::services::lfs_locks::LockRequest;

#[derive(Serialize)]
struct Owner<'a> {
    name: &'a str,
}

#[derive(Serialize)]
struct LockShape<'a> {
    id: String,
    path: &'a str,
    locked_at: Timestamp,
    owner: Owner<'a>,
}

impl<'a> From<&'a LfsLock> for LockShape<'a> {
    fn from(lock: &'a LfsLock) -> Self {
        let owner = Owner { name: &lock.username };
        Self { id: lock.id.to_string(), path: &lock.path, locked_at: lock.created_at, owner }
    }
}

#[derive(Serialize)]
struct OneLock<'a> {
    lock: LockShape<'a>,
}

/// The answer to a lock of a path that has one.
#[derive(Serialize)]
struct ExistingLock<'a> {
    lock: LockShape<'a>,
    message: String,
    request_id: &'a str,
}

#[derive(Deserialize)]
struct LockBody {
    path: String,
}

/// Locks a path: 201, or 409 with the existing lock.
pub(super) async fn create(
    request: HttpRequest,
    peer: Peer,
    path: Path<RepositoryPath>,
    payload: web::Payload,
    services: web::Data<Services>,
) -> LfsResult {
    let Entered { who, view } = enter(&request, (&services, &peer), path.0, Act::Push).await?;
    let who = required(who)?;
    let body: LockBody = body_of(&request, payload, &services).await?;
    let created = services.create_lfs_lock(who, &view, &body.path).await?;
    if !created.existed {
        return Ok(json(&mut HttpResponse::Created(), &OneLock { lock: (&created.lock).into() }));
    }
    let message = format!("{} is locked by {} already", created.lock.path, created.lock.username);
    let id = telemetry::request_id().unwrap_or_default();
    let answer = ExistingLock { lock: (&created.lock).into(), message, request_id: &id };
    Ok(json(&mut HttpResponse::Conflict(), &answer))
}

/// The keys of a list.
#[derive(Deserialize)]
pub(super) struct ListQuery {
    path: Option<String>,
    id: Option<String>,
    cursor: Option<String>,
    limit: Option<usize>,
}

#[derive(Serialize)]
struct LockList<'a> {
    locks: Vec<LockShape<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Parses an id. No lock has one that is not a number.
fn lock_id(text: &str) -> LfsLockId {
    LfsLockId(text.parse().unwrap_or(0))
}

/// Parses a cursor; an empty one is the first page.
fn cursor_of(text: Option<&str>) -> Result<Option<LfsLockId>, HttpError> {
    let text = text.filter(|text| !text.is_empty());
    let parsed = text.map(|text| text.parse().map(LfsLockId)).transpose();
    parsed.map_err(|_| invalid("the cursor must be the next_cursor of an earlier page"))
}

/// Returns locks of a repository.
pub(super) async fn list(
    request: HttpRequest,
    peer: Peer,
    path: Path<RepositoryPath>,
    query: web::Query<ListQuery>,
    services: web::Data<Services>,
) -> LfsResult {
    let Entered { view, .. } = enter(&request, (&services, &peer), path.0, Act::Read).await?;
    let ListQuery { path, id, cursor, limit } = query.into_inner();
    let id = id.filter(|id| !id.is_empty()).map(|id| lock_id(&id));
    let path = path.filter(|path| !path.is_empty());
    let wanted = LockRequest { path, id, after: cursor_of(cursor.as_deref())?, limit };
    let page = services.lfs_locks(&view, wanted).await?;
    let next_cursor = page.next.map(|id| id.to_string());
    let answer = LockList { locks: page.locks.iter().map(LockShape::from).collect(), next_cursor };
    Ok(json(&mut HttpResponse::Ok(), &answer))
}

#[derive(Deserialize)]
struct VerifyBody {
    #[serde(default)]
    cursor: Option<String>,
    #[serde(default)]
    limit: Option<usize>,
}

#[derive(Serialize)]
struct DividedLocks<'a> {
    ours: Vec<LockShape<'a>>,
    theirs: Vec<LockShape<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Returns the locks of the caller and those of others: the client refuses to push the latter.
pub(super) async fn verify(
    request: HttpRequest,
    peer: Peer,
    path: Path<RepositoryPath>,
    payload: web::Payload,
    services: web::Data<Services>,
) -> LfsResult {
    let Entered { who, view } = enter(&request, (&services, &peer), path.0, Act::Push).await?;
    let who = required(who)?;
    let body: VerifyBody = body_of(&request, payload, &services).await?;
    let limit = body.limit.filter(|limit| *limit > 0);
    let wanted = LockRequest { after: cursor_of(body.cursor.as_deref())?, limit, ..LockRequest::default() };
    let page = services.lfs_locks(&view, wanted).await?;
    let (ours, theirs): (Vec<_>, Vec<_>) = page.locks.iter().partition(|lock| lock.user_id == who.user);
    let answer = DividedLocks {
        ours: ours.into_iter().map(LockShape::from).collect(),
        theirs: theirs.into_iter().map(LockShape::from).collect(),
        next_cursor: page.next.map(|id| id.to_string()),
    };
    Ok(json(&mut HttpResponse::Ok(), &answer))
}

/// The path of a lock.
#[derive(Deserialize)]
pub(super) struct LockPath {
    user: String,
    project: String,
    repo: String,
    id: String,
}

#[derive(Deserialize)]
struct UnlockBody {
    #[serde(default)]
    force: bool,
}

/// Removes a lock. `force` removes that of another user, for maintainers.
pub(super) async fn unlock(
    request: HttpRequest,
    peer: Peer,
    path: Path<LockPath>,
    payload: web::Payload,
    services: web::Data<Services>,
) -> LfsResult {
    let LockPath { user, project, repo, id } = path.0;
    let at = RepositoryPath { user, project, repo };
    let Entered { who, view } = enter(&request, (&services, &peer), at, Act::Push).await?;
    let who = required(who)?;
    let body: UnlockBody = body_of(&request, payload, &services).await?;
    let removed = services.delete_lfs_lock(who, &view, lock_id(&id), body.force).await?;
    Ok(json(&mut HttpResponse::Ok(), &OneLock { lock: (&removed).into() }))
}
