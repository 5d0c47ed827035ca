//! Validators of responses about commits: computed from the ids of the commits, before the response
//! itself (RFC 9110 section 8.8).

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use serde::Serialize;

use super::error::ApiResult;
use super::page;
use super::spooled;
use crate::core::shares::Holder;
use crate::git::browse::{RefKind, ResolvedRef};
use crate::protocol::code::Code;
use crate::services::{ServiceError, Services};

/// A year; `immutable` is defined in RFC 8246. Private, even for public projects, because they may
/// become private.
const KEPT: &str = "private, max-age=31536000, immutable";
const ASKED_AGAIN: &str = "private, no-cache";

/// The validator of a response, which depends on the commits, the URL and the server's version.
pub(super) struct Validator {
    tag: String,
    /// Whether the URL contains object ids only, and no ref that can move.
    immutable: bool,
}

impl Validator {
    pub(super) fn new(request: &HttpRequest, commits: &[&ResolvedRef]) -> Self {
        let mut content = format!("{}\n{}", env!("CARGO_PKG_VERSION"), request.uri());
        for commit in commits {
            content.push_str(&format!("\n{}", commit.oid));
        }
        let immutable = commits.iter().all(|commit| commit.kind == RefKind::Commit);
        Self { tag: page::tag(content.as_bytes()), immutable }
    }

    /// Returns 304 if the client already has the response.
    pub(super) fn unchanged(&self, request: &HttpRequest) -> Option<HttpResponse> {
        page::knows(request, &self.tag).then(|| self.mark(&mut HttpResponse::NotModified()).finish())
    }

    /// Sets the headers that determine how long the client may cache the response.
    pub(super) fn mark<'r>(&self, response: &'r mut HttpResponseBuilder) -> &'r mut HttpResponseBuilder {
        let cache = if self.immutable { KEPT } else { ASKED_AGAIN };
        response
            .insert_header((header::ETAG, self.tag.as_str()))
            .insert_header((header::CACHE_CONTROL, cache))
    }

    /// Returns the whole response. A response that is `truncated`, or lacks unreadable objects, may
    /// be larger next time: it gets no tag.
    pub(super) async fn json<T: Serialize>(
        &self,
        (services, holder): (&Services, Holder),
        body: &T,
        truncated: bool,
        link: Option<String>,
    ) -> ApiResult {
        let mut body = serde_json::to_vec(body).map_err(|error| {
            ServiceError::new(Code::Internal, "the response could not be serialized").because(error)
        })?;
        body.push(b'\n');
        let mut response = HttpResponse::Ok();
        if truncated {
            response.insert_header((header::CACHE_CONTROL, ASKED_AGAIN));
        } else {
            self.mark(&mut response);
        }
        if let Some(link) = link {
            response.insert_header((header::LINK, link));
        }
        spooled::answer(response.content_type("application/json"), body, (services, holder)).await
    }
}
