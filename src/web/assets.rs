//! The style sheet, scripts and images of the pages, embedded in the binary by `build.rs`.
//!
//! The address contains a hash of all files, so browsers cache them without asking again. A page of
//! an earlier version requests another hash and gets 404; its next load has the right one.

use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;

use super::loose;
use crate::http::compressed::accepts_gzip;
use crate::http::error::{HttpResult, no_route};
use crate::http::extract::Path;
use crate::http::pieces::Pieces;

/// An embedded file.
pub(super) struct Asset {
    name: &'static str,
    bytes: &'static [u8],
    gzip: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// Cached for a year; the content of an address never changes (RFC 8246).
const IMMUTABLE: &str = "public, max-age=31536000, immutable";
/// Cached for an hour, for addresses without a hash.
const AN_HOUR: &str = "public, max-age=3600";
/// Below this size, compression saves no packet.
const COMPRESSED_FROM: usize = 1_000;

/// Crawlers may read public projects, but not the views that cost the server most.
const ROBOTS: &str = "User-agent: *\nDisallow: /api/\nDisallow: /docs/\nDisallow: /*/-/archive/\nDisallow: /*/-/blame/\n\
     Disallow: /*/-/commits/\nDisallow: /*/-/compare/\nDisallow: /*/-/find/\nDisallow: /*/-/raw/\n";

/// Returns the type of a file; `None` for files that no page uses.
pub(super) fn content_type(name: &str) -> Option<&'static str> {
    match name.rsplit('.').next() {
        Some("css") => Some("text/css; charset=utf-8"),
        Some("js") => Some("text/javascript; charset=utf-8"),
        Some("svg") => Some("image/svg+xml"),
        _ => None,
    }
}

/// Returns where pages find their files.
pub(super) fn root_of(request: &HttpRequest) -> &'static str {
    if loose::folder_of(request).is_some() { loose::ROOT } else { ROOT }
}

/// Returns an embedded file, or a loose file for the development of pages.
pub(super) async fn file(request: HttpRequest, path: Path<(String, String)>) -> HttpResult {
    let (hash, name) = path.0;
    if let Some(folder) = loose::folder_of(&request).filter(|_| hash == loose::HASH) {
        return loose::serve(folder, &name).await;
    }
    if hash != HASH {
        return no_route().await;
    }
    serve(&request, &name, IMMUTABLE).await
}

/// Returns the icon, at the address that browsers request without a page.
pub(super) async fn favicon(request: HttpRequest) -> HttpResult {
    serve(&request, "icon.svg", AN_HOUR).await
}

async fn serve(request: &HttpRequest, name: &str, cache: &'static str) -> HttpResult {
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name) else { return no_route().await };
    let mut response = HttpResponse::Ok();
    response
        .content_type(content_type(name).unwrap_or("application/octet-stream"))
        .insert_header((header::CACHE_CONTROL, cache))
        .insert_header((header::VARY, HeaderValue::from_static("accept-encoding")));
    let bytes = if asset.bytes.len() >= COMPRESSED_FROM && accepts_gzip(request) {
        response.insert_header(header::ContentEncoding::Gzip);
        asset.gzip
    } else {
        asset.bytes
    };
    Ok(response.body(Pieces::shared(Bytes::from_static(bytes))))
}

/// Returns the rules for crawlers.
pub(super) async fn robots() -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response.content_type("text/plain; charset=utf-8").insert_header((header::CACHE_CONTROL, AN_HOUR));
    response.body(ROBOTS)
}
