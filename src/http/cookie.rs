//! The cookie of a web login: an opaque secret, which the cache finds by its hash.
//!
//! Cookies ignore ports, so the name contains the port without TLS: two servers on one host would
//! otherwise end each other's logins. With TLS the prefix `__Host-` makes the browser refuse the
//! cookie from other hosts of the domain and over plain HTTP.

use std::borrow::Cow;

use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::header;
use actix_web::{HttpRequest, web};

use super::address::is_public_https;
use super::error::HttpError;
use super::extract::services;
use crate::domain::access::Credential;
use crate::protocol::code::Code;
use crate::services::Services;

/// How long a browser sends the cookie of its last commit. Longer than a node that is not stale
/// may be behind.
const COMMIT_SECONDS: i64 = 10;
/// Maximum length of a cookie value that is looked up.
const SECRET_BYTES_MAX: usize = 128;
/// Maximum number of values that are looked up.
const SECRETS_MAX: usize = 3;

/// Returns whether the user's browser uses TLS: as far as the server sees it, or because the
/// request was sent to `http.public_url`, which is an `https` address.
fn is_secure(request: &HttpRequest) -> bool {
    let services = request.app_data::<web::Data<Services>>();
    let public = services.and_then(|services| services.git.public_url());
    is_public_https(request, public)
}

fn name(request: &HttpRequest) -> Cow<'static, str> {
    if is_secure(request) {
        "__Host-netbit".into()
    } else {
        format!("netbit-{}", request.app_config().local_addr().port()).into()
    }
}

/// Returns the name of the cookie of the last commit.
fn commit_name(request: &HttpRequest) -> Cow<'static, str> {
    format!("{}-commit", name(request)).into()
}

fn cookie(request: &HttpRequest, value: String, max_age: Duration) -> Cookie<'static> {
    named(request, name(request), value, max_age)
}

fn named(
    request: &HttpRequest,
    name: Cow<'static, str>,
    value: String,
    max_age: Duration,
) -> Cookie<'static> {
    Cookie::build(name, value)
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(is_secure(request))
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

/// Returns the values of the login cookie, at most [`SECRETS_MAX`].
///
/// Other applications of the host may set cookies too, also of this name for a longer path, and
/// with bytes that are not text. Their cookies are skipped.
fn secrets(request: &HttpRequest) -> Vec<String> {
    values(request, &name(request))
}

/// Returns the cookie of the last commit of this browser.
pub(crate) fn committed(request: &HttpRequest, token: String) -> Cookie<'static> {
    named(request, commit_name(request), token, Duration::seconds(COMMIT_SECONDS))
}

/// Returns whether an answer sets the cookie of the last commit.
pub(crate) fn commits(request: &HttpRequest, headers: &header::HeaderMap) -> bool {
    let name = commit_name(request);
    let is_it = |value: &header::HeaderValue| {
        value.as_bytes().strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b"="))
    };
    headers.get_all(header::SET_COOKIE).any(is_it)
}

/// Returns the value of the cookie of the last commit.
pub(crate) fn commit(request: &HttpRequest) -> Option<String> {
    values(request, &commit_name(request)).into_iter().next()
}

/// Returns the values of the cookie `name`, at most [`SECRETS_MAX`].
fn values(request: &HttpRequest, name: &str) -> Vec<String> {
    let pairs = request
        .headers()
        .get_all(header::COOKIE)
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
    let values = pairs.filter_map(|pair| {
        let value = pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        let is_secret = !value.is_empty() && value.len() <= SECRET_BYTES_MAX;
        std::str::from_utf8(value).ok().filter(|_| is_secret).map(str::to_owned)
    });
    values.take(SECRETS_MAX).collect()
}

/// Returns whether the request has a login cookie, of whatever value.
pub(crate) fn is_sent(request: &HttpRequest) -> bool {
    !secrets(request).is_empty()
}

/// Returns the credential of the login cookie; `None` without one, or if its login has ended.
///
/// # Errors
/// If the cache does not answer.
pub(crate) async fn credential(request: &HttpRequest) -> Result<Option<Credential>, HttpError> {
    for secret in secrets(request) {
        match services(request)?.web_credential(&secret).await {
            Ok(who) => return Ok(Some(who)),
            Err(error) if error.code == Code::Unauthenticated => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}
