//! Pages of lists: limits, cursors, `Link` and `ETag`.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use serde::Serialize;
use utoipa::ToSchema;

use crate::core::limits::Limits;
use crate::core::shares::Slot;
use crate::http::address::percent_encoded;
use crate::http::error::{HttpError, HttpResult};
use crate::http::extract::{holder_of, services};
use crate::http::pieces::Pieces;
use crate::http::validator::{knows, tag};
use crate::protocol::code::Code;
use crate::services::ServiceError;
use crate::services::answers::no_space;

/// Returns the requested number of items: 1 to `limits.page_max`, or the default.
pub(super) fn limit(asked: Option<i64>, limits: &Limits) -> Result<usize, HttpError> {
    let Some(asked) = asked else { return Ok(limits.page_default) };
    let fits = usize::try_from(asked).ok().filter(|asked| (1..=limits.page_max).contains(asked));
    fits.ok_or_else(|| HttpError::bad_request(format!("limit must be 1 to {}", limits.page_max)))
}

/// Checks a seq of a query string: 0 to 2^53.
pub(super) fn seq(name: &str, asked: Option<u64>) -> Result<Option<i64>, HttpError> {
    let parsed = asked.map(|value| crate::protocol::packet::seq(value).ok_or(value)).transpose();
    parsed.map_err(|value| HttpError::bad_request(format!("{name} must be 0 to 2^53, not {value}")))
}

/// A list, and the cursor of its next page.
#[derive(Serialize, ToSchema)]
pub(super) struct Items<T> {
    pub(super) items: Vec<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    /// The `cursor` of the next page; absent on the last page.
    pub(super) next: Option<String>,
}

/// Returns a page of a list; `next` is also sent as `Link: rel="next"` (RFC 8288).
pub(super) fn items<T: Serialize>(request: &HttpRequest, items: Vec<T>, next: Option<String>) -> HttpResult {
    items_within(request, items, next, None)
}

/// Like [`items`], with space that was reserved before.
pub(super) fn items_within<T: Serialize>(
    request: &HttpRequest,
    items: Vec<T>,
    next: Option<String>,
    space: Option<Slot>,
) -> HttpResult {
    let link = next.as_ref().map(|cursor| link(request, &[("cursor", cursor)], &["cursor"]));
    read_about(request, &Items { items, next }, link, (USUAL_BYTES, space))
}

/// Returns a link to the same request with other cursors.
pub(super) fn link(request: &HttpRequest, set: &[(&str, &str)], replaced: &[&str]) -> String {
    let kept = request.query_string().split('&').filter(|pair| {
        let name = pair.split('=').next().unwrap_or_default();
        !pair.is_empty() && !replaced.contains(&name)
    });
    let new = set.iter().map(|(name, value)| format!("{name}={}", percent_encoded(value)));
    let query: Vec<_> = kept.map(str::to_owned).chain(new).collect();
    format!("<{}?{}>; rel=\"next\"", request.uri().path(), query.join("&"))
}

/// A buffer size that fits most responses.
const USUAL_BYTES: usize = 1024;

/// Returns 200 with an `ETag` over the body, or 304 if the client already has it (RFC 9110 section
/// 13.1.2).
pub(super) fn read<T: Serialize>(request: &HttpRequest, body: &T, link: Option<String>) -> HttpResult {
    read_about(request, body, link, (USUAL_BYTES, None))
}

/// Like [`read`], with a buffer of about `bytes`, so that a page is not moved while it grows.
/// `space` was reserved before if the response is large.
pub(super) fn read_about<T: Serialize>(
    request: &HttpRequest,
    answer: &T,
    link: Option<String>,
    (bytes, space): (usize, Option<Slot>),
) -> HttpResult {
    let body = write(answer, bytes)?;
    let tag = tag(&body);
    let fresh = knows(request, &tag);
    let mut response = if fresh { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response.insert_header((header::ETAG, tag)).insert_header((header::CACHE_CONTROL, "private, no-cache"));
    if let Some(link) = link {
        response.insert_header((header::LINK, link));
    }
    if fresh { Ok(response.finish()) } else { json(request, &mut response, (body, space)) }
}

fn write<T: Serialize>(answer: &T, bytes: usize) -> Result<Vec<u8>, ServiceError> {
    let mut body = Vec::with_capacity(bytes);
    sonic_rs::to_writer(&mut body, answer).map_err(|error| {
        ServiceError::new(Code::Internal, "the response could not be serialized").because(error)
    })?;
    // So that a shell prompt after the output of curl starts on a new line.
    body.push(b'\n');
    Ok(body)
}

/// JSON bodies that end with a newline.
pub(super) trait JsonLine {
    fn json_line<T: Serialize>(&mut self, answer: T) -> HttpResponse;
}

impl JsonLine for HttpResponseBuilder {
    fn json_line<T: Serialize>(&mut self, answer: T) -> HttpResponse {
        match write(&answer, USUAL_BYTES) {
            Ok(body) => self.content_type("application/json").body(body),
            Err(error) => HttpError::from(error).respond(""),
        }
    }
}

/// Returns the response with this body. A large body holds space until its client has received it;
/// without space the result is 503.
fn json(
    request: &HttpRequest,
    response: &mut HttpResponseBuilder,
    (mut body, space): (Vec<u8>, Option<Slot>),
) -> HttpResult {
    response.content_type("application/json");
    let services = services(request)?;
    if body.len() <= services.limits.answer_small_bytes {
        return Ok(response.body(body));
    }
    // Space smaller than the body is released before more is reserved.
    let space = match space.filter(|space| space.slots() >= body.len()) {
        Some(mut space) => {
            space.shrink(body.len());
            space
        }
        None => services.answer_space(holder_of(request)?, body.len()).ok_or_else(no_space)?,
    };
    body.shrink_to_fit();
    Ok(response.body(Pieces::counted(body.into(), space)))
}
