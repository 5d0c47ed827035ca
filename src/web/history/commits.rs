//! `/{user}/{project}/{repo}/-/commits/{ref}/{path}`: the history of a ref, or of a path.

use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;

use super::signer::{Signer, day_of};
use crate::git::browse::{CommitPage, CommitView, Oid};
use crate::http::error::{HttpError, HttpResult};
use crate::http::extract::{Path, Query};
use crate::protocol::code::Code;
use crate::services::Services;
use crate::services::access::RepositoryPath;
use crate::services::browsing::Reading;
use crate::web::code::frame::{At, Found, Frame, RefPathAddress, Tab, at_ref, base_of, in_repository};
use crate::web::code::words::short;
use crate::web::layout::{self, Shell, found_at};
use crate::web::paint::SafeHtml;
use crate::web::shown::Moment;
use crate::web::visitor::Visitor;

/// Commits of a page.
const PAGE_COMMITS: usize = 50;

/// A commit in a list.
#[derive(Debug)]
pub(super) struct CommitRow {
    pub(super) summary: SafeHtml,
    pub(super) href: String,
    /// The files at this commit; for the history of a path, the path at this commit.
    pub(super) files_href: String,
    pub(super) oid: String,
    pub(super) short: String,
    pub(super) author: Signer,
    pub(super) committed: Moment,
}

impl CommitRow {
    pub(super) fn of(commit: &CommitView, base: &str) -> Self {
        let summary = if commit.summary.is_empty() { "(no message)" } else { &commit.summary };
        Self {
            summary: SafeHtml::text(summary),
            href: format!("{base}/-/commit/{}", commit.oid),
            files_href: format!("{base}/-/tree/{}", commit.oid),
            oid: commit.oid.to_string(),
            short: short(commit.oid),
            author: Signer::of(&commit.author),
            committed: Moment::of(commit.committed_at),
        }
    }
}

/// The commits of a day.
#[derive(Debug)]
pub(super) struct Day {
    pub(super) date: String,
    pub(super) commits: Vec<CommitRow>,
}

/// Groups commits by the day of their committer date, in their order.
pub(super) fn by_day(commits: &[CommitView], base: &str) -> Vec<Day> {
    let mut days: Vec<Day> = Vec::new();
    for commit in commits {
        let date = day_of(commit.committed_at);
        let row = CommitRow::of(commit, base);
        match days.last_mut().filter(|day| day.date == date) {
            Some(day) => day.commits.push(row),
            None => days.push(Day { date, commits: vec![row] }),
        }
    }
    days
}

#[derive(Template)]
#[template(path = "history/commits.html")]
struct CommitsPage {
    shell: Shell,
    frame: Frame,
    /// The path whose history the page shows; empty for the whole history.
    path: String,
    days: Vec<Day>,
    is_empty: bool,
    is_truncated: bool,
    newest_href: Option<String>,
    older_href: Option<String>,
    whole_href: String,
}

#[derive(Deserialize)]
pub(super) struct CommitsQuery {
    /// The id of the last commit of the previous page.
    cursor: Option<String>,
}

/// Returns the history of the ref in the address.
pub(super) async fn show(
    visitor: Visitor,
    request: HttpRequest,
    repository: Path<RepositoryPath>,
    at: Path<RefPathAddress>,
    query: Query<CommitsQuery>,
    services: web::Data<Services>,
) -> HttpResult {
    let wrong = || HttpError::bad_request("the cursor is not the id of a commit");
    let cursor = query.0.cursor.map(|cursor| Oid::parse(&cursor).ok_or_else(wrong)).transpose()?;
    let found = at_ref(&visitor, &request, at.0, &services, async |found| {
        history(&visitor, &request, &services, found, cursor).await
    });
    match found.await {
        // The default branch has no commit before the first push.
        Err(error) if error.error.code == Code::NotFound => {
            empty(&visitor, &request, &repository.0, &services, error).await
        }
        answer => answer,
    }
}

async fn history(
    visitor: &Visitor,
    request: &HttpRequest,
    services: &Services,
    found: Found,
    cursor: Option<Oid>,
) -> HttpResult {
    let Found { view, commit, path } = found;
    let at = At { commit: &commit, view: "commits", path: &path };
    let frame = Frame::load(request, services, &view, Tab::Commits, Some(at)).await?;
    let validator = frame.validator(request, visitor, &[&commit]);
    if let Some(answer) = validator.unchanged(request) {
        return Ok(answer);
    }
    let of_path = (!path.is_empty()).then(|| path.clone());
    let Reading { answer: page, is_whole } =
        services.commits(&view, commit.oid, of_path, cursor, PAGE_COMMITS).await?;
    let title = if path.is_empty() { "Commits".to_owned() } else { format!("History of {path}") };
    let shell = frame.shell(request, visitor, &title);
    let is_kept = is_whole && !page.truncated;
    let is_first = cursor.is_none();
    let build = move || CommitsPage::new(shell, frame, path, &page, is_first);
    layout::built(request, (services, &view), is_kept.then_some(&validator), build).await
}

impl CommitsPage {
    fn new(shell: Shell, frame: Frame, path: String, page: &CommitPage, is_first: bool) -> Self {
        let here = frame.href("commits", &path);
        let mut days = by_day(&page.items, &frame.base);
        if !path.is_empty() {
            // `blob` leads to the folder if the path is a folder.
            for row in days.iter_mut().flat_map(|day| &mut day.commits) {
                row.files_href = crate::web::code::frame::href(&frame.base, "blob", &row.oid, &path);
            }
        }
        Self {
            is_empty: page.items.is_empty(),
            is_truncated: page.truncated,
            newest_href: (!is_first).then(|| here.clone()),
            older_href: page.next.map(|next| format!("{here}?cursor={next}")),
            whole_href: frame.href("commits", ""),
            shell,
            frame,
            path,
            days,
        }
    }
}

#[derive(Template)]
#[template(path = "history/empty.html")]
struct EmptyPage {
    shell: Shell,
    frame: Frame,
}

/// Returns the page of a repository without commits; `error` if it has commits.
async fn empty(
    visitor: &Visitor,
    request: &HttpRequest,
    at: &RepositoryPath,
    services: &Services,
    error: HttpError,
) -> HttpResult {
    in_repository(visitor, request, at, services, async |view| {
        if services.default_head(&view).await?.is_some() {
            return Err(error);
        }
        let frame = Frame::load(request, services, &view, Tab::Commits, None).await?;
        let shell = frame.shell(request, visitor, "Commits");
        layout::page(request, &EmptyPage { shell, frame }).await
    })
    .await
}

/// Leads to the history of the default branch.
pub(super) async fn of_default_branch(
    visitor: Visitor,
    request: HttpRequest,
    at: Path<RepositoryPath>,
    services: web::Data<Services>,
) -> HttpResult {
    in_repository(&visitor, &request, &at.0, &services, async |view| {
        let branch = crate::http::address::path_encoded(&view.repository.default_branch);
        Ok(found_at(&format!("{}/-/commits/{branch}", base_of(&view))))
    })
    .await
}
