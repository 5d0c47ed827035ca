//! Errors of the routes of Git LFS, in the form that its client prints.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName};
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use serde::Serialize;

use super::error::{HttpError, retry_seconds};
use super::refused::Refused;
use crate::core::telemetry;
use crate::services::ServiceError;

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

/// The error of a request of Git LFS.
#[derive(Debug)]
pub(crate) struct LfsError(HttpError);

pub(crate) type LfsResult = Result<HttpResponse, LfsError>;

impl From<HttpError> for LfsError {
    fn from(error: HttpError) -> Self {
        Self(error)
    }
}

impl From<ServiceError> for LfsError {
    fn from(error: ServiceError) -> Self {
        Self(error.into())
    }
}

impl std::fmt::Display for LfsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl ResponseError for LfsError {
    fn status_code(&self) -> StatusCode {
        self.0.status_code()
    }

    fn error_response(&self) -> HttpResponse {
        let (status, error) = (self.status_code(), &self.0.error);
        let (id, sentence) = (telemetry::request_id().unwrap_or_default(), error.sentence());
        let body = ErrorBody { message: &sentence, request_id: &id };
        let mut response = HttpResponse::build(status);
        if let Some(ms) = error.retry_after_ms {
            response.insert_header((header::RETRY_AFTER, retry_seconds(ms)));
        }
        if status == StatusCode::UNAUTHORIZED {
            // The client asks for a password. Other clients know the second header.
            response.insert_header((LFS_AUTHENTICATE, CHALLENGE));
            response.insert_header((header::WWW_AUTHENTICATE, CHALLENGE));
        }
        let mut response = json(&mut response, &body);
        response.extensions_mut().insert(Refused { status, causes: error.causes() });
        response
    }
}

/// Completes a response of Git LFS.
pub(crate) fn json(response: &mut HttpResponseBuilder, body: &impl Serialize) -> HttpResponse {
    let mut text = serde_json::to_vec(body).unwrap_or_default();
    text.push(b'\n');
    response.content_type(LFS_JSON).body(text)
}
