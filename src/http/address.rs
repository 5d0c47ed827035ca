//! URLs for clients: base URLs, and the new location of renamed resources.

use std::net::SocketAddr;

use actix_web::http::header;
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};

use crate::core::proxies::TrustedProxies;
pub(crate) use crate::domain::percent::{path_encoded, percent_encoded};
use crate::git::browse::path_text;
use crate::services::Services;

/// Returns the base URL of links in responses: as configured, otherwise as the client reached the
/// server.
pub(crate) fn base_url(request: &HttpRequest, services: &Services) -> String {
    if let Some(configured) = services.git.public_url() {
        return configured.to_owned();
    }
    let scheme = if is_https(request) { "https" } else { "http" };
    let host = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    let plain = |host: &&str| {
        !host.is_empty()
            && host.len() <= 255
            && host
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']'))
    };
    match host.filter(plain) {
        Some(host) => format!("{scheme}://{host}"),
        None => format!("{scheme}://{}", request.app_config().local_addr()),
    }
}

/// Whether the client of a request that another node forwarded uses TLS. Stored in its extensions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientScheme {
    pub(crate) is_https: bool,
}

/// Returns whether the client uses TLS: to this server, or to a trusted proxy that sends
/// `X-Forwarded-Proto`.
pub(crate) fn is_https(request: &HttpRequest) -> bool {
    if let Some(scheme) = request.extensions().get::<ClientScheme>() {
        return scheme.is_https;
    }
    if request.app_config().secure() {
        return true;
    }
    let proxies = request.app_data::<web::Data<TrustedProxies>>();
    let trusted = request.peer_addr().zip(proxies).is_some_and(|(peer, proxies)| proxies.trusts(peer.ip()));
    // Each proxy appends or replaces a value: the last value is that of the nearest proxy.
    let forwarded = request.headers().get_all("x-forwarded-proto").last();
    let scheme = forwarded.and_then(|value| value.to_str().ok()?.rsplit(',').next().map(str::trim));
    trusted && scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"))
}

/// Returns whether users reach the server by https as far as it knows: [`is_https`], or the
/// configured address of the users begins with `https` and its host is that of the request.
pub(crate) fn is_public_https(request: &HttpRequest, public_url: Option<&str>) -> bool {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let public = public_url.and_then(|url| url.strip_prefix("https://"));
    is_https(request) || public.zip(host).is_some_and(|(public, host)| public.eq_ignore_ascii_case(host))
}

/// Returns a 308 redirect to the same route under the present name: `now` replaces the first `old`
/// path segments.
pub(crate) fn moved(request: &HttpRequest, old: usize, now: &str) -> HttpResponse {
    // As the client encoded it: the decoded path may contain any character.
    let rest: Vec<_> = request.uri().path().split('/').skip(old + 1).collect();
    let mut location = now.to_owned();
    for segment in rest {
        location.push('/');
        location.push_str(segment);
    }
    if !request.query_string().is_empty() {
        location.push('?');
        location.push_str(request.query_string());
    }
    HttpResponse::PermanentRedirect().insert_header((header::LOCATION, location)).finish()
}

/// Returns a path of a repository that a query has under `key`, as the client sent it.
pub(crate) fn query_path(request: &HttpRequest, key: &str, path: String) -> String {
    let pairs = request.query_string().split('&').filter_map(|pair| pair.split_once('='));
    as_sent(path, pairs.filter(|(name, _)| *name == key).map(|(_, value)| value).next_back())
}

/// Returns a path of a repository that begins at a segment of the URL, as the client sent it.
pub(crate) fn url_path(request: &HttpRequest, segment: usize, path: String) -> String {
    as_sent(path, request.uri().path().splitn(segment.saturating_add(1), '/').nth(segment))
}

/// Returns a path as the client sent it. The framework replaces bytes that are not UTF-8; then the
/// path is read again from its percent-encoded form.
fn as_sent(path: String, encoded: Option<&str>) -> String {
    if !path.contains(char::REPLACEMENT_CHARACTER) {
        return path;
    }
    let bytes = encoded.map(percent_decoded).filter(|bytes| std::str::from_utf8(bytes).is_err());
    bytes.map_or(path, |bytes| path_text::escaped(&bytes))
}

/// Decodes percent-encoded text (RFC 3986 section 2.1). Invalid escapes are kept as they are.
pub(crate) fn percent_decoded(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((first, behind)) = rest.split_first() {
        let digits = behind.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = behind.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    bytes
}

/// Returns the address of another listener for this client. A listener on an unspecified address is
/// returned with the host that the client used.
pub(crate) fn reachable(request: &HttpRequest, listener: &str) -> String {
    let connection = request.connection_info();
    match listener.parse::<SocketAddr>().ok().zip(host_of(connection.host())) {
        Some((listen, host)) if listen.ip().is_unspecified() => format!("{host}:{}", listen.port()),
        _ => listener.to_owned(),
    }
}

/// Returns the host of `example.org:8080`; brackets of an IPv6 address stay.
fn host_of(authority: &str) -> Option<&str> {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    Some(host).filter(|host| !host.is_empty())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn path_keeps_bytes_that_are_not_utf8() {
        let request =
            TestRequest::with_uri("/a/tree/x%2fy%E9?path=first&path=caf%E9%20&file=b").to_http_request();
        let (lossy, escaped) = ("caf\u{fffd} ".to_owned(), path_text::escaped(b"caf\xe9 "));
        assert_eq!(query_path(&request, "path", lossy.clone()), escaped);
        assert_eq!(query_path(&request, "path", "plain".to_owned()), "plain");
        assert_eq!(query_path(&request, "file", lossy.clone()), lossy, "the client sent U+FFFD itself");
        assert_eq!(query_path(&request, "missing", lossy.clone()), lossy);
        assert_eq!(url_path(&request, 3, "x/y\u{fffd}".to_owned()), path_text::escaped(b"x/y\xe9"));
    }
}
