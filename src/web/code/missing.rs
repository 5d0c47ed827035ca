//! The page of a repository for an address whose ref or file does not exist. It keeps the tabs, and
//! names what is missing.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use askama::Template;

use super::frame::{Frame, Tab};
use crate::domain::push::plain;
use crate::http::error::HttpResult;
use crate::http::room::accepts_html;
use crate::protocol::code::Code;
use crate::services::{RepositoryView, ServiceError, Services};
use crate::web::layout::{self, Shell};
use crate::web::paint::SafeHtml;
use crate::web::visitor::Visitor;

/// Maximum shown characters of a name from the address.
const NAME_CHARACTERS_MAX: usize = 200;

#[derive(Template)]
#[template(path = "code/missing.html")]
struct MissingPage {
    shell: Shell,
    frame: Frame,
    sentence: SafeHtml,
    default_branch: String,
    /// The address of the history of the path; empty if the ref is missing.
    history: String,
}

/// Returns the page for a ref that does not exist. Returns the error if it is another one, if the
/// default branch has no commit, or if the client does not accept HTML.
pub(in crate::web) async fn of_ref(
    (visitor, request, services): (&Visitor, &HttpRequest, &Services),
    view: &RepositoryView,
    name: &str,
    error: ServiceError,
) -> HttpResult {
    let is_shown = error.code == Code::NotFound && accepts_html(request);
    if !is_shown || services.default_head(view).await?.is_none() {
        return Err(error.into());
    }
    let frame = Frame::load(request, services, view, Tab::Code, None).await?;
    let shown = plain(name, NAME_CHARACTERS_MAX);
    // Where the name of the ref would end is unknown.
    let sentence = match name.contains('/') {
        true => format!("No branch, tag or commit is at the start of {shown}."),
        false => format!("No branch, tag or commit is called {shown}."),
    };
    page((visitor, request), view, frame, &sentence, String::new()).await
}

/// Returns the page for a path that does not exist at the ref of the frame. `noun` is `file` or
/// `folder`. Returns the error if it is another one.
pub(super) async fn of_path(
    here: (&Visitor, &HttpRequest),
    view: &RepositoryView,
    frame: Frame,
    (noun, path): (&str, &str),
    error: ServiceError,
) -> HttpResult {
    if error.code != Code::NotFound {
        return Err(error.into());
    }
    let reference = frame.picker.as_ref().map(|picker| picker.name.as_str()).unwrap_or_default();
    let sentence = format!("No {noun} {} in {reference}.", plain(path, NAME_CHARACTERS_MAX));
    let history = frame.href("commits", path);
    page(here, view, frame, &sentence, history).await
}

async fn page(
    (visitor, request): (&Visitor, &HttpRequest),
    view: &RepositoryView,
    frame: Frame,
    sentence: &str,
    history: String,
) -> HttpResult {
    let page = MissingPage {
        shell: frame.shell(request, visitor, "Not found"),
        frame,
        sentence: SafeHtml::text(sentence),
        default_branch: view.repository.default_branch.clone(),
        history,
    };
    layout::page_of(request, StatusCode::NOT_FOUND, &page).await
}
