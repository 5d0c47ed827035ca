//! The HTML form of an error, which the room of the pages provides.

use actix_web::{HttpRequest, HttpResponse};

use super::error::HttpError;

/// Builds the page of an error; the last argument is the request id.
#[derive(Clone, Copy)]
pub struct ErrorPage(pub fn(&HttpRequest, &HttpError, &str) -> HttpResponse);
