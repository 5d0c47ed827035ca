//! The address at which a node serves other nodes.

use actix_web::http::Uri;

/// The URL of a node: a scheme, a host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeAddress {
    pub is_encrypted: bool,
    /// Without the brackets of an IPv6 address.
    pub host: String,
    pub port: u16,
}

impl NodeAddress {
    /// Parses `http://HOST:PORT` or `https://HOST:PORT`; a missing port is that of the scheme.
    pub fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let is_encrypted = match uri.scheme_str()? {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let host = uri.host()?.trim_matches(['[', ']']).to_owned();
        let has_path = !matches!(uri.path(), "" | "/") || uri.query().is_some();
        let has_user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
        if host.is_empty() || has_path || has_user {
            return None;
        }
        let port = uri.port_u16().unwrap_or(if is_encrypted { 443 } else { 80 });
        Some(Self { is_encrypted, host, port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_has_scheme_host_and_port() {
        let of = |text| NodeAddress::parse(text).map(|at| (at.is_encrypted, at.host, at.port));
        assert_eq!(of("http://10.0.0.1:8080"), Some((false, "10.0.0.1".into(), 8080)));
        assert_eq!(of("https://a.example/"), Some((true, "a.example".into(), 443)));
        assert_eq!(of("http://[::1]:1"), Some((false, "::1".into(), 1)));
        for wrong in ["", "10.0.0.1:8080", "ftp://a", "http://", "http://a/b", "http://a?b", "http://u:p@a"] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }
}
