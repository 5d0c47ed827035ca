//! The way in: setup of an empty server, registration, login and logout.

pub(super) mod login;
pub(super) mod register;
pub(super) mod setup;

use actix_web::HttpRequest;
use actix_web::HttpResponse;

use super::layout::{own_path, see_other};
use crate::http::cookie;
use crate::services::web_logins::WebLogin;

/// Returns a redirect to `next`, with the cookie of the new login.
pub(in crate::web) fn welcome(request: &HttpRequest, login: WebLogin, next: &str) -> HttpResponse {
    let mut response = see_other(own_path(next));
    // A cookie that cannot be a header cannot be made from base64url.
    let _ = response.add_cookie(&cookie::started(request, login.secret, login.max_age));
    response
}
