//! Refusals of git routes.
//!
//! A git client shows only the status of a response with an error status. So a refusal is a message
//! of the git protocol, which the client prints.
//!
//! Invariants
//! * 401 stays an HTTP status, because it makes git ask for credentials. 403 and 404 stay HTTP too,
//!   and so do 400, 405 and 415, for requests that no git client makes. All other refusals are 200
//!   with the sentence in the protocol.
//! * Request log and metrics record the status of the refusal ([`Refused`]).

use actix_web::HttpResponse;
use actix_web::ResponseError;
use actix_web::http::StatusCode;
use actix_web::http::header;
use bytes::{Bytes, BytesMut};

use super::git::answer;
use super::remote_archives::UPLOAD_ARCHIVE;
use crate::git::pkt_line;
use crate::git::program::Service;
use crate::git::report;
use crate::http::Refused;
use crate::http::error::HttpError;
use crate::protocol::code::Code;
use crate::services::ServiceError;

/// The response that a client of a git route expects, which determines the form of a refusal.
#[derive(Debug, Clone, Copy)]
pub(super) enum Exchange {
    Advertisement(Service),
    Fetch,
    /// A push whose refs the server does not know.
    Push,
    /// `git archive --remote`.
    Archive,
}

/// An error of a git route.
#[derive(Debug)]
pub(super) struct GitError {
    pub(super) error: HttpError,
    /// Whether the sentence is sent in the protocol for every status.
    in_protocol: bool,
}

impl<E: Into<HttpError>> From<E> for GitError {
    fn from(error: E) -> Self {
        Self { error: error.into(), in_protocol: false }
    }
}

/// Returns the response, or the refusal in the form that the client prints.
pub(super) fn answered(exchange: Exchange, result: Result<HttpResponse, GitError>) -> HttpResponse {
    result.unwrap_or_else(|error| error.respond(exchange))
}

pub(super) fn problem(status: StatusCode, code: Code, detail: &str) -> GitError {
    HttpError::with_status(status, code, detail).into()
}

/// Marks a response as a refusal for `error`.
pub(super) fn mark(response: &mut HttpResponse, error: ServiceError) {
    let causes = error.causes();
    let status = HttpError::from(error).status_code();
    response.extensions_mut().insert(Refused { status, causes });
}

impl GitError {
    /// Refuses a request about a repository that the client may read: 404 would deny that the
    /// repository exists.
    pub(super) fn in_protocol(error: ServiceError) -> Self {
        Self { error: error.into(), in_protocol: true }
    }

    fn respond(&self, exchange: Exchange) -> HttpResponse {
        let status = self.error.status_code();
        if is_http(status) && !self.in_protocol {
            return self.in_http(status);
        }
        let sentence = self.error.error.sentence();
        let (service, kind, body) = match exchange {
            Exchange::Advertisement(service) => {
                (service.name(), "advertisement", with_service(service, &report::error_line(&sentence)))
            }
            Exchange::Fetch => (Service::UploadPack.name(), "result", report::error_line(&sentence)),
            Exchange::Push => (Service::ReceivePack.name(), "result", report::error_band(&sentence)),
            Exchange::Archive => (UPLOAD_ARCHIVE, "result", report::nack(&sentence)),
        };
        let mut response = answer(service, kind).body(body);
        let causes = self.error.error.causes();
        response.extensions_mut().insert(Refused { status, causes });
        response
    }

    /// Builds a line of text, which the client prints for some statuses.
    fn in_http(&self, status: StatusCode) -> HttpResponse {
        let mut response = HttpResponse::build(status);
        response.content_type("text/plain; charset=utf-8");
        if status == StatusCode::UNAUTHORIZED {
            response.insert_header((header::WWW_AUTHENTICATE, "Basic realm=\"NetBit\", charset=\"UTF-8\""));
        }
        response.body(format!("{}\n", self.error.error.detail))
    }
}

/// Returns whether a refusal with this status stays an HTTP error.
fn is_http(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400 | 401 | 403 | 404 | 405 | 415)
}

/// Builds the beginning of an advertisement, followed by `lines`.
fn with_service(service: Service, lines: &[u8]) -> Bytes {
    let mut body = service_line(service);
    body.extend_from_slice(lines);
    body.extend_from_slice(pkt_line::FLUSH);
    body.freeze()
}

/// Builds the beginning of an advertisement.
pub(super) fn service_line(service: Service) -> BytesMut {
    let mut line = BytesMut::with_capacity(64);
    pkt_line::put(&mut line, format!("# service={}\n", service.name()).as_bytes());
    line.extend_from_slice(pkt_line::FLUSH);
    line
}
