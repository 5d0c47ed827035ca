//! `/{user}/{project}/{repo}/-/branches`: the branches, sorted by name.

use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;

use super::signer::Moment;
use crate::domain::permission::project::Act;
use crate::git::browse::Branch;
use crate::http::address::{path_encoded, percent_encoded};
use crate::http::error::HttpResult;
use crate::http::extract::{Path, Query};
use crate::services::access::RepositoryPath;
use crate::services::{RepositoryView, Services};
use crate::web::code::frame::{Frame, Tab, href, in_repository};
use crate::web::code::words::short;
use crate::web::layout::{self, Shell};
use crate::web::paint::SafeHtml;
use crate::web::visitor::Visitor;

/// Branches of a page.
const PAGE_BRANCHES: usize = 50;

struct BranchRow {
    name: String,
    href: String,
    is_default: bool,
    /// Whether a rule of the project applies to it.
    is_protected: bool,
    short: String,
    summary: SafeHtml,
    commit_href: String,
    committed: Option<Moment>,
    commits_href: String,
    /// The comparison with the default branch; `None` for the default branch.
    compare_href: Option<String>,
}

#[derive(Template)]
#[template(path = "history/branches.html")]
struct BranchesPage {
    shell: Shell,
    frame: Frame,
    branches: Vec<BranchRow>,
    first_href: Option<String>,
    next_href: Option<String>,
    may_push: bool,
}

/// The query of a list of refs.
#[derive(Deserialize)]
pub(super) struct RefsQuery {
    /// The last name of the previous page.
    pub(super) after: Option<String>,
}

/// Returns a page of branches.
pub(super) async fn show(
    visitor: Visitor,
    request: HttpRequest,
    at: Path<RepositoryPath>,
    query: Query<RefsQuery>,
    services: web::Data<Services>,
) -> HttpResult {
    in_repository(&visitor, &request, &at.0, &services, async |view| {
        let after = query.0.after;
        let is_first = after.is_none();
        let found = services.branches(&view, after, PAGE_BRANCHES).await?;
        let frame = Frame::load(&request, &services, &view, Tab::Branches, None).await?;
        let here = format!("{}/-/branches", frame.base);
        let page = BranchesPage {
            shell: frame.shell(&request, &visitor, "Branches"),
            branches: found.items.iter().map(|branch| BranchRow::of(branch, &view, &frame)).collect(),
            first_href: (!is_first).then(|| here.clone()),
            next_href: found.next.map(|next| format!("{here}?after={}", percent_encoded(&next))),
            may_push: view.may(Act::Push),
            frame,
        };
        layout::page(&request, &page).await
    })
    .await
}

impl BranchRow {
    fn of(branch: &Branch, view: &RepositoryView, frame: &Frame) -> Self {
        let (base, reference) = (&frame.base, path_encoded(&branch.name));
        // On pages without a ref, the frame's ref is the default branch.
        let compare = || format!("{base}/-/compare/{}...{reference}", frame.reference);
        Self {
            name: branch.name.clone(),
            href: href(base, "tree", &reference, ""),
            is_default: branch.default,
            is_protected: view.project.config.rule_for(&branch.name).is_some(),
            short: short(branch.oid),
            summary: SafeHtml::text(branch.summary.as_deref().unwrap_or_default()),
            commit_href: format!("{base}/-/commit/{}", branch.oid),
            committed: branch.committed_at.map(Moment::of),
            commits_href: href(base, "commits", &reference, ""),
            compare_href: (!branch.default).then(compare),
        }
    }
}
