//! `/{user}/{project}/{repo}/-/tags`: the tags, sorted by name.

use actix_web::{HttpRequest, web};
use askama::Template;

use super::branches::RefsQuery;
use super::signer::Signer;
use crate::git::browse::Tag;
use crate::http::address::{path_encoded, percent_encoded};
use crate::http::error::HttpResult;
use crate::http::extract::{Path, Query};
use crate::services::Services;
use crate::services::access::RepositoryPath;
use crate::web::code::frame::{Frame, Tab, href, in_repository};
use crate::web::code::words::short;
use crate::web::layout::{self, Shell};
use crate::web::paint::commit_text::{CommitText, commit_text};
use crate::web::shown::Moment;
use crate::web::visitor::Visitor;

/// Tags of a page.
const PAGE_TAGS: usize = 50;

struct TagRow {
    name: String,
    /// `None` for a tag of something else than a commit.
    commit: Option<TaggedCommit>,
    text: Option<CommitText>,
    is_signed: bool,
    tagger: Option<Signer>,
    created: Option<Moment>,
}

struct TaggedCommit {
    tree_href: String,
    commit_href: String,
    short: String,
    zip_href: String,
    tar_href: String,
}

#[derive(Template)]
#[template(path = "history/tags.html")]
struct TagsPage {
    shell: Shell,
    frame: Frame,
    tags: Vec<TagRow>,
    first_href: Option<String>,
    next_href: Option<String>,
}

/// Returns a page of tags.
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
        let found = services.tags(&view, after, PAGE_TAGS).await?;
        let names = found.items.iter().map(|tag| tag.name.clone()).collect();
        let branches = services.branches_among(&view, names).await?;
        let frame = Frame::load(&request, &services, &view, Tab::Tags, None).await?;
        let here = format!("{}/-/tags", frame.base);
        let shell = frame.shell(&request, &visitor, "Tags");
        let build = move || TagsPage {
            shell,
            tags: found
                .items
                .iter()
                .map(|tag| TagRow::of(tag, &frame, branches.contains(&tag.name)))
                .collect(),
            first_href: (!is_first).then(|| here.clone()),
            next_href: found.next.map(|next| format!("{here}?after={}", percent_encoded(&next))),
            frame,
        };
        layout::built(&request, (&services, &view), None, build).await
    })
    .await
}

impl TagRow {
    /// A short name that is also the name of a branch means the branch.
    fn of(tag: &Tag, frame: &Frame, is_branch_too: bool) -> Self {
        let name = path_encoded(&tag.name);
        let reference = if is_branch_too { format!("refs/tags/{name}") } else { name };
        let base = &frame.base;
        let commit = (tag.target_kind == Some("commit")).then(|| TaggedCommit {
            tree_href: href(base, "tree", &reference, ""),
            commit_href: format!("{base}/-/commit/{}", tag.oid),
            short: short(tag.oid),
            zip_href: format!("{base}/-/archive/{reference}.zip"),
            tar_href: format!("{base}/-/archive/{reference}.tar.gz"),
        });
        Self {
            name: tag.name.clone(),
            commit,
            text: tag.message.as_deref().map(|message| commit_text(message, &())),
            is_signed: tag.signature.is_some(),
            tagger: tag.tagger.as_ref().map(Signer::of),
            created: tag.created_at.map(Moment::of),
        }
    }
}
