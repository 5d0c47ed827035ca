//! Cross-origin requests: pages of `http.allowed_origins` may use the API.
//!
//! Preflights are answered here, without an actor. Credentials are never allowed: such a page sends
//! its token in `Authorization` itself. So a browser adds nothing to a request that a page of
//! another origin makes.

use actix_cors::Cors;
use actix_web::dev::ServiceResponse;
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderValue};
use actix_web::web;

use super::commit_token::NETBIT_COMMIT;
use crate::core::origins::AllowedOrigins;

/// How long a browser may cache a preflight response, in seconds.
const PREFLIGHT_SECONDS: usize = 600;

/// Returns whether pages of other origins may request this path.
fn is_shared(path: &str) -> bool {
    path.starts_with("/api/")
}

/// Adds the allowed origin to a refusal that is made outside of the CORS layer, so that the page
/// can read it.
pub(crate) fn name_origin<B>(response: &mut ServiceResponse<B>) {
    let request = response.request();
    let origin = request.headers().get(header::ORIGIN).cloned();
    let allowed = request.app_data::<web::Data<AllowedOrigins>>().cloned();
    let (Some(origin), Some(allowed)) = (origin, allowed) else { return };
    if is_shared(request.path()) && origin.to_str().is_ok_and(|origin| allowed.contains(origin)) {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::VARY, HeaderValue::from_static("origin"));
    }
}

/// Returns the layer that answers preflights and adds the allowed origin to responses.
pub fn cors(origins: AllowedOrigins) -> Cors {
    Cors::default()
        .allowed_origin_fn(move |origin, request| {
            is_shared(request.uri.path()) && origin.to_str().is_ok_and(|origin| origins.contains(origin))
        })
        .allowed_methods([
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        .allowed_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::ACCEPT,
            header::IF_NONE_MATCH,
            header::RANGE,
            header::IF_RANGE,
            header::CONTENT_RANGE,
            header::HeaderName::from_static("x-request-id"),
            NETBIT_COMMIT,
        ])
        .expose_headers([
            header::ETAG,
            header::LINK,
            header::LOCATION,
            header::RETRY_AFTER,
            header::CONTENT_DISPOSITION,
            header::CONTENT_RANGE,
            header::HeaderName::from_static("upload-offset"),
            header::HeaderName::from_static("upload-length"),
            header::HeaderName::from_static("x-request-id"),
            NETBIT_COMMIT,
        ])
        .max_age(PREFLIGHT_SECONDS)
}
