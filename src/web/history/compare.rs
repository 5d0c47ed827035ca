//! `/{user}/{project}/{repo}/-/compare/{base}...{head}`: what a ref adds to another.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;

use super::changes::{Body, Changes, Sides};
use super::commits::{Day, by_day};
use super::part::PartQuery;
use super::ref_names::{in_clone, offered, quoted};

use crate::git::browse::{Comparison, DiffPart, ResolvedRef};
use crate::http::address::path_encoded;
use crate::http::error::HttpResult;
use crate::http::extract::{Path, Query};
use crate::protocol::code::Code;
use crate::services::access::RepositoryPath;
use crate::services::browsing::Reading;
use crate::services::{RepositoryView, ServiceError, Services};
use crate::web::code::frame::{Frame, Tab, in_repository, name_in_address};
use crate::web::layout::{self, Shell, found_at};
use crate::web::visitor::Visitor;

/// Separates the two refs in an address. A ref name cannot contain it.
const SEPARATOR: &str = "...";

/// The form that chooses the two refs.
struct Choice {
    base: String,
    head: String,
    names: Vec<String>,
    base_problem: String,
    head_problem: String,
}

/// The form without a comparison.
#[derive(Template)]
#[template(path = "history/compare_form.html")]
struct ChoicePage {
    shell: Shell,
    frame: Frame,
    choice: Choice,
}

/// A comparison.
#[derive(Template)]
#[template(path = "history/compare.html")]
struct ComparisonPage {
    shell: Shell,
    frame: Frame,
    choice: Choice,
    swapped_href: String,
    ahead: usize,
    behind: usize,
    has_merge_base: bool,
    days: Vec<Day>,
    listed: usize,
    commits_truncated: bool,
    commands: String,
    changes: Changes,
}

#[derive(Deserialize)]
pub(super) struct ChoiceQuery {
    #[serde(default)]
    base: String,
    #[serde(default)]
    head: String,
}

/// Returns the form. With both refs, leads to their comparison.
pub(super) async fn choose(
    visitor: Visitor,
    request: HttpRequest,
    at: Path<RepositoryPath>,
    query: Query<ChoiceQuery>,
    services: web::Data<Services>,
) -> HttpResult {
    in_repository(&visitor, &request, &at.0, &services, async |view| {
        let (base, head) = (query.0.base.trim().to_owned(), query.0.head.trim().to_owned());
        let frame = Frame::load(&request, &services, &view, Tab::Branches, None).await?;
        if !base.is_empty() && !head.is_empty() {
            return Ok(found_at(&href(&frame, &base, &head)));
        }
        let base = if base.is_empty() { view.repository.default_branch.clone() } else { base };
        let choice = Choice::new(&services, &view, base, head).await?;
        choice.page(&request, &visitor, frame, StatusCode::OK).await
    })
    .await
}

fn href(frame: &Frame, base: &str, head: &str) -> String {
    format!("{}/-/compare/{}{SEPARATOR}{}", frame.base, path_encoded(base), path_encoded(head))
}

impl Choice {
    async fn new(
        services: &Services,
        view: &RepositoryView,
        base: String,
        head: String,
    ) -> Result<Self, ServiceError> {
        let names = offered(services, view).await?;
        Ok(Self { base, head, names, base_problem: String::new(), head_problem: String::new() })
    }

    async fn page(
        self,
        request: &HttpRequest,
        visitor: &Visitor,
        frame: Frame,
        status: StatusCode,
    ) -> HttpResult {
        let shell = frame.shell(request, visitor, "Compare");
        layout::page_of(request, status, &ChoicePage { shell, frame, choice: self }).await
    }
}

#[derive(Deserialize)]
pub(super) struct CompareAddress {
    user: String,
    project: String,
    repo: String,
    /// `{base}...{head}`
    rest: String,
}

/// Returns the comparison of the refs in the address. A ref that does not exist leads to the form
/// with the problem.
pub(super) async fn show(
    visitor: Visitor,
    request: HttpRequest,
    at: Path<CompareAddress>,
    query: Query<PartQuery>,
    services: web::Data<Services>,
) -> HttpResult {
    let CompareAddress { user, project, repo, rest } = at.0;
    in_repository(&visitor, &request, &RepositoryPath { user, project, repo }, &services, async |view| {
        let (base, head) = rest.split_once(SEPARATOR).unwrap_or((&rest, ""));
        let frame = Frame::load(&request, &services, &view, Tab::Branches, None).await?;
        let choice = Choice::new(&services, &view, base.to_owned(), head.to_owned());
        let (mut base_problem, mut head_problem) = (String::new(), String::new());
        let base_commit = found(&services, &view, base, &mut base_problem).await?;
        let head_commit = found(&services, &view, head, &mut head_problem).await?;
        let Some((base, head)) = base_commit.zip(head_commit) else {
            let choice = Choice { base_problem, head_problem, ..choice.await? };
            return choice.page(&request, &visitor, frame, StatusCode::NOT_FOUND).await;
        };
        let validator = frame.validator(&request, &visitor, &[&base, &head]);
        if let Some(answer) = validator.unchanged(&request) {
            return Ok(answer);
        }
        let is_split = query.0.is_split();
        let (choice, part) = (choice.await?, query.0.part(&request));
        let Reading { answer, is_whole } =
            services.compare_part(&view, base.oid, head.oid, part.clone()).await?;
        let is_kept = is_whole && !answer.diff.truncated && !answer.commits_truncated;
        let title = format!("{} {SEPARATOR} {}", choice.base, choice.head);
        let shell = frame.shell(&request, &visitor, &title).wide();
        let build =
            move || ComparisonPage::new(shell, frame, choice, (&base, &head), (answer, is_split), &part);
        layout::built(&request, (&services, &view), is_kept.then_some(&validator), build).await
    })
    .await
}

/// Returns the commit of a ref. Without it, writes the problem.
async fn found(
    services: &Services,
    view: &RepositoryView,
    name: &str,
    problem: &mut String,
) -> Result<Option<ResolvedRef>, ServiceError> {
    if name.is_empty() {
        "choose a branch, a tag or a commit".clone_into(problem);
        return Ok(None);
    }
    match services.resolve(view, Some(name.to_owned())).await {
        Ok(commit) => Ok(Some(commit)),
        Err(error) if matches!(error.code, Code::NotFound | Code::BadRequest) => {
            *problem = match error.code {
                Code::NotFound => "no branch, tag or commit has this name".to_owned(),
                _ => error.sentence(),
            };
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

impl ComparisonPage {
    fn new(
        shell: Shell,
        frame: Frame,
        choice: Choice,
        (base, head): (&ResolvedRef, &ResolvedRef),
        (found, is_split): (Comparison, bool),
        part: &DiffPart,
    ) -> Self {
        let (base_name, head_name) = (name_in_address(base), name_in_address(head));
        let sides = Sides {
            base: frame.base.clone(),
            page: href(&frame, base_name, head_name),
            old: found.merge_base,
            new: found.head_oid,
            is_split,
        };
        let range = |dots: &str| quoted(&format!("{}{dots}{}", in_clone(base), in_clone(head)));
        Self {
            swapped_href: href(&frame, head_name, base_name),
            ahead: found.ahead,
            behind: found.behind,
            has_merge_base: found.merge_base.is_some(),
            days: by_day(&found.commits, &frame.base),
            listed: found.commits.len(),
            commits_truncated: found.commits_truncated && part.file.is_none(),
            commands: format!(
                "git fetch origin\ngit log --oneline {}\ngit diff {}",
                range(".."),
                range(SEPARATOR)
            ),
            changes: Changes::new(found.diff, part, &sides),
            shell,
            frame,
            choice,
        }
    }
}
