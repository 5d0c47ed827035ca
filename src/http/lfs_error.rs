//! Errors of the routes of Git LFS, in the form that its client prints.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName};
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use serde::Serialize;

use super::error::{HttpError, retry_seconds};
use super::refused::Refused;
use crate::core::telemetry;

/// The media type of Git LFS.
pub(crate) const LFS_JSON: &str = "application/vnd.git-lfs+json";
const LFS_AUTHENTICATE: HeaderName = HeaderName::from_static("lfs-authenticate");
const CHALLENGE: &str = "Basic realm=\"NetBit\", charset=\"UTF-8\"";

/// The body of an error.
#[derive(Serialize)]
struct ErrorBody<'a> {
    message: &'a str,
    request_id: &'a str,
}

/// Returns the response to a failed request of Git LFS.
pub(crate) fn respond(error: &HttpError) -> HttpResponse {
    let status = error.status_code();
    let (id, sentence) = (telemetry::request_id().unwrap_or_default(), error.error.sentence());
    let body = ErrorBody { message: &sentence, request_id: &id };
    let mut response = HttpResponse::build(status);
    if let Some(ms) = error.error.retry_after_ms {
        response.insert_header((header::RETRY_AFTER, retry_seconds(ms)));
    }
    if status == StatusCode::UNAUTHORIZED {
        // The client asks for a password. Other clients know the second header.
        response.insert_header((LFS_AUTHENTICATE, CHALLENGE));
        response.insert_header((header::WWW_AUTHENTICATE, CHALLENGE));
    }
    let mut response = json(&mut response, &body);
    let refused = Refused { status, causes: error.error.causes() };
    response.extensions_mut().insert(refused);
    response
}

/// Completes a response of Git LFS.
pub(crate) fn json(response: &mut HttpResponseBuilder, body: &impl Serialize) -> HttpResponse {
    let mut text = serde_json::to_vec(body).unwrap_or_default();
    text.push(b'\n');
    response.content_type(LFS_JSON).body(text)
}
