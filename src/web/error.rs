//! The page of an error: what happened, and the next step.

use actix_web::http::Method;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use askama::Template;

use super::layout::{self, Shell, login_href};
use super::origin_page::page_of_form;
use super::shown;
use super::visitor::Visitor;
use crate::http::error::{HttpError, HttpResult, retry_seconds};
use crate::http::origin::NOT_SAME_ORIGIN;

/// Returns 404 for a path without a page or route. The visitor is extracted for the page's header.
pub(super) async fn not_found(_: Visitor) -> HttpResult {
    Err(HttpError::of_status(StatusCode::NOT_FOUND))
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorTemplate<'a> {
    shell: Shell,
    heading: &'a str,
    sentence: String,
    next: &'a str,
    request_id: &'a str,
}

/// Returns the page of an error. A page that needs a login leads to the login page.
pub fn page(request: &HttpRequest, error: &HttpError, request_id: &str) -> HttpResponse {
    let (visitor, status) = (Visitor::of(request), error.status_code());
    if status == StatusCode::UNAUTHORIZED && visitor.who().is_none() {
        let here = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let back = if request.method() == Method::GET { here.to_owned() } else { page_of_form(request) };
        let mut response = layout::see_other(&login_href(&back));
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        return response;
    }
    let heading = heading(status);
    let mut shell = Shell::new(request, &visitor, heading);
    shell.done = "";
    let template = ErrorTemplate {
        shell,
        heading,
        sentence: sentence(error, status),
        next: next_step(request, error, status),
        request_id,
    };
    let mut response = HttpResponse::build(status);
    if let Some(ms) = error.error.retry_after_ms {
        response.insert_header((header::RETRY_AFTER, retry_seconds(ms)));
    }
    response.content_type("text/html; charset=utf-8");
    response.body(template.render().unwrap_or_else(|_| format!("<h1>{heading}</h1>")))
}

fn heading(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "Log in first",
        403 => "Not allowed",
        404 => "Page not found",
        405 => "Not possible here",
        408 => "Too slow",
        413 => "Too large",
        414 => "The address is too long",
        429 => "Too many requests",
        503 => "The server is busy",
        507 => "The disk of the server is full",
        400..=499 => "The request is not valid",
        _ => "The server failed",
    }
}

/// Returns whether the page is of a project or of a repository.
fn is_of_project(request: &HttpRequest) -> bool {
    request.match_pattern().is_some_and(|pattern| pattern.starts_with("/{user}/{project}"))
}

/// Returns what happened, as a sentence.
fn sentence(error: &HttpError, status: StatusCode) -> String {
    if status == StatusCode::NOT_FOUND && error.error.detail == "path not found" {
        return "No page has this address.".to_owned();
    }
    shown::sentence(error.error.sentence())
}

fn next_step(request: &HttpRequest, error: &HttpError, status: StatusCode) -> &'static str {
    match status.as_u16() {
        403 if error.error.detail == NOT_SAME_ORIGIN => "Open the page again, then send the form.",
        403 if request.path().starts_with("/admin") => "Only administrators of this server see this page.",
        403 if is_of_project(request) => "Ask an owner of the project for access.",
        403 => "Ask the administrator of this server for access.",
        404 => "It may have been deleted, renamed or made private. Check the address, or ask for access.",
        408 | 503 => "Load the page again in a moment.",
        429 => "Wait a moment, then try again.",
        507 => "Reading still works. Inform the administrator of this server.",
        500..=599 => "Try again. If it happens again, send the administrator the request id below.",
        413 => "Send less at once.",
        414 => "Shorten the address.",
        _ => "Go back and try again.",
    }
}
