//! Validators of answers about commits: known from the ids of the commits, before anything is computed (RFC 9110
//! section 8.8).

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

/// A year; RFC 8246 for `immutable`. Private, also for public projects: they may become private.
const KEPT: &str = "private, max-age=31536000, immutable";
const ASKED_AGAIN: &str = "private, no-cache";

/// What one request's answer depends on: the commits and the address. Another version of the server may answer
/// otherwise.
pub(super) struct Validator {
    tag: String,
    /// The address names object ids and nothing that moves.
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

    /// 304, if the client has the answer already.
    pub(super) fn unchanged(&self, request: &HttpRequest) -> Option<HttpResponse> {
        page::knows(request, &self.tag).then(|| self.mark(&mut HttpResponse::NotModified()).finish())
    }

    /// Tells the client how long it may keep the answer.
    pub(super) fn mark<'r>(&self, response: &'r mut HttpResponseBuilder) -> &'r mut HttpResponseBuilder {
        let cache = if self.immutable { KEPT } else { ASKED_AGAIN };
        response
            .insert_header((header::ETAG, self.tag.as_str()))
            .insert_header((header::CACHE_CONTROL, cache))
    }

    /// The whole answer. One that is `truncated`, or lacks what could not be read, may say more next time: it gets no tag.
    pub(super) async fn json<T: Serialize>(
        &self,
        (services, holder): (&Services, Holder),
        body: &T,
        truncated: bool,
        link: Option<String>,
    ) -> ApiResult {
        let mut body = serde_json::to_vec(body).map_err(|error| {
            ServiceError::new(Code::Internal, format!("the answer could not be written: {error}"))
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
