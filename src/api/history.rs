//! Routes for the history of a repository: commits, comparisons, blame.

use actix_web::{HttpRequest, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::browse::{CommitPath, Found, at_commit};
use super::page;
use super::repo;
use crate::domain::permission::project::Act;
use crate::git::browse::{CommitDiff, CommitView, Comparison, DiffPart, Oid};
use crate::http::address::query_path;
use crate::http::error::{HttpError, HttpResult};
use crate::http::extract::{Anyone, Path, Query, counted};
use crate::http::validator::Validator;
use crate::services::Services;
use crate::services::access::RepositoryPath;
use crate::services::blames::{Blame, BlamePart};
use crate::services::browsing::Reading;

#[derive(Deserialize)]
pub(super) struct CommitsQuery {
    /// Where the history begins; by default at the default branch.
    #[serde(rename = "ref")]
    reference: Option<String>,
    /// Only commits that changed this file or folder.
    path: Option<String>,
    limit: Option<i64>,
    /// The id of the last commit of the previous page.
    cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct CommitsAnswer<'p> {
    items: &'p [CommitView],
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Oid>,
    /// Whether the list ends because the server stopped walking, not because the history ends.
    truncated: bool,
}

/// Lists the history, newest first.
#[utoipa::path(get, operation_id = "list_commits", path = "/api/projects/{user}/{project}/repos/{repo}/commits",
    params(("user" = String, Path), ("project" = String, Path), ("repo" = String, Path), ("ref" = Option<String>, Query), ("path" = Option<String>, Query), ("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = CommitsAnswer), (status = 304), (status = 308), (status = 400), (status = 401), (status = 404)))]
pub(super) async fn commits(
    anyone: Anyone,
    request: HttpRequest,
    at: Path<RepositoryPath>,
    query: Query<CommitsQuery>,
    services: web::Data<Services>,
) -> HttpResult {
    let view = services.repository(anyone.0, &at.0, Act::Read).await?;
    let view = counted(&request, view)?;
    if let Some(answer) = repo::moved(&request, &view) {
        return Ok(answer);
    }
    let CommitsQuery { reference, path, limit, cursor } = query.0;
    let limit = page::limit(limit, &services.limits)?;
    let wrong = || HttpError::bad_request("the cursor is not the id of a commit");
    let after = cursor.map(|cursor| Oid::parse(&cursor).ok_or_else(wrong)).transpose()?;
    let from = match reference {
        Some(reference) => Some(services.resolve(&view, Some(reference)).await?),
        None => services.default_head(&view).await?,
    };
    let Some(from) = from else {
        return page::read(&request, &CommitsAnswer { items: &[], next: None, truncated: false }, None);
    };
    let validator = Validator::new(&request, &[&from]);
    if let Some(answer) = validator.unchanged(&request) {
        return Ok(answer);
    }
    let path = path.filter(|path| !path.is_empty()).map(|path| query_path(&request, "path", path));
    let Reading { answer: found, is_whole } = services.commits(&view, from.oid, path, after, limit).await?;
    let link = found.next.map(|next| page::link(&request, &[("cursor", &next.to_string())], &["cursor"]));
    let answer = CommitsAnswer { items: &found.items, next: found.next, truncated: found.truncated };
    validator.json((&services, view.holder), &answer, found.truncated || !is_whole, link).await
}

#[derive(Deserialize)]
pub(super) struct DiffQuery {
    /// The path of the only file to compare.
    file: Option<String>,
    /// Unchanged lines around each change; 3 by default.
    context: Option<u32>,
    whitespace: Option<Whitespace>,
}

/// Whether lines that differ only in white space are changes.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Whitespace {
    Show,
    Ignore,
}

impl DiffQuery {
    fn part(self, request: &HttpRequest) -> DiffPart {
        let whole = DiffPart::default();
        DiffPart {
            file: self.file.filter(|file| !file.is_empty()).map(|file| query_path(request, "file", file)),
            context_lines: self.context.unwrap_or(whole.context_lines),
            ignore_whitespace: matches!(self.whitespace, Some(Whitespace::Ignore)),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct OneCommitPath {
    user: String,
    project: String,
    repo: String,
    oid: String,
}

/// Returns a commit and its changes against its first parent.
///
/// With `file`, `files` contains only this file, with limits of its own: 100,000 lines and 4 MiB. A
/// file that the commit does not change is not found.
#[utoipa::path(get, operation_id = "get_commit", path = "/api/projects/{user}/{project}/repos/{repo}/commits/{oid}",
    params(("user" = String, Path), ("project" = String, Path), ("repo" = String, Path), ("oid" = String, Path), ("file" = Option<String>, Query, description = "the path of the only file, or its old path if it was renamed"), ("context" = Option<u32>, Query, description = "unchanged lines around each change, at most 1,000; by default 3"), ("whitespace" = Option<String>, Query, description = "`ignore`: lines that differ only in white space are unchanged; `show`: they are changes")),
    responses((status = 200, body = CommitDiff), (status = 304), (status = 308), (status = 400), (status = 401), (status = 404)))]
pub(super) async fn commit(
    anyone: Anyone,
    request: HttpRequest,
    at: Path<OneCommitPath>,
    query: Query<DiffQuery>,
    services: web::Data<Services>,
) -> HttpResult {
    let OneCommitPath { user, project, repo, oid } = at.0;
    let view = services.repository(anyone.0, &RepositoryPath { user, project, repo }, Act::Read).await?;
    let view = counted(&request, view)?;
    if let Some(answer) = repo::moved(&request, &view) {
        return Ok(answer);
    }
    let commit = services.resolve_id(&view, oid).await?;
    let validator = Validator::new(&request, &[&commit]);
    if let Some(answer) = validator.unchanged(&request) {
        return Ok(answer);
    }
    let part = query.0.part(&request);
    let Reading { answer: found, is_whole } = services.commit_part(&view, commit.oid, part).await?;
    let truncated = found.diff.truncated || !is_whole;
    validator.json((&services, view.holder), &found, truncated, None).await
}

#[derive(Deserialize)]
pub(super) struct ComparePath {
    user: String,
    project: String,
    repo: String,
    base: String,
    head: String,
}

/// Returns the changes that `head` adds to `base`.
///
/// They are compared with their merge base, as in a pull request. With `file`, `files` contains
/// only this file, with limits of its own (100,000 lines and 4 MiB), and `commits` is empty. A file
/// that is not in the changes is not found.
#[utoipa::path(get, operation_id = "compare_refs", path = "/api/projects/{user}/{project}/repos/{repo}/compare/{base}...{head}",
    params(("user" = String, Path), ("project" = String, Path), ("repo" = String, Path), ("base" = String, Path), ("head" = String, Path), ("file" = Option<String>, Query, description = "the path of the only file, or its old path if it was renamed"), ("context" = Option<u32>, Query, description = "unchanged lines around each change, at most 1,000; by default 3"), ("whitespace" = Option<String>, Query, description = "`ignore`: lines that differ only in white space are unchanged; `show`: they are changes")),
    responses((status = 200, body = Comparison), (status = 304), (status = 308), (status = 400), (status = 401), (status = 404)))]
pub(super) async fn compare(
    anyone: Anyone,
    request: HttpRequest,
    at: Path<ComparePath>,
    query: Query<DiffQuery>,
    services: web::Data<Services>,
) -> HttpResult {
    let ComparePath { user, project, repo, base, head } = at.0;
    let view = services.repository(anyone.0, &RepositoryPath { user, project, repo }, Act::Read).await?;
    let view = counted(&request, view)?;
    if let Some(answer) = repo::moved(&request, &view) {
        return Ok(answer);
    }
    let base = services.resolve(&view, Some(base)).await?;
    let head = services.resolve(&view, Some(head)).await?;
    let validator = Validator::new(&request, &[&base, &head]);
    if let Some(answer) = validator.unchanged(&request) {
        return Ok(answer);
    }
    let part = query.0.part(&request);
    // The commits are left out on purpose, not cut.
    let is_file = part.file.is_some();
    let Reading { answer: found, is_whole } = services.compare_part(&view, base.oid, head.oid, part).await?;
    let truncated = found.commits_truncated && !is_file || found.diff.truncated || !is_whole;
    validator.json((&services, view.holder), &found, truncated, None).await
}

#[derive(Deserialize)]
pub(super) struct BlameQuery {
    /// The first line, counted from 1.
    from: Option<usize>,
    /// The last line.
    to: Option<usize>,
    /// Skips the commits that `.git-blame-ignore-revs` names.
    #[serde(default)]
    ignore_revs: bool,
}

/// Returns the commits that last changed the lines of a file; at most 1,000 lines at once.
///
/// `ignore_revs=true` skips the commits whose ids are in the file `.git-blame-ignore-revs` at the
/// root of the same commit.
#[utoipa::path(get, operation_id = "get_blame", path = "/api/projects/{user}/{project}/repos/{repo}/blame/{ref}/{path}",
    params(("user" = String, Path), ("project" = String, Path), ("repo" = String, Path), ("ref" = String, Path), ("path" = String, Path), ("from" = Option<usize>, Query), ("to" = Option<usize>, Query), ("ignore_revs" = Option<bool>, Query)),
    responses((status = 200, body = Blame), (status = 304), (status = 308), (status = 400), (status = 401), (status = 404), (status = 413), (status = 503)))]
pub(super) async fn blame(
    anyone: Anyone,
    request: HttpRequest,
    at: Path<CommitPath>,
    query: Query<BlameQuery>,
    services: web::Data<Services>,
) -> HttpResult {
    at_commit(anyone, &request, at.0, &services, async |found| {
        let Found { view, commit, path, validator } = found;
        let BlameQuery { from, to, ignore_revs: ignore_revisions } = query.0;
        let part = BlamePart { from, to, ignore_revisions };
        let blame = services.blame(&view, commit.oid, path, part).await?;
        // Truncated by the number of lines, not for time, so the response does not change.
        validator.json((&services, view.holder), &blame, false, None).await
    })
    .await
}
