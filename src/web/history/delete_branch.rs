//! `/{user}/{project}/{repo}/-/branches/delete/{branch}`: deletes a branch, after a question.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;

use super::ref_names::quoted;
use crate::domain::access::Credential;
use crate::domain::permission::project::Act;
use crate::git::browse::Oid;
use crate::http::address::{self, base_url, path_encoded};
use crate::http::error::{HttpError, HttpResult};
use crate::http::extract::{Path, counted};
use crate::services::access::RepositoryPath;
use crate::services::branch_deletions::check_branch_deletion;
use crate::services::{RepositoryView, ServiceError, Services};
use crate::web::code::frame::{Frame, Tab, base_of, href};
use crate::web::code::words::short;
use crate::web::form::{Form, Problems};
use crate::web::layout::{self, Shell};
use crate::web::paint::SafeHtml;
use crate::web::visitor::Visitor;

/// Number of the first segments, which name the repository.
const NAME_SEGMENTS: usize = 3;

/// The question, and the page after the deletion.
#[derive(Template)]
#[template(path = "history/delete_branch.html")]
struct DeletePage {
    shell: Shell,
    frame: Frame,
    problems: Problems,
    branch: String,
    action: String,
    oid: String,
    short: String,
    summary: SafeHtml,
    commit_href: String,
    /// The comparison with the default branch.
    compare_href: String,
    /// The command that restores the branch.
    restore: String,
    is_deleted: bool,
}

/// The path of the page.
#[derive(Deserialize)]
pub(super) struct BranchAddress {
    user: String,
    project: String,
    repo: String,
    branch: String,
}

impl BranchAddress {
    fn split(self) -> (RepositoryPath, String) {
        let Self { user, project, repo, branch } = self;
        (RepositoryPath { user, project, repo }, branch)
    }
}

/// Returns the repository for a user who may push to it.
async fn writable(
    visitor: &Visitor,
    request: &HttpRequest,
    at: &RepositoryPath,
    services: &Services,
) -> Result<(Credential, RepositoryView), HttpError> {
    let who = visitor.required()?;
    let view = services.repository(Some(who), at, Act::Push).await?;
    Ok((who, counted(request, view)?))
}

/// Returns the question.
pub(super) async fn show(
    visitor: Visitor,
    request: HttpRequest,
    at: Path<BranchAddress>,
    services: web::Data<Services>,
) -> HttpResult {
    let (at, branch) = at.0.split();
    let (_, view) = writable(&visitor, &request, &at, &services).await?;
    if view.moved {
        return Ok(address::moved(&request, NAME_SEGMENTS, &base_of(&view)));
    }
    let oid = services.branch_target(&view, branch.clone()).await?;
    check_branch_deletion(&view, &branch, oid).map_err(ServiceError::from)?;
    let page = DeletePage::load((&visitor, &request, &services), &view, branch, oid).await?;
    layout::page(&request, &page).await
}

#[derive(Deserialize)]
pub(super) struct DeleteForm {
    /// The object that the branch pointed to when the question was shown.
    oid: String,
}

/// Deletes the branch. The answer is the page itself: it shows the command that restores the
/// branch, which no address can contain.
pub(super) async fn submit(
    visitor: Visitor,
    request: HttpRequest,
    at: Path<BranchAddress>,
    form: Form<DeleteForm>,
    services: web::Data<Services>,
) -> HttpResult {
    let (at, branch) = at.0.split();
    let (who, view) = writable(&visitor, &request, &at, &services).await?;
    let oid = Oid::parse(&form.0.oid).ok_or_else(|| HttpError::bad_request("the form has no object id"))?;
    let base_url = base_url(&request, &services);
    let page = DeletePage::load((&visitor, &request, &services), &view, branch.clone(), oid).await?;
    match services.delete_branch(who, view.clone(), (&branch, oid), base_url).await {
        Ok(()) => {
            let page = DeletePage { is_deleted: true, ..page };
            layout::page_of(&request, StatusCode::OK, &page).await
        }
        Err(error) => {
            let problems = Problems::of(error)?;
            let status = problems.status();
            // The form then has the object that the branch points to now.
            let page = match services.branch_target(&view, branch.clone()).await {
                Ok(now) if now != oid => {
                    DeletePage::load((&visitor, &request, &services), &view, branch, now).await?
                }
                _ => page,
            };
            layout::page_of(&request, status, &DeletePage { problems, ..page }).await
        }
    }
}

impl DeletePage {
    async fn load(
        (visitor, request, services): (&Visitor, &HttpRequest, &Services),
        view: &RepositoryView,
        branch: String,
        oid: Oid,
    ) -> Result<Self, ServiceError> {
        let frame = Frame::load(request, services, view, Tab::Branches, None).await?;
        // A branch whose commit cannot be read can be deleted too.
        let newest = services.commits(view, oid, None, None, 1).await.ok();
        let newest = newest.and_then(|found| found.answer.items.first().map(|commit| commit.summary.clone()));
        let reference = path_encoded(&branch);
        let base = &frame.base;
        Ok(Self {
            shell: frame.shell(request, visitor, &format!("Delete {branch}")),
            problems: Problems::default(),
            action: href(base, "branches", "delete", &branch),
            oid: oid.to_string(),
            short: short(oid),
            summary: SafeHtml::text(newest.as_deref().unwrap_or_default()),
            commit_href: format!("{base}/-/commit/{oid}"),
            compare_href: format!("{base}/-/compare/{}...{reference}", frame.reference),
            restore: format!("git push origin {}", quoted(&format!("{oid}:refs/heads/{branch}"))),
            is_deleted: false,
            branch,
            frame,
        })
    }
}
