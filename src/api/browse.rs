//! Routes for the contents of a repository: branches, tags, folders, files, archives.
//!
//! `{ref}` is one percent-encoded segment (`feature%2Fx`): a branch, else a tag, a full name under
//! `refs/`, or a full object id. It is never a revision expression. Names are resolved first. A
//! client that already has the response for that commit gets 304 before anything is read.
//!
//! `http/contents.rs` sends raw files and archives, also for pages.

use actix_web::{HttpRequest, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::page;
use super::repo;
use crate::domain::permission::project::Act;
use crate::git::browse::{
    Blob, Branch, FileList, Oid, RefPage, ResolvedRef, Tag, Tree, TreeCursor, TreePart,
};
use crate::git::program::ArchiveFormat;
use crate::http::address::url_path;
use crate::http::contents;
use crate::http::error::HttpResult;
use crate::http::extract::{Anyone, Path, Query, counted};
use crate::http::validator::Validator;
use crate::protocol::code::Code;
use crate::services::access::RepositoryPath;
use crate::services::browsing::Reading;
use crate::services::{RepositoryView, ServiceError, Services};

/// Index of the first path segment in
/// `/api/projects/{user}/{project}/repos/{repo}/tree/{ref}/{path}`.
const PATH_SEGMENT: usize = 9;

/// A repository, with the requested ref and path.
#[derive(Debug, Deserialize)]
pub(super) struct CommitPath {
    user: String,
    project: String,
    repo: String,
    /// `None`: the default branch.
    #[serde(rename = "ref")]
    reference: Option<String>,
    #[serde(default)]
    path: String,
}

/// The resolved request.
pub(super) struct Found {
    pub(super) view: RepositoryView,
    pub(super) commit: ResolvedRef,
    pub(super) path: String,
    pub(super) validator: Validator,
}

/// Resolves the commit. Responds at once if the repository was renamed, or if the client already
/// has the response.
pub(super) async fn at_commit(
    anyone: Anyone,
    request: &HttpRequest,
    at: CommitPath,
    services: &Services,
    answer: impl AsyncFnOnce(Found) -> HttpResult,
) -> HttpResult {
    let CommitPath { user, project, repo, reference, path } = at;
    let view = services.repository(anyone.0, &RepositoryPath { user, project, repo }, Act::Read).await?;
    let view = counted(request, view)?;
    if let Some(answer) = repo::moved(request, &view) {
        return Ok(answer);
    }
    let commit = services.resolve(&view, reference).await?;
    let path = url_path(request, PATH_SEGMENT, path);
    let validator = Validator::new(request, &[&commit]);
    match validator.unchanged(request) {
        Some(answer) => Ok(answer),
        None => answer(Found { view, commit, path, validator }).await,
    }
}

#[derive(Deserialize)]
pub(super) struct ListQuery {
    limit: Option<i64>,
    /// The last name of the previous page.
    cursor: Option<String>,
}

/// Lists the branches, sorted by name.
#[utoipa::path(get, operation_id = "list_branches", path = "/api/projects/{user}/{project}/repos/{repo}/branches",
    params(("user" = String, Path), ("project" = String, Path), ("repo" = String, Path), ("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = page::Items<Branch>), (status = 308), (status = 400), (status = 401), (status = 404)))]
pub(super) async fn branches(
    anyone: Anyone,
    request: HttpRequest,
    at: Path<RepositoryPath>,
    query: Query<ListQuery>,
    services: web::Data<Services>,
) -> HttpResult {
    list_refs(anyone, &request, &at.0, query.0, &services, Services::branches).await
}

/// Lists the tags, sorted by name.
#[utoipa::path(get, operation_id = "list_tags", path = "/api/projects/{user}/{project}/repos/{repo}/tags",
    params(("user" = String, Path), ("project" = String, Path), ("repo" = String, Path), ("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = page::Items<Tag>), (status = 308), (status = 400), (status = 401), (status = 404)))]
pub(super) async fn tags(
    anyone: Anyone,
    request: HttpRequest,
    at: Path<RepositoryPath>,
    query: Query<ListQuery>,
    services: web::Data<Services>,
) -> HttpResult {
    list_refs(anyone, &request, &at.0, query.0, &services, Services::tags).await
}

/// Responds with a page of refs, which `list` reads.
async fn list_refs<T: Serialize>(
    anyone: Anyone,
    request: &HttpRequest,
    at: &RepositoryPath,
    query: ListQuery,
    services: &Services,
    list: impl AsyncFnOnce(&Services, &RepositoryView, Option<String>, usize) -> Result<RefPage<T>, ServiceError>,
) -> HttpResult {
    let view = services.repository(anyone.0, at, Act::Read).await?;
    let view = counted(request, view)?;
    if let Some(answer) = repo::moved(request, &view) {
        return Ok(answer);
    }
    let limit = page::limit(query.limit, &services.limits)?;
    let found = list(services, &view, query.cursor, limit).await?;
    page::items(request, found.items, found.next)
}

#[derive(Deserialize)]
pub(super) struct TreeQuery {
    /// Whether every entry includes the last commit that changed it.
    #[serde(default)]
    last_commit: bool,
    /// Maximum number of entries; absent: as many as one response may hold.
    limit: Option<usize>,
    /// `next` of the previous page.
    cursor: Option<String>,
}

impl TreeQuery {
    fn part(&self) -> Result<TreePart, ServiceError> {
        let bad = |detail: &str| ServiceError::new(Code::BadRequest, detail);
        if self.limit == Some(0) {
            return Err(bad("limit must be at least 1"));
        }
        let cursor = self
            .cursor
            .as_deref()
            .map(|text| TreeCursor::parse(text).ok_or_else(|| bad("cursor is not from this server")));
        Ok(TreePart { limit: self.limit, cursor: cursor.transpose()? })
    }
}

/// Returns a folder.
#[utoipa::path(get, operation_id = "get_tree", path = "/api/projects/{user}/{project}/repos/{repo}/tree/{ref}/{path}",
    params(("user" = String, Path), ("project" = String, Path), ("repo" = String, Path), ("ref" = String, Path), ("path" = String, Path), ("last_commit" = Option<bool>, Query), ("limit" = Option<usize>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Tree), (status = 304), (status = 308), (status = 400), (status = 401), (status = 404)))]
pub(super) async fn tree(
    anyone: Anyone,
    request: HttpRequest,
    at: Path<CommitPath>,
    query: Query<TreeQuery>,
    services: web::Data<Services>,
) -> HttpResult {
    let part = query.0.part()?;
    at_commit(anyone, &request, at.0, &services, async |found| {
        let Found { view, commit, path, validator } = found;
        let Reading { answer: tree, is_whole } =
            services.tree(&view, commit.oid, path, query.0.last_commit, part).await?;
        // The commit determines where the folder is cut. Only the history may reach further at the
        // next request.
        let truncated = tree.history_truncated || !is_whole;
        let link = tree.next.map(|next| page::link(&request, &[("cursor", &next.to_string())], &["cursor"]));
        validator.json((&services, view.holder), &*tree, truncated, link).await
    })
    .await
}

/// Returns the top-level folder.
#[utoipa::path(get, operation_id = "get_tree_of_ref", path = "/api/projects/{user}/{project}/repos/{repo}/tree/{ref}",
    params(("user" = String, Path), ("project" = String, Path), ("repo" = String, Path), ("ref" = String, Path), ("last_commit" = Option<bool>, Query), ("limit" = Option<usize>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Tree), (status = 304), (status = 308), (status = 400), (status = 401), (status = 404)))]
pub(super) async fn tree_of_ref(
    anyone: Anyone,
    request: HttpRequest,
    at: Path<CommitPath>,
    query: Query<TreeQuery>,
    services: web::Data<Services>,
) -> HttpResult {
    tree(anyone, request, at, query, services).await
}

/// Returns the top-level folder of the default branch.
#[utoipa::path(get, operation_id = "get_tree_of_default_branch", path = "/api/projects/{user}/{project}/repos/{repo}/tree",
    params(("user" = String, Path), ("project" = String, Path), ("repo" = String, Path), ("last_commit" = Option<bool>, Query), ("limit" = Option<usize>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Tree), (status = 304), (status = 308), (status = 400), (status = 401), (status = 404)))]
pub(super) async fn tree_of_default_branch(
    anyone: Anyone,
    request: HttpRequest,
    at: Path<CommitPath>,
    query: Query<TreeQuery>,
    services: web::Data<Services>,
) -> HttpResult {
    tree(anyone, request, at, query, services).await
}

/// Returns the paths of all files of a commit, for a search by name.
#[utoipa::path(get, operation_id = "list_files", path = "/api/projects/{user}/{project}/repos/{repo}/files/{ref}",
    params(("user" = String, Path), ("project" = String, Path), ("repo" = String, Path), ("ref" = String, Path)),
    responses((status = 200, body = FileList), (status = 304), (status = 308), (status = 401), (status = 404)))]
pub(super) async fn files(
    anyone: Anyone,
    request: HttpRequest,
    at: Path<CommitPath>,
    services: web::Data<Services>,
) -> HttpResult {
    at_commit(anyone, &request, at.0, &services, async |found| {
        let Found { view, commit, validator, .. } = found;
        let Reading { answer: files, is_whole } = services.files(&view, commit.oid).await?;
        let truncated = files.truncated || !is_whole;
        validator.json((&services, view.holder), &files, truncated, None).await
    })
    .await
}

#[derive(Serialize, ToSchema)]
pub(super) struct BlobAnswer {
    commit_oid: Oid,
    #[serde(flatten)]
    blob: Blob,
}

/// Returns a file, with its text if it is a text file that is not too large.
#[utoipa::path(get, operation_id = "get_file", path = "/api/projects/{user}/{project}/repos/{repo}/blob/{ref}/{path}",
    params(("user" = String, Path), ("project" = String, Path), ("repo" = String, Path), ("ref" = String, Path), ("path" = String, Path)),
    responses((status = 200, body = BlobAnswer), (status = 304), (status = 308), (status = 400), (status = 401), (status = 404)))]
pub(super) async fn blob(
    anyone: Anyone,
    request: HttpRequest,
    at: Path<CommitPath>,
    services: web::Data<Services>,
) -> HttpResult {
    at_commit(anyone, &request, at.0, &services, async |found| {
        let Found { view, commit, path, validator } = found;
        let blob = services.blob(&view, commit.oid, path).await?;
        // Truncated for size, not for time, so the response does not change.
        validator
            .json((&services, view.holder), &BlobAnswer { commit_oid: commit.oid, blob }, false, None)
            .await
    })
    .await
}

/// Returns the bytes of a file: `text/plain` if it is UTF-8, otherwise a download.
#[utoipa::path(get, operation_id = "download_file", path = "/api/projects/{user}/{project}/repos/{repo}/raw/{ref}/{path}",
    params(("user" = String, Path), ("project" = String, Path), ("repo" = String, Path), ("ref" = String, Path), ("path" = String, Path)),
    responses((status = 200, content((String = "text/plain"), (Vec<u8> = "application/octet-stream"))), (status = 304), (status = 308), (status = 400), (status = 401), (status = 404), (status = 413)))]
pub(super) async fn raw(
    anyone: Anyone,
    request: HttpRequest,
    at: Path<CommitPath>,
    services: web::Data<Services>,
) -> HttpResult {
    let who = anyone.0;
    at_commit(anyone, &request, at.0, &services, async |found| {
        let Found { view, commit, path, validator } = found;
        contents::raw((&services, who), &view, (commit.oid, path), &validator).await
    })
    .await
}

/// Streams all files of a commit as a gzip-compressed tar archive.
#[utoipa::path(get, operation_id = "download_archive_tar_gz", path = "/api/projects/{user}/{project}/repos/{repo}/archive/{ref}.tar.gz",
    params(("user" = String, Path), ("project" = String, Path), ("repo" = String, Path), ("ref" = String, Path)),
    responses((status = 200, content_type = "application/gzip", body = Vec<u8>), (status = 304), (status = 308), (status = 401), (status = 404), (status = 413), (status = 503)))]
pub(super) async fn archive_tar_gz(
    anyone: Anyone,
    request: HttpRequest,
    at: Path<CommitPath>,
    services: web::Data<Services>,
) -> HttpResult {
    archive(anyone, request, at.0, &services, ArchiveFormat::TarGz).await
}

/// Streams all files of a commit as a ZIP file.
#[utoipa::path(get, operation_id = "download_archive_zip", path = "/api/projects/{user}/{project}/repos/{repo}/archive/{ref}.zip",
    params(("user" = String, Path), ("project" = String, Path), ("repo" = String, Path), ("ref" = String, Path)),
    responses((status = 200, content_type = "application/zip", body = Vec<u8>), (status = 304), (status = 308), (status = 401), (status = 404), (status = 413), (status = 503)))]
pub(super) async fn archive_zip(
    anyone: Anyone,
    request: HttpRequest,
    at: Path<CommitPath>,
    services: web::Data<Services>,
) -> HttpResult {
    archive(anyone, request, at.0, &services, ArchiveFormat::Zip).await
}

async fn archive(
    anyone: Anyone,
    request: HttpRequest,
    at: CommitPath,
    services: &Services,
    format: ArchiveFormat,
) -> HttpResult {
    let who = anyone.0;
    at_commit(anyone, &request, at, services, async |found| {
        let Found { view, commit, validator, .. } = found;
        contents::archive((services, who), &view, (&commit, format), None, &validator).await
    })
    .await
}
