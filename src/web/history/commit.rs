//! `/{user}/{project}/{repo}/-/commit/{oid}`: a commit and its changes.

use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;

use super::changes::{Body, Changes, Sides};
use super::message_links::linked;
use super::part::{self, PartQuery};
use super::signer::Signer;
use crate::git::browse::{CommitDiff, CommitView, DiffPart, Oid};
use crate::http::error::HttpResult;
use crate::http::extract::{Path, Query};
use crate::services::Services;
use crate::services::access::RepositoryPath;
use crate::services::browsing::Reading;
use crate::web::code::frame::{Frame, Tab, in_repository};
use crate::web::code::missing;
use crate::web::code::words::short;
use crate::web::layout::{self, Shell, found_at};
use crate::web::paint::commit_text::CommitText;
use crate::web::shown::Moment;
use crate::web::visitor::Visitor;

/// A parent of a commit.
struct Parent {
    href: String,
    short: String,
}

#[derive(Template)]
#[template(path = "history/commit.html")]
struct CommitShown {
    shell: Shell,
    frame: Frame,
    text: CommitText,
    is_message_cut: bool,
    oid: String,
    short: String,
    author: Signer,
    authored: Moment,
    /// The committer, if it is not the author.
    committer: Option<Signer>,
    committed: Moment,
    parents: Vec<Parent>,
    tree_href: String,
    changes: Changes,
}

#[derive(Deserialize)]
pub(super) struct CommitAddress {
    user: String,
    project: String,
    repo: String,
    oid: String,
}

/// Returns the page of a commit. A short id leads to the page of the full id.
pub(super) async fn show(
    visitor: Visitor,
    request: HttpRequest,
    at: Path<CommitAddress>,
    query: Query<PartQuery>,
    services: web::Data<Services>,
) -> HttpResult {
    let CommitAddress { user, project, repo, oid } = at.0;
    let at = RepositoryPath { user, project, repo };
    in_repository(&visitor, &request, &at, &services, async |view| {
        let commit = match services.resolve_id(&view, oid.clone()).await {
            Ok(commit) => commit,
            Err(error) => {
                return missing::of_ref((&visitor, &request, &**services), &view, &oid, error).await;
            }
        };
        let frame = Frame::load(&request, &services, &view, Tab::Commits, None).await?;
        let page = format!("{}/-/commit/{}", frame.base, commit.oid);
        let is_split = query.0.is_split();
        let part = query.0.part(&request);
        if commit.oid.to_string() != oid {
            return Ok(found_at(&part::href(&page, &part, is_split)));
        }
        let validator = frame.validator(&request, &visitor, &[&commit]);
        if let Some(answer) = validator.unchanged(&request) {
            return Ok(answer);
        }
        let Reading { answer: found, is_whole } =
            services.commit_part(&view, commit.oid, part.clone()).await?;
        let linked = linked(&services, &visitor, &view, &frame.base, &found.commit.message).await;
        let is_kept = is_whole && !found.diff.truncated && linked.is_whole;
        let title = format!("{} · {}", found.commit.summary, short(commit.oid));
        let shell = frame.shell(&request, &visitor, &title).wide();
        let build = move || CommitShown::new(shell, frame, linked.text, found, &part, (page, is_split));
        layout::built(&request, (&services, &view), is_kept.then_some(&validator), build).await
    })
    .await
}

impl CommitShown {
    fn new(
        shell: Shell,
        frame: Frame,
        text: CommitText,
        found: CommitDiff,
        part: &DiffPart,
        (page, is_split): (String, bool),
    ) -> Self {
        let CommitDiff { commit, diff } = found;
        let CommitView { oid, parents, author, committer, .. } = &commit;
        let base = &frame.base;
        let sides = Sides { base: base.clone(), page, old: parents.first().copied(), new: *oid, is_split };
        let parent = |oid: &Oid| Parent { href: format!("{base}/-/commit/{oid}"), short: short(*oid) };
        Self {
            is_message_cut: commit.message_truncated || text.truncated,
            text,
            oid: oid.to_string(),
            short: short(*oid),
            author: Signer::of(author),
            authored: Moment::of(commit.authored_at),
            committer: (author != committer).then(|| Signer::of(committer)),
            committed: Moment::of(commit.committed_at),
            parents: parents.iter().map(parent).collect(),
            tree_href: format!("{base}/-/tree/{oid}"),
            changes: Changes::new(diff, part, &sides),
            shell,
            frame,
        }
    }
}
