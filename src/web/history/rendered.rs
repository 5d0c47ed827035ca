//! Sends pages that are rendered outside of the event loop, with the validator of their commits.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use crate::http::error::HttpResult;
use crate::http::validator::Validator;
use crate::services::ServiceError;
use crate::web::layout::{render, send};

/// Builds a page from what was read, renders it on a blocking thread, and sends it.
///
/// A page that is not whole may show more the next time: it gets no tag.
pub(super) async fn send_built<T: Template>(
    request: &HttpRequest,
    validator: Option<&Validator>,
    build: impl FnOnce() -> T + Send + 'static,
) -> HttpResult {
    let rendered = web::block(move || render(&build())).await.map_err(ServiceError::internal)?;
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
