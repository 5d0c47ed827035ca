//! Validators of responses about commits: computed from the ids of the commits, before the response
//! itself (RFC 9110 section 8.8).

use std::sync::LazyLock;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::error::HttpResult;
use super::spooled;
use crate::core::shares::Holder;
use crate::git::browse::{RefKind, ResolvedRef};
use crate::protocol::code::Code;
use crate::services::{ServiceError, Services};

/// Returns whether the client already has the response with this tag: `If-None-Match`, compared
/// weakly (RFC 9110 section 13.1.2).
pub(crate) fn knows(request: &HttpRequest, tag: &str) -> bool {
    let known = request.headers().get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    known.is_some_and(|known| known.split(',').any(|one| one.trim().trim_start_matches("W/") == tag))
}

/// The seed of entity tags, so that no client can construct contents with equal tags. It changes
/// with every start, which costs each client one cached response.
static TAG_SEED: LazyLock<u64> = LazyLock::new(rand::random);

/// Returns a strong entity tag of `content`.
pub(crate) fn tag(content: &[u8]) -> String {
    format!("\"{:032x}\"", xxh3_128_with_seed(content, *TAG_SEED))
}

/// A year; `immutable` is defined in RFC 8246. Private, even for public projects, because they may
/// become private.
const KEPT: &str = "private, max-age=31536000, immutable";
const ASKED_AGAIN: &str = "private, no-cache";

/// The validator of a response, which depends on the commits, the URL and the server's version.
pub(crate) struct Validator {
    tag: String,
    /// Whether the response depends on the login cookie. It is then asked for again each time:
    /// after a logout, the cache of the browser must not answer in place of the server.
    by_cookie: bool,
    /// Whether the URL contains object ids only, and no ref that can move.
    immutable: bool,
}

impl Validator {
    pub(crate) fn new(request: &HttpRequest, commits: &[&ResolvedRef]) -> Self {
        Self::of_view(request, commits, "")
    }

    /// Like [`Validator::new`], for a response that also depends on who reads it and on what else
    /// it shows: `shown`.
    pub(crate) fn of_view(request: &HttpRequest, commits: &[&ResolvedRef], shown: &str) -> Self {
        let mut content = format!("{}\n{}", env!("CARGO_PKG_VERSION"), request.uri());
        for commit in commits {
            content.push_str(&format!("\n{}", commit.oid));
        }
        content.push_str(&format!("\n{shown}"));
        // A view may change although its commits do not.
        let immutable = shown.is_empty() && commits.iter().all(|commit| commit.kind == RefKind::Commit);
        Self { tag: tag(content.as_bytes()), by_cookie: !shown.is_empty(), immutable }
    }

    /// Returns 304 if the client already has the response.
    pub(crate) fn unchanged(&self, request: &HttpRequest) -> Option<HttpResponse> {
        knows(request, &self.tag).then(|| self.mark(&mut HttpResponse::NotModified()).finish())
    }

    /// Sets the headers that determine how long the client may cache the response.
    pub(crate) fn mark<'r>(&self, response: &'r mut HttpResponseBuilder) -> &'r mut HttpResponseBuilder {
        let cache = if self.immutable { KEPT } else { ASKED_AGAIN };
        if self.by_cookie {
            response.insert_header((header::VARY, "cookie"));
        }
        response
            .insert_header((header::ETAG, self.tag.as_str()))
            .insert_header((header::CACHE_CONTROL, cache))
    }

    /// Returns the whole response. A response that is `truncated`, or lacks unreadable objects, may
    /// be larger next time: it gets no tag.
    pub(crate) async fn json<T: Serialize>(
        &self,
        (services, holder): (&Services, Holder),
        body: &T,
        truncated: bool,
        link: Option<String>,
    ) -> HttpResult {
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
