//! Sends pages that are built and rendered outside of the event loop, with the validator of their commits.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use crate::http::error::HttpResult;
use crate::http::validator::Validator;
use crate::services::{RepositoryView, Services};
use crate::web::layout::{render, send};

/// Builds a page from what was read, renders it, and sends it. The work has a permit for reading, so
/// a holder cannot take all threads.
///
/// A page that is not whole may show more the next time: it gets no tag.
pub(super) async fn send_built<T: Template>(
    request: &HttpRequest,
    (services, view): (&Services, &RepositoryView),
    validator: Option<&Validator>,
    build: impl FnOnce() -> T + Send + 'static,
) -> HttpResult {
    let rendered = services.paint(view, move || render(&build())).await?;
    let mut response = HttpResponse::build(StatusCode::OK);
    match validator {
        Some(validator) => {
            validator.mark(&mut response);
        }
        None => {
            response.insert_header((header::CACHE_CONTROL, "private, no-cache"));
        }
    }
    response.content_type("text/html; charset=utf-8");
    response.insert_header((header::VARY, HeaderValue::from_static("accept-encoding, cookie")));
    send(request, response, rendered?.into_bytes()).await
}
