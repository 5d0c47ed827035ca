//! `/{user}/{project}/{repo}`: the files of the default branch and the README; for an empty
//! repository, the commands that fill it.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::frame::{Frame, Tab, in_repository};
use super::tree;
use crate::domain::permission::project::Act;
use crate::http::address::percent_encoded;
use crate::http::error::HttpResult;
use crate::http::extract::Path;
use crate::services::access::RepositoryPath;
use crate::services::{RepositoryView, Services};
use crate::web::layout::{self, Shell};
use crate::web::visitor::Visitor;

/// The end of the address that git clients use.
const CLONE_SUFFIX: &str = ".git";

#[derive(Template)]
#[template(path = "code/empty.html")]
struct EmptyPage {
    shell: Shell,
    frame: Frame,
    default_branch: String,
    /// The name of the user in the clone address, so that git asks for the password only.
    push_url: String,
    may_push: bool,
    /// Another branch exists, although the default branch does not.
    has_branches: bool,
}

/// Returns the page. The clone address in a browser leads to it.
pub(in crate::web) async fn show(
    visitor: Visitor,
    request: HttpRequest,
    at: Path<RepositoryPath>,
    services: web::Data<Services>,
) -> HttpResult {
    let RepositoryPath { user, project, repo } = &at.0;
    if let Some(name) = repo.strip_suffix(CLONE_SUFFIX) {
        let names = [user, project, name].map(percent_encoded).join("/");
        let to = (header::LOCATION, format!("/{names}"));
        return Ok(HttpResponse::MovedPermanently().insert_header(to).finish());
    }
    in_repository(&visitor, &request, &at.0, &services, async |view| {
        match services.default_head(&view).await? {
            Some(commit) => {
                tree::page(&visitor, &request, &services, &view, tree::Wanted::home(commit)).await
            }
            None => empty(&visitor, &request, &services, &view).await,
        }
    })
    .await
}

async fn empty(
    visitor: &Visitor,
    request: &HttpRequest,
    services: &Services,
    view: &RepositoryView,
) -> HttpResult {
    let frame = Frame::load(request, services, view, Tab::Code, None).await?;
    let names = services.ref_names(view, 1).await?;
    let user = visitor.user().map(|user| user.username.as_str());
    let push_url = match (user, frame.clone_url.split_once("://")) {
        (Some(user), Some((scheme, rest))) => format!("{scheme}://{}@{rest}", percent_encoded(user)),
        _ => frame.clone_url.clone(),
    };
    let page = EmptyPage {
        shell: frame.shell(request, visitor, ""),
        default_branch: view.repository.default_branch.clone(),
        push_url,
        may_push: view.may(Act::Push),
        has_branches: !names.branches.is_empty(),
        frame,
    };
    layout::page(request, &page).await
}
