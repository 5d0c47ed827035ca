//! The frame around every page, and the response that carries a page.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use askama::Template;

use super::assets;
use super::form::PageStatus;
use super::shown::Face;
use super::visitor::Visitor;
use crate::domain::user::User;
use crate::http::compressed::{accepts_gzip, gzip};
use crate::http::error::{HttpResult, retry_seconds};
use crate::http::extract::{holder_of, services};
use crate::http::pieces::Pieces;
use crate::http::validator::{Validator, knows, tag};
use crate::protocol::code::Code;
use crate::services::ServiceError;
use crate::services::answers::no_space;
use crate::services::{RepositoryView, Services};

/// From this size on, a page is compressed for clients that accept it.
const COMPRESSED_FROM: usize = 1_400;
/// Pages depend on the login and the appearance, which are cookies.
const VARY: HeaderValue = HeaderValue::from_static("accept-encoding, cookie");
/// From this size on, a page is compressed outside of the worker's event loop.
const COMPRESSED_ASIDE_FROM: usize = 64 * 1024;

/// A step of the path to a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Crumb {
    pub(super) text: String,
    pub(super) href: String,
}

impl Crumb {
    pub(super) fn new(text: impl Into<String>, href: impl Into<String>) -> Self {
        Self { text: text.into(), href: href.into() }
    }
}

/// The values that the frame of a page shows.
pub(super) struct Shell {
    /// `thing · place`, without the name of the product.
    pub(super) title: String,
    pub(super) crumbs: Vec<Crumb>,
    /// Whether the page uses the whole width of the window: code and differences.
    pub(super) wide: bool,
    /// The confirmation of a form that was accepted; empty without one.
    pub(super) done: &'static str,
    /// Where the page finds its style sheet and script.
    assets: &'static str,
    visitor: Visitor,
    /// Path and query of the page, for the way back after the login.
    path: String,
}

impl Shell {
    pub(super) fn new(request: &HttpRequest, visitor: &Visitor, title: impl Into<String>) -> Self {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let (crumbs, done) = (Vec::new(), done_of(request.query_string()));
        let (assets, visitor) = (assets::root_of(request), visitor.clone());
        Self { title: title.into(), crumbs, wide: false, done, assets, visitor, path }
    }

    pub(super) fn crumbs(mut self, crumbs: impl IntoIterator<Item = Crumb>) -> Self {
        self.crumbs = crumbs.into_iter().collect();
        self
    }

    /// Uses the whole width of the window.
    pub(super) fn wide(mut self) -> Self {
        self.wide = true;
        self
    }

    /// Returns whether the page has this address, with any query.
    pub(super) fn is_at(&self, path: &str) -> bool {
        self.path.split('?').next() == Some(path)
    }

    pub(super) fn user(&self) -> Option<&User> {
        self.visitor.user().map(|user| &**user)
    }

    pub(super) fn face(&self) -> Option<Face> {
        self.user().map(Face::of)
    }

    pub(super) fn is_admin(&self) -> bool {
        self.visitor.is_admin()
    }

    /// Returns whether the page offers the login.
    pub(super) fn offers_login(&self) -> bool {
        self.visitor.is_anonymous()
    }

    pub(super) fn theme(&self) -> &'static str {
        self.visitor.theme
    }

    pub(super) fn assets(&self) -> &'static str {
        self.assets
    }

    /// Returns the address of the login page, which leads back to this page.
    pub(super) fn login_href(&self) -> String {
        login_href(&self.path)
    }
}

/// The confirmations of changes, each with the value of `done` in the page's address that shows it.
const CONFIRMATIONS: [(&str, &str); 18] = [
    ("saved", "Your changes are saved."),
    (
        "changed",
        "Your password is changed. All other logins have ended, and access tokens of the last day are revoked.",
    ),
    ("added", "The member is added."),
    ("role", "The role is changed."),
    ("removed", "The member is removed."),
    ("left", "You have left the project."),
    ("rule-added", "The rule is added."),
    ("rule-moved", "The rule is moved."),
    ("rule-removed", "The rule is removed."),
    ("revoked", "The access token is revoked."),
    ("ended", "The login has ended."),
    ("others-ended", "All other logins have ended."),
    ("deleted", "The deletion is done."),
    ("deactivated", "The user is deactivated."),
    ("reactivated", "The user is active again."),
    ("promoted", "The user is an administrator now."),
    ("demoted", "The user is not an administrator any more."),
    ("password-set", "The new password is set. All logins and access tokens of the user have ended."),
];

/// Returns the confirmation that a query names. Only fixed sentences are shown: the author of a
/// link cannot put own text on the page.
fn done_of(query: &str) -> &'static str {
    let key = query.split('&').find_map(|pair| pair.strip_prefix("done=")).unwrap_or_default();
    CONFIRMATIONS.iter().find(|(known, _)| *known == key).map_or("", |(_, sentence)| sentence)
}

/// Returns the address of the login page, which leads back to `path`.
pub(super) fn login_href(path: &str) -> String {
    let is_start = ["/login", "/logout", "/register", "/setup"].iter().any(|begin| path.starts_with(begin));
    let is_start = is_start || path == "/";
    if is_start {
        "/login".to_owned()
    } else {
        format!("/login?next={}", crate::http::address::percent_encoded(path))
    }
}

/// Returns a page, or 304 if the client already has it.
pub(super) async fn page(request: &HttpRequest, template: &impl Template) -> HttpResult {
    page_of(request, StatusCode::OK, template).await
}

/// Like [`page`], with another status: a form with problems.
pub(super) async fn page_of(
    request: &HttpRequest,
    status: impl Into<PageStatus>,
    template: &impl Template,
) -> HttpResult {
    let PageStatus { code, retry_after_ms } = status.into();
    let html = render(template)?;
    let mut response = start(code);
    if let Some(ms) = retry_after_ms {
        response.insert_header((header::RETRY_AFTER, retry_seconds(ms)));
    }
    if code == StatusCode::OK
        && let Some(answer) = tagged(request, &mut response, tag(html.as_bytes()))
    {
        return Ok(answer);
    }
    send(request, response, html.into_bytes()).await
}

/// Returns the start of the response that carries a page.
fn start(status: StatusCode) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response.content_type("text/html; charset=utf-8");
    response.insert_header((header::VARY, VARY));
    response
}

/// Sets the tag of a page. Returns 304 if the client already has the page.
fn tagged(request: &HttpRequest, response: &mut HttpResponseBuilder, tag: String) -> Option<HttpResponse> {
    let is_known = knows(request, &tag);
    response.insert_header((header::ETAG, tag)).insert_header((header::CACHE_CONTROL, "private, no-cache"));
    is_known.then(|| response.status(StatusCode::NOT_MODIFIED).finish())
}

/// Returns a page of a repository, which may be large: it is built, rendered and compressed outside
/// of the event loop, with a permit of the reader. So the pages in work have a bound.
///
/// A page with a `validator` gets its tag, another the tag of its HTML.
pub(super) async fn built<T: Template>(
    request: &HttpRequest,
    (services, view): (&Services, &RepositoryView),
    validator: Option<&Validator>,
    build: impl FnOnce() -> T + Send + 'static,
) -> HttpResult {
    let may_pack = accepts_gzip(request);
    let work = move || {
        let html = render(&build())?.into_bytes();
        let tag = tag(&html);
        let packed = if may_pack && html.len() >= COMPRESSED_FROM { gzip(&html) } else { None };
        let is_packed = packed.is_some();
        Ok::<_, ServiceError>((packed.unwrap_or(html), is_packed, tag))
    };
    let (body, is_packed, tag) = services.paint(view, work).await??;
    let mut response = start(StatusCode::OK);
    match validator {
        Some(validator) => {
            // It names the cookie only.
            validator.mark(&mut response).insert_header((header::VARY, VARY));
        }
        None => {
            if let Some(answer) = tagged(request, &mut response, tag) {
                return Ok(answer);
            }
        }
    }
    if is_packed {
        response.insert_header(header::ContentEncoding::Gzip);
    }
    answer(request, &mut response, body)
}

/// Returns a page that shows a secret: no cache keeps it.
pub(super) async fn secret_page(request: &HttpRequest, template: &impl Template) -> HttpResult {
    let mut response = HttpResponse::Ok();
    response.content_type("text/html; charset=utf-8").insert_header((header::CACHE_CONTROL, "no-store"));
    send(request, response, render(template)?.into_bytes()).await
}

/// Renders a template.
///
/// # Errors
/// Only if a value refuses to be written, which no value of a page does.
pub(super) fn render(template: &impl Template) -> Result<String, ServiceError> {
    template
        .render()
        .map_err(|error| ServiceError::new(Code::Internal, "the page could not be written").because(error))
}

/// Sends a body, compressed if the client accepts it.
async fn send(request: &HttpRequest, mut response: HttpResponseBuilder, body: Vec<u8>) -> HttpResult {
    let body = if body.len() >= COMPRESSED_FROM && accepts_gzip(request) {
        let (packed, body) = if body.len() < COMPRESSED_ASIDE_FROM {
            (gzip(&body), body)
        } else {
            let pack = move || (gzip(&body), body);
            actix_web::web::block(pack).await.map_err(ServiceError::internal)?
        };
        match packed {
            Some(packed) => {
                response.insert_header(header::ContentEncoding::Gzip);
                packed
            }
            None => body,
        }
    } else {
        body
    };
    answer(request, &mut response, body)
}

/// Sends a body. A large one holds space until its client has received it.
pub(super) fn answer(request: &HttpRequest, response: &mut HttpResponseBuilder, body: Vec<u8>) -> HttpResult {
    let services = services(request)?;
    if body.len() <= services.limits.answer_small_bytes {
        return Ok(response.body(body));
    }
    let space = services.answer_space(holder_of(request)?, body.len()).ok_or_else(no_space)?;
    Ok(response.body(Pieces::counted(body.into(), space)))
}

/// Returns a redirect to a page of this server after a form: 303, so that a reload does not send
/// the form again.
pub(super) fn see_other(path: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, path)).finish()
}

/// Returns a redirect of a page to the page that has what was asked for.
pub(super) fn found_at(path: &str) -> HttpResponse {
    HttpResponse::Found().insert_header((header::LOCATION, path)).finish()
}

/// Returns `path` if it is a path of this server, else `/`.
///
/// `//host` and `/\host` lead to other servers, and browsers remove control characters first.
pub(super) fn own_path(path: &str) -> &str {
    let is_own = path.starts_with('/')
        && !path.starts_with("//")
        && !path.contains('\\')
        && !path.chars().any(char::is_control);
    if is_own { path } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confirmation_is_a_fixed_sentence() {
        assert_eq!(done_of("cursor=3&done=saved"), "Your changes are saved.");
        for query in ["", "done=", "done=%3Cb%3E", "undone=saved"] {
            assert_eq!(done_of(query), "", "{query}");
        }
    }

    #[test]
    fn path_of_another_server_becomes_the_start() {
        assert_eq!(own_path("/alice/hello?x=1"), "/alice/hello?x=1");
        for foreign in
            ["", "//evil.example", "/\\evil.example", "https://evil.example", "/\t/evil.example", "alice"]
        {
            assert_eq!(own_path(foreign), "/", "{foreign:?}");
        }
    }
}
