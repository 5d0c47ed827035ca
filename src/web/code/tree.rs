//! `/{user}/{project}/{repo}/-/tree/{ref}/{path}`: a folder.

use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;

use super::documents::{PageLinks, Readme, readme};
use super::frame::{At, Found, Frame, RefPathAddress, Tab, at_ref};
use super::listing::{self, ENTRIES, LastCommit, Listing};
use super::missing;
use super::words::{Step, steps};
use crate::git::browse::{ResolvedRef, TreeCursor, TreePart};
use crate::http::error::{HttpError, HttpResult};
use crate::http::extract::{Path, Query};
use crate::protocol::code::Code;
use crate::services::{RepositoryView, ServiceError, Services};
use crate::web::layout::{self, Shell, found_at};
use crate::web::visitor::Visitor;

#[derive(Template)]
#[template(path = "code/tree.html")]
struct TreePage {
    shell: Shell,
    frame: Frame,
    is_home: bool,
    /// The folders above.
    folders: Vec<Step>,
    path: String,
    /// The name of the folder; empty for the root.
    name: String,
    /// The newest commit of the ref, on the page of the root.
    head: Option<LastCommit>,
    listing: Listing,
    readme: Option<Readme>,
    permalink: String,
}

#[derive(Deserialize)]
pub(in crate::web) struct TreeQuery {
    cursor: Option<String>,
}

/// The folder to show.
pub(super) struct Wanted {
    commit: ResolvedRef,
    path: String,
    part: TreePart,
    is_home: bool,
}

impl Wanted {
    /// Returns the root, on the page of the repository.
    pub(super) fn home(commit: ResolvedRef) -> Self {
        Self { commit, path: String::new(), part: part(None), is_home: true }
    }
}

fn part(cursor: Option<TreeCursor>) -> TreePart {
    TreePart { limit: Some(ENTRIES), cursor }
}

/// Returns the page of a folder. The address of a file leads to the page of the file.
pub(in crate::web) async fn show(
    visitor: Visitor,
    request: HttpRequest,
    at: Path<RefPathAddress>,
    query: Query<TreeQuery>,
    services: web::Data<Services>,
) -> HttpResult {
    let cursor = match &query.0.cursor {
        Some(text) => {
            let cursor = TreeCursor::parse(text);
            Some(cursor.ok_or_else(|| HttpError::bad_request("the address of this page is not complete"))?)
        }
        None => None,
    };
    at_ref(&visitor, &request, at.0, &services, async |found| {
        let Found { view, commit, path } = found;
        let wanted = Wanted { commit, path, part: part(cursor), is_home: false };
        page(&visitor, &request, &services, &view, wanted).await
    })
    .await
}

pub(super) async fn page(
    visitor: &Visitor,
    request: &HttpRequest,
    services: &Services,
    view: &RepositoryView,
    wanted: Wanted,
) -> HttpResult {
    let Wanted { commit, path, part, is_home } = wanted;
    let at = At { commit: &commit, view: "tree", path: &path };
    let frame = Frame::load(request, services, view, Tab::Code, Some(at)).await?;
    let (tree, is_late) = match listing::read(services, view, (commit.oid, &path), part).await {
        Err(error) if error.code == Code::BadRequest => {
            return file_instead(services, view, &commit, &path, &frame, error).await;
        }
        Err(error) => {
            let here = (visitor, request);
            return missing::of_path(here, view, frame, ("folder", &path), error).await;
        }
        Ok(read) => read,
    };
    let head = if path.is_empty() {
        let newest = services.commits(view, commit.oid, None, None, 1).await?.answer;
        newest.items.first().map(|commit| LastCommit::of_view(commit, &frame.base))
    } else {
        None
    };
    let readme = match part.cursor {
        None => readme(services, view, commit.oid, &tree, PageLinks::of(&frame)).await?,
        Some(_) => None,
    };
    let (folders, name) = steps(&frame.base, &frame.reference, &path);
    let permalink = super::frame::href(&frame.base, "tree", &commit.oid.to_string(), &path);
    let shell = frame.shell(request, visitor, &path);
    let build = move || TreePage {
        shell,
        is_home,
        folders,
        name,
        head,
        listing: Listing::new(&tree, &frame, part, is_late),
        readme,
        permalink,
        path,
        frame,
    };
    layout::built(request, (services, view), None, build).await
}

/// Leads to the page of a file, if the path is one.
async fn file_instead(
    services: &Services,
    view: &RepositoryView,
    commit: &ResolvedRef,
    path: &str,
    frame: &Frame,
    error: ServiceError,
) -> HttpResult {
    match services.blob(view, commit.oid, path.to_owned()).await {
        Ok(_) => Ok(found_at(&frame.href("blob", path))),
        Err(_) => Err(error.into()),
    }
}
