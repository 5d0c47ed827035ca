//! Whether a request comes from a page of this server.
//!
//! A browser adds the login cookie to requests that pages of other origins cause. So a request that
//! uses the cookie and changes something must come from a page of this server
//! ([`check_same_origin`]), as the browser itself states: `Sec-Fetch-Site`, else `Origin`.

use std::sync::LazyLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use actix_web::http::header::{self, HeaderName};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, web};

use super::address::is_public_https;
use super::error::HttpError;
use crate::core::telemetry::cut;
use crate::protocol::code::Code;
use crate::services::Services;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Returns whether `Origin` names this host or the configured address; `None` without `Origin`.
pub(crate) fn is_own_origin(request: &HttpRequest, public_url: Option<&str>) -> Option<bool> {
    let origin = request.headers().get(header::ORIGIN)?;
    let host = request.headers().get(header::HOST);
    let (Ok(origin), Some(Ok(host))) = (origin.to_str(), host.map(|host| host.to_str())) else {
        return Some(false);
    };
    // A proxy that is not trusted may use TLS, which the server does not know.
    let is_plain = !is_public_https(request, public_url);
    let is_scheme = |scheme: &str| scheme == "https" || scheme == "http" && is_plain;
    let own = origin
        .split_once("://")
        .is_some_and(|(scheme, authority)| is_scheme(scheme) && authority.eq_ignore_ascii_case(host));
    Some(own || public_url.is_some_and(|url| url.eq_ignore_ascii_case(origin)))
}

/// The detail of the refusal of [`check_same_origin`].
pub(crate) const NOT_SAME_ORIGIN: &str =
    "this request did not come from a page of this server; open the page again";

/// Refuses a request that may change something unless it comes from a page of this server.
///
/// # Errors
/// 403 if the browser names another site, or names none.
pub(crate) fn check_same_origin(request: &HttpRequest) -> Result<(), HttpError> {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let services = request.app_data::<web::Data<Services>>();
    let public_url = services.and_then(|services| services.git.public_url());
    let is_own = match request.headers().get(SEC_FETCH_SITE) {
        Some(site) => site == "same-origin",
        None => is_own_origin(request, public_url).unwrap_or(false),
    };
    if is_own {
        return Ok(());
    }
    warn_of_host(request);
    Err(HttpError::with_status(StatusCode::FORBIDDEN, Code::Forbidden, NOT_SAME_ORIGIN))
}

/// Minimum time between two warnings, so that a stranger cannot use up the only one.
const WARNED_EVERY: Duration = Duration::from_secs(3600);

/// Returns whether a warning is due at this time since the start, and records it. `due_s`: the
/// second from which the next one is due.
fn is_due(due_s: &AtomicU64, since_start: Duration) -> bool {
    let (now, due) = (since_start.as_secs(), due_s.load(Relaxed));
    let next = now.saturating_add(WARNED_EVERY.as_secs());
    now >= due && due_s.compare_exchange(due, next, Relaxed, Relaxed).is_ok()
}

/// Informs the operator, at most once an hour, that a proxy may replace `Host`: the forms of all
/// users fail then. A page of another site causes the same refusal.
fn warn_of_host(request: &HttpRequest) {
    static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);
    static DUE_S: AtomicU64 = AtomicU64::new(0);
    let origin = request.headers().get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
    let is_browser = request.headers().contains_key(SEC_FETCH_SITE);
    if is_browser || origin.is_none() || !is_due(&DUE_S, STARTED.elapsed()) {
        return;
    }
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    tracing::warn!(
        origin = %cut(origin.unwrap_or_default()),
        host = %cut(host.unwrap_or_default()),
        "a form was refused because Origin and Host differ; if a proxy replaces Host, set http.public_url \
         to the address of the users"
    );
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn warning_is_due_once_an_hour() {
        let due = AtomicU64::new(0);
        let at = |seconds| is_due(&due, Duration::from_secs(seconds));
        assert_eq!([0, 1, 3599, 3600, 3601, 90_000].map(at), [true, false, false, true, false, true]);
    }

    #[test]
    fn origin_is_own_if_it_names_this_host_or_the_public_url() {
        let own = |origin: Option<&'static str>| {
            let mut request = TestRequest::get().insert_header((header::HOST, "chat.example:8080"));
            if let Some(origin) = origin {
                request = request.insert_header((header::ORIGIN, origin));
            }
            is_own_origin(&request.to_http_request(), Some("https://git.example.org"))
        };
        assert_eq!(own(None), None);
        for origin in ["http://chat.example:8080", "https://git.example.org"] {
            assert_eq!(own(Some(origin)), Some(true), "{origin}");
        }
        for origin in [
            "http://evil.example",
            "x://chat.example:8080",
            "null",
            "http://chat.example",
            "https://git.example.org.evil",
        ] {
            assert_eq!(own(Some(origin)), Some(false), "{origin}");
        }
    }

    #[test]
    fn plain_origin_is_foreign_when_users_come_by_https() {
        let own = |origin: &'static str, public_url: &str| {
            let request = TestRequest::get().insert_header((header::HOST, "git.example.org"));
            is_own_origin(
                &request.insert_header((header::ORIGIN, origin)).to_http_request(),
                Some(public_url),
            )
        };
        assert_eq!(own("https://git.example.org", "https://git.example.org"), Some(true));
        assert_eq!(own("http://git.example.org", "https://git.example.org"), Some(false));
        assert_eq!(own("http://git.example.org", "https://other.example.org"), Some(true));
    }

    #[test]
    fn unsafe_request_needs_a_statement_of_the_browser() {
        let check = |method: Method, site: Option<&'static str>, origin: Option<&'static str>| {
            let mut request =
                TestRequest::default().method(method).insert_header((header::HOST, "a.example"));
            if let Some(site) = site {
                request = request.insert_header((SEC_FETCH_SITE, site));
            }
            if let Some(origin) = origin {
                request = request.insert_header((header::ORIGIN, origin));
            }
            check_same_origin(&request.to_http_request()).is_ok()
        };
        assert!(check(Method::GET, Some("cross-site"), None));
        assert!(check(Method::POST, Some("same-origin"), None));
        assert!(check(Method::POST, None, Some("http://a.example")));
        for site in ["cross-site", "same-site", "none"] {
            assert!(!check(Method::POST, Some(site), Some("http://a.example")), "{site}");
        }
        assert!(!check(Method::POST, None, None));
        assert!(!check(Method::DELETE, None, Some("null")));
        assert!(!check(Method::POST, None, Some("http://evil.example")));
    }
}
