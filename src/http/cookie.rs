//! The cookie of a web login: an opaque secret, which the cache finds by its hash.
//!
//! Cookies ignore ports, so the name contains the port without TLS: two servers on one host would
//! otherwise end each other's logins. With TLS the prefix `__Host-` makes the browser refuse the
//! cookie from other hosts of the domain and over plain HTTP.

use std::borrow::Cow;

use actix_web::HttpRequest;
use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};

use super::address::is_https;
use super::error::HttpError;
use super::extract::services;
use crate::domain::access::Credential;

/// Maximum length of a cookie value that is looked up.
const SECRET_BYTES_MAX: usize = 128;

fn name(request: &HttpRequest) -> Cow<'static, str> {
    if is_https(request) {
        "__Host-netbit".into()
    } else {
        format!("netbit-{}", request.app_config().local_addr().port()).into()
    }
}

fn cookie(request: &HttpRequest, value: String, max_age: Duration) -> Cookie<'static> {
    Cookie::build(name(request), value)
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(is_https(request))
        .max_age(max_age)
        .finish()
}

/// Returns the cookie that starts a login, for `max_age_seconds`.
pub(crate) fn started(request: &HttpRequest, secret: String, max_age_seconds: i64) -> Cookie<'static> {
    cookie(request, secret, Duration::seconds(max_age_seconds))
}

/// Returns the cookie that removes a login from the browser.
pub(crate) fn ended(request: &HttpRequest) -> Cookie<'static> {
    cookie(request, String::new(), Duration::ZERO)
}

/// Returns the secret of the request's login cookie.
pub(crate) fn secret(request: &HttpRequest) -> Option<String> {
    let cookie = request.cookie(&name(request))?;
    Some(cookie.value().to_owned()).filter(|secret| !secret.is_empty() && secret.len() <= SECRET_BYTES_MAX)
}

/// Returns the credential of the login cookie; `None` without one, or if its login has ended.
///
/// # Errors
/// If the cache does not answer.
pub(crate) async fn credential(request: &HttpRequest) -> Result<Option<Credential>, HttpError> {
    let Some(secret) = secret(request) else { return Ok(None) };
    match services(request)?.web_credential(&secret).await {
        Ok(who) => Ok(Some(who)),
        Err(error) if error.code == crate::protocol::code::Code::Unauthenticated => Ok(None),
        Err(error) => Err(error.into()),
    }
}
