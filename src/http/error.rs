//! Error responses: RFC 9457 `application/problem+json`, the same for every error.
//!
//! The module `services::error` explains which error type belongs to which layer.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::protocol::code::Code;
use crate::services::{FieldProblem, ServiceError};

/// The media type of RFC 9457 section 3.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// A service's error in an HTTP response.
#[derive(Debug, Clone)]
pub struct HttpError {
    pub(crate) error: ServiceError,
    /// The HTTP status where it is more specific than that of the code: 405, 408, 414, 415.
    status: Option<StatusCode>,
    /// The size of the file whose range was not satisfiable: 416.
    size: Option<u64>,
}

pub(crate) type HttpResult = Result<HttpResponse, HttpError>;

/// An error (RFC 9457).
#[derive(Serialize, ToSchema)]
pub(crate) struct Problem<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    /// A sentence for users.
    detail: &'a str,
    /// For programs: a word of a fixed set.
    #[schema(value_type = String)]
    code: Code,
    request_id: &'a str,
    /// The invalid fields.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(value_type = Option<Vec<FieldProblem>>)]
    errors: &'a [FieldProblem],
}

impl HttpError {
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        ServiceError::new(Code::BadRequest, detail).into()
    }

    /// Returns the error, unless it has a status that its code does not have.
    pub(crate) fn into_service_error(self) -> Result<ServiceError, Self> {
        if self.status.is_some() || self.size.is_some() { Err(self) } else { Ok(self.error) }
    }

    pub(crate) fn with_status(status: StatusCode, code: Code, detail: impl Into<String>) -> Self {
        Self { error: ServiceError::new(code, detail), status: Some(status), size: None }
    }

    /// Builds the error for a range beyond the end of a file of `size` bytes.
    pub(crate) fn unsatisfiable(size: u64) -> Self {
        let error = ServiceError::new(Code::BadRequest, format!("the file has {size} bytes"));
        Self { error, status: Some(StatusCode::RANGE_NOT_SATISFIABLE), size: Some(size) }
    }

    /// Builds the error for a response that the framework made, from its status.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        let code = match status.as_u16() {
            401 => Code::Unauthenticated,
            403 => Code::Forbidden,
            404 => Code::NotFound,
            413 => Code::TooLarge,
            429 => Code::RateLimited,
            503 => Code::Overloaded,
            400..=499 => Code::BadRequest,
            _ => Code::Internal,
        };
        let detail = match status {
            StatusCode::METHOD_NOT_ALLOWED => "the path exists, but not with this method",
            StatusCode::NOT_FOUND => "path not found",
            _ => status.canonical_reason().unwrap_or("the request failed"),
        };
        Self::with_status(status, code, detail)
    }

    /// Builds the whole response; `request_id` is empty before the request has one.
    pub(crate) fn respond(&self, request_id: &str) -> HttpResponse {
        let status = self.status_code();
        let own_title = self.status.and_then(|status| status.canonical_reason());
        let problem = Problem {
            r#type: "about:blank",
            title: own_title.unwrap_or(self.error.code.title()),
            status: status.as_u16(),
            detail: &self.error.detail,
            code: self.error.code,
            request_id,
            errors: &self.error.fields,
        };
        let mut body = serde_json::to_vec(&problem).unwrap_or_default();
        body.push(b'\n');
        let mut response = HttpResponse::build(status);
        response.insert_header((header::CONTENT_TYPE, PROBLEM_JSON));
        if let Some(ms) = self.error.retry_after_ms {
            response.insert_header((header::RETRY_AFTER, retry_seconds(ms)));
        }
        if let Some(size) = self.size {
            response.insert_header((header::CONTENT_RANGE, format!("bytes */{size}")));
        }
        if status == StatusCode::UNAUTHORIZED {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer realm=\"NetBit\""));
        }
        response.body(body)
    }
}

impl From<ServiceError> for HttpError {
    fn from(error: ServiceError) -> Self {
        Self { error, status: None, size: None }
    }
}

impl std::fmt::Display for HttpError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.error.fmt(f)
    }
}

impl ResponseError for HttpError {
    fn status_code(&self) -> StatusCode {
        let own =
            StatusCode::from_u16(self.error.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        self.status.unwrap_or(own)
    }

    fn error_response(&self) -> HttpResponse {
        self.respond("")
    }
}

/// Returns the value of `Retry-After` (RFC 9110 section 10.2.3): whole seconds.
pub(crate) fn retry_seconds(ms: u64) -> HeaderValue {
    HeaderValue::from(ms.div_ceil(1000).max(1))
}

/// Returns 404 for a path without a route.
pub(crate) async fn no_route() -> HttpResult {
    Err(HttpError::of_status(StatusCode::NOT_FOUND))
}
