//! The API documentation page. It works without any network except this server.

use std::borrow::Cow;
use std::io::Read;
use std::sync::{Arc, OnceLock};

use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use flate2::read::GzDecoder;
use utoipa_swagger_ui::Config;

use crate::http::compressed::accepts_gzip;
use crate::http::error::{HttpResult, no_route};
use crate::http::extract::Path;
use crate::http::pieces::Pieces;

/// The page runs its own scripts and requests its own server, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The configuration of the page. Built once.
#[derive(Clone)]
pub struct DocsPage(Arc<Config<'static>>);

impl Default for DocsPage {
    fn default() -> Self {
        let config =
            Config::from("/api/openapi.json").try_it_out_enabled(true).display_request_duration(true);
        Self(Arc::new(config))
    }
}

/// Redirects `/docs`, which is a folder.
pub(super) async fn folder() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((header::LOCATION, "/docs/")).finish()
}

/// The compressed files of the page. Each is inflated once, when a client does not accept gzip:
/// some 5 MB in total.
static INFLATED: [(&str, OnceLock<Bytes>); 10] = [
    ("index.html", OnceLock::new()),
    ("swagger-ui.css", OnceLock::new()),
    ("index.css", OnceLock::new()),
    ("swagger-ui-bundle.js", OnceLock::new()),
    ("swagger-ui-standalone-preset.js", OnceLock::new()),
    ("swagger-ui.js", OnceLock::new()),
    ("favicon-16x16.png", OnceLock::new()),
    ("favicon-32x32.png", OnceLock::new()),
    ("oauth2-redirect.html", OnceLock::new()),
    ("oauth2-redirect.js", OnceLock::new()),
];

/// Inflates a file for a client that does not accept gzip. Returns `None` for a file that the page
/// does not use.
fn inflated(name: &str, gzipped: &[u8]) -> Option<Bytes> {
    let name = if name.is_empty() { "index.html" } else { name };
    let (_, file) = INFLATED.iter().find(|(known, _)| *known == name)?;
    let inflate = || {
        let mut bytes = Vec::new();
        // The files are compiled in, so they cannot be corrupt.
        let read = GzDecoder::new(gzipped).read_to_end(&mut bytes);
        read.map_or_else(|_| Bytes::new(), |_| bytes.into())
    };
    Some(file.get_or_init(inflate).clone())
}

/// Returns a file of the page.
pub(super) async fn file(request: HttpRequest, name: Path<String>, page: web::Data<DocsPage>) -> HttpResult {
    let Ok(Some(file)) = utoipa_swagger_ui::serve(&name.0, page.0.clone()) else { return no_route().await };
    let mut response = HttpResponse::Ok();
    response
        .content_type(file.content_type)
        .insert_header((header::CACHE_CONTROL, "public, max-age=3600"))
        .insert_header((header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)));
    if file.gzpipped {
        response.insert_header((header::VARY, "accept-encoding"));
        if accepts_gzip(&request) {
            response.insert_header(header::ContentEncoding::Gzip);
        } else {
            let Some(bytes) = inflated(&name.0, &file.bytes) else { return no_route().await };
            return Ok(response.body(Pieces::shared(bytes)));
        }
    }
    let bytes = match file.bytes {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => bytes.into(),
    };
    Ok(response.body(Pieces::shared(bytes)))
}
