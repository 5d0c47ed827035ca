//! The page on which the API can be read and tried, without any network but this server.

use std::borrow::Cow;
use std::sync::Arc;

use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpResponse, web};
use bytes::Bytes;
use utoipa_swagger_ui::Config;

use super::error::{ApiResult, no_route};
use super::extract::Path;
use super::pieces::Pieces;

/// The page runs its own scripts and asks its own server, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// How the page is set up. Made once.
#[derive(Clone)]
pub struct Page(Arc<Config<'static>>);

impl Default for Page {
    fn default() -> Self {
        let config =
            Config::from("/api/openapi.json").try_it_out_enabled(true).display_request_duration(true);
        Self(Arc::new(config))
    }
}

/// `/docs` is a folder.
pub(super) async fn folder() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((header::LOCATION, "/docs/")).finish()
}

/// One file of the page.
pub(super) async fn file(name: Path<String>, page: web::Data<Page>) -> ApiResult {
    let Ok(Some(file)) = utoipa_swagger_ui::serve(&name.0, page.0.clone()) else { return no_route().await };
    let mut response = HttpResponse::Ok();
    response
        .content_type(file.content_type)
        .insert_header((header::CACHE_CONTROL, "public, max-age=3600"))
        .insert_header((header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)));
    if file.gzpipped {
        response.insert_header(header::ContentEncoding::Gzip);
    }
    let bytes = match file.bytes {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => bytes.into(),
    };
    Ok(response.body(Pieces::shared(bytes)))
}
