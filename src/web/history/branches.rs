//! `/{user}/{project}/{repo}/-/branches`: the branches, sorted by name.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;

use crate::domain::permission::project::Act;
use crate::git::browse::{Branch, Distance, Oid};
use crate::http::address::{path_encoded, percent_encoded};
use crate::http::error::HttpResult;
use crate::http::extract::{Path, Query};
use crate::services::access::RepositoryPath;
use crate::services::branch_deletions::check_branch_deletion;
use crate::services::{RepositoryView, Services};
use crate::web::code::frame::{Frame, Tab, href, in_repository};
use crate::web::code::words::short;
use crate::web::layout::{self, Shell};
use crate::web::paint::SafeHtml;
use crate::web::shown::Moment;
use crate::web::visitor::Visitor;

/// Branches of a page.
const PAGE_BRANCHES: usize = 50;
/// Branches of a page whose distance from the default branch is counted.
const COUNTED_MAX: usize = 20;
/// How long the page waits for the distances. A choice: as long as a reader waits without noticing.
const COUNT_TIME_MAX: Duration = Duration::from_millis(300);

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
    /// How far the branch is from the default branch, in words; empty if it was not counted.
    distance: String,
    /// The page on which the branch is deleted; `None` if the visitor may not delete it.
    delete_href: Option<String>,
}

#[derive(Template)]
#[template(path = "history/branches.html")]
struct BranchesPage {
    shell: Shell,
    frame: Frame,
    branches: Vec<BranchRow>,
    first_href: Option<String>,
    next_href: Option<String>,
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
        let base = services.default_head(&view).await?;
        // The refs and rules determine the page, so an unchanged one costs no walk.
        let shown = (&found, &view.project.config.protected_branches, view.role);
        let commits: Vec<_> = base.iter().collect();
        let validator = frame.validator_with(&request, &visitor, &commits, &format!("{shown:?}"));
        if let Some(answer) = validator.unchanged(&request) {
            return Ok(answer);
        }
        let distances = match &base {
            Some(base) => distances(&services, &view, base.oid, &found.items).await,
            None => BTreeMap::new(),
        };
        let is_whole = counted(&found.items).all(|branch| distances.contains_key(&branch.oid));
        let page = BranchesPage {
            shell: frame.shell(&request, &visitor, "Branches"),
            branches: found
                .items
                .iter()
                .map(|branch| BranchRow::of(branch, &view, &frame, distances.get(&branch.oid)))
                .collect(),
            first_href: (!is_first).then(|| here.clone()),
            next_href: found.next.map(|next| format!("{here}?after={}", percent_encoded(&next))),
            frame,
        };
        let kept = Some(&validator).filter(|_| is_whole);
        layout::built(&request, (&services, &view), kept, move || page).await
    })
    .await
}

/// Returns the branches whose distance is counted.
fn counted(branches: &[Branch]) -> impl Iterator<Item = &Branch> {
    branches.iter().filter(|branch| !branch.default).take(COUNTED_MAX)
}

/// Returns how far the first branches are from the default branch. Leaves out those that cannot be
/// counted in time: the page does not depend on them.
async fn distances(
    services: &Services,
    view: &RepositoryView,
    base: Oid,
    branches: &[Branch],
) -> BTreeMap<Oid, Distance> {
    // The work ends by itself before this time: the wait may end in the queue.
    let counted = services.distances(view, base, counted(branches).map(|branch| branch.oid).collect());
    match tokio::time::timeout(COUNT_TIME_MAX, counted).await {
        Ok(Ok(distances)) => distances,
        Ok(Err(error)) => {
            error.log_causes();
            BTreeMap::new()
        }
        Err(_) => BTreeMap::new(),
    }
}

/// Returns a distance in words: `2 ahead, 1 behind`.
fn in_words(distance: &Distance) -> String {
    match (distance.ahead, distance.behind) {
        (0, 0) => "no difference".to_owned(),
        (ahead, 0) => format!("{ahead} ahead"),
        (0, behind) => format!("{behind} behind"),
        (ahead, behind) => format!("{ahead} ahead, {behind} behind"),
    }
}

impl BranchRow {
    fn of(branch: &Branch, view: &RepositoryView, frame: &Frame, distance: Option<&Distance>) -> Self {
        let (base, reference) = (&frame.base, path_encoded(&branch.name));
        // On pages without a ref, the frame's ref is the default branch.
        let may_delete = view.may(Act::Push) && check_branch_deletion(view, &branch.name, branch.oid).is_ok();
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
            distance: distance.filter(|_| !branch.default).map(in_words).unwrap_or_default(),
            delete_href: may_delete.then(|| href(base, "branches", "delete", &branch.name)),
        }
    }
}
