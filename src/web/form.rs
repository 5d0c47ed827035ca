//! Forms: their values, and their problems beside the fields.
//!
//! The layer around every request refuses forms of other origins (`http/observe.rs`).

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpRequest, web};
use serde::de::DeserializeOwned;

use crate::http::error::HttpError;
use crate::http::extract::read_body;
use crate::protocol::code::Code;
use crate::services::{FieldProblem, ServiceError};

/// The values of a form (`application/x-www-form-urlencoded`), at most `limits.body_bytes`.
pub(super) struct Form<T>(pub(super) T);

impl<T: DeserializeOwned + 'static> FromRequest for Form<T> {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, HttpError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let bytes = read_body(&request, &mut payload).await?;
            let text =
                String::from_utf8(bytes).map_err(|_| HttpError::bad_request("the form is not UTF-8"))?;
            let values = web::Query::<T>::from_query(&text);
            let refused = |error| HttpError::bad_request(format!("the form is not complete: {error}"));
            Ok(Self(values.map_err(refused)?.into_inner()))
        })
    }
}

/// Checks that the user typed a name to confirm what cannot be undone.
///
/// # Errors
/// The problem of the field.
pub(super) fn check_typed(field: &'static str, typed: &str, name: &str) -> Result<(), ServiceError> {
    if typed.trim() == name {
        return Ok(());
    }
    let problem = format!("must be exactly {name}");
    Err(ServiceError::invalid(vec![FieldProblem { field, problem }]))
}

/// The status of a page with a form, and when a refused form may be sent again.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageStatus {
    pub(super) code: StatusCode,
    pub(super) retry_after_ms: Option<u64>,
}

impl Default for PageStatus {
    fn default() -> Self {
        StatusCode::OK.into()
    }
}

impl From<StatusCode> for PageStatus {
    fn from(code: StatusCode) -> Self {
        Self { code, retry_after_ms: None }
    }
}

/// The problems of a form that was sent. Empty before.
#[derive(Debug, Default)]
pub(super) struct Problems {
    /// The problem of the form as a whole.
    pub(super) summary: String,
    fields: Vec<FieldProblem>,
    status: PageStatus,
}

impl Problems {
    /// Takes the problems that the user can mend in the form.
    ///
    /// # Errors
    /// Returns an error that the form cannot show: the login ended, the server failed.
    pub(super) fn of(error: ServiceError) -> Result<Self, HttpError> {
        let shown = matches!(
            error.code,
            Code::Validation
                | Code::Conflict
                | Code::Forbidden
                | Code::BadRequest
                | Code::RateLimited
                | Code::Unauthenticated
                | Code::NotFound
                | Code::Overloaded
                | Code::TooLarge
        );
        if !shown {
            return Err(error.into());
        }
        let code = StatusCode::from_u16(error.code.http_status()).unwrap_or(StatusCode::BAD_REQUEST);
        let status = PageStatus { code, retry_after_ms: error.retry_after_ms };
        let summary = if error.fields.is_empty() { error.sentence() } else { String::new() };
        Ok(Self { summary, fields: error.fields, status })
    }

    /// Returns the problem of a field; empty if it has none.
    pub(super) fn of_field(&self, name: &str) -> &str {
        self.fields.iter().find(|field| field.field == name).map_or("", |field| field.problem.as_str())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.summary.is_empty() && self.fields.is_empty()
    }

    /// Returns the number of fields with a problem.
    pub(super) fn count(&self) -> usize {
        self.fields.len()
    }

    /// Returns the status of the page: 200 before the form was sent.
    pub(super) fn status(&self) -> PageStatus {
        self.status
    }
}
