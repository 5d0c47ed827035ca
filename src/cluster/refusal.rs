//! The answer to a request whose storage node ended while the request was under way.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use bytes::Bytes;

use crate::domain::node::NodeName;
use crate::git::report;
use crate::http::lfs_error::LfsError;
use crate::http::{HttpError, Refused};
use crate::protocol::code::Code;
use crate::services::ServiceError;

/// When a client may try again, in milliseconds.
const RETRY_MS: u64 = 5_000;

/// The answer, in the form that the client of the route prints.
pub(super) enum Refusal {
    /// git prints no text of an answer with an error status.
    InProtocol(Box<HttpResponse>),
    Http(HttpError),
}

/// Builds the answer of a route. The request may have changed something.
pub(super) fn of_broken_exchange(route: &str, node: &NodeName) -> Refusal {
    let why = format!(
        "the connection to the node {node}, which stores this repository, broke; check whether the change was made"
    );
    let error = ServiceError::later(Code::Overloaded, why, RETRY_MS);
    let sentence = error.sentence();
    let in_protocol: Option<(&str, Bytes)> = match route.rsplit('/').next() {
        Some("git-upload-pack") => Some(("git-upload-pack", report::error_line(&sentence))),
        Some("git-receive-pack") => Some(("git-receive-pack", report::error_band(&sentence))),
        Some("git-upload-archive") => Some(("git-upload-archive", report::nack(&sentence))),
        _ => None,
    };
    if route.contains("/{repo}/info/lfs/") {
        return Refusal::InProtocol(Box::new(LfsError::from(error).error_response()));
    }
    let Some((service, body)) = in_protocol else { return Refusal::Http(error.into()) };
    let mut response = HttpResponse::Ok().content_type(format!("application/x-{service}-result")).body(body);
    let refused = Refused { status: StatusCode::SERVICE_UNAVAILABLE, causes: None };
    response.extensions_mut().insert(refused);
    Refusal::InProtocol(Box::new(response))
}
