//! The header with which a node forwards a request: which client sent it, and which commits the
//! forwarding node had applied.
//!
//! Invariant: the header is valid only with the code of the key that the nodes share, for this
//! method and this address. A request with another header is served as if it had none.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, web};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tracing::debug;

use super::proxy::Proxy;
use crate::http::address::ClientScheme;

pub(super) const HOP_NAME: &str = "netbit-hop";
const HOP: HeaderName = HeaderName::from_static(HOP_NAME);
/// Headers of reverse proxies. The header of the hop replaces them.
pub(super) const FORWARDED: [HeaderName; 4] = [
    HeaderName::from_static("forwarded"),
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
];
/// Separates these codes from others that use the same key.
const CONTEXT: &[u8] = b"netbit hop, version 1\0";

/// The knowledge of the forwarding node about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hop {
    pub(super) client: IpAddr,
    /// Whether the client uses TLS.
    pub(super) is_https: bool,
    /// The newest commit that the forwarding node has applied.
    pub(super) commit_no: i64,
}

/// The key of all nodes.
pub(super) struct HopKey(Hmac<Sha256>);

impl HopKey {
    /// Derives the key from the one that signs access tokens.
    ///
    /// # Errors
    /// HMAC refuses the length of the key; it accepts all.
    pub(super) fn new(signing_key: &[u8]) -> Option<Self> {
        Hmac::new_from_slice(signing_key).ok().map(Self)
    }

    fn code(&self, method: &str, address: &str, text: &str) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        mac.update(CONTEXT);
        for part in [method, address, text] {
            mac.update(part.as_bytes());
            mac.update(&[0]);
        }
        mac
    }

    /// Returns the value of the header for a request to `address`, a path with its query.
    pub(super) fn sign(&self, hop: &Hop, method: &str, address: &str) -> String {
        let Hop { client, is_https, commit_no } = hop;
        let text = format!("{client} {} {commit_no}", u8::from(*is_https));
        let code = self.code(method, address, &text).finalize().into_bytes();
        format!("{text} {}", URL_SAFE_NO_PAD.encode(code))
    }

    fn verify(&self, value: &str, method: &str, address: &str) -> Option<Hop> {
        let (text, code) = value.rsplit_once(' ')?;
        let code = URL_SAFE_NO_PAD.decode(code).ok()?;
        self.code(method, address, text).verify_slice(&code).ok()?;
        let mut parts = text.split(' ');
        let (client, https, commit_no) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Hop {
            client: IpAddr::from_str(client).ok()?,
            is_https: https == "1",
            commit_no: commit_no.parse().ok()?,
        })
    }
}

/// Returns the path and query of a request, as the client sent them.
pub(super) fn address_of(request: &ServiceRequest) -> &str {
    request.uri().path_and_query().map_or("/", |address| address.as_str())
}

/// The outermost layer: a request that another node forwarded continues with the address of its
/// client. Removes the header in any case.
pub async fn accept<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let sent: Vec<HeaderValue> = request.headers_mut().remove(&HOP).collect();
    if let Some(value) = sent.first() {
        let proxy = request.app_data::<web::Data<Proxy>>().cloned();
        let method: Method = request.method().clone();
        let hop = proxy
            .and_then(|proxy| proxy.key.verify(value.to_str().ok()?, method.as_str(), address_of(&request)));
        match hop {
            Some(hop) => {
                for name in FORWARDED {
                    drop(request.headers_mut().remove(name));
                }
                request.head_mut().peer_addr = Some(SocketAddr::new(hop.client, 0));
                request.extensions_mut().insert(ClientScheme { is_https: hop.is_https });
                request.extensions_mut().insert(hop);
            }
            None => debug!(peer = ?request.peer_addr(), "a request has an invalid NetBit-Hop header"),
        }
    }
    next.call(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hop_is_valid_for_its_key_method_and_address_only() {
        let key = HopKey::new(&[7; 32]).unwrap();
        let hop = Hop { client: "2001:db8::7".parse().unwrap(), is_https: true, commit_no: 12 };
        let value = key.sign(&hop, "GET", "/a/b/c?x=1");
        assert_eq!(key.verify(&value, "GET", "/a/b/c?x=1"), Some(hop.clone()));
        assert_eq!(key.verify(&value, "POST", "/a/b/c?x=1"), None);
        assert_eq!(key.verify(&value, "GET", "/a/b/c"), None);
        assert_eq!(HopKey::new(&[8; 32]).unwrap().verify(&value, "GET", "/a/b/c?x=1"), None);
        let other = value.replacen("2001:db8::7", "2001:db8::8", 1);
        assert_eq!(key.verify(&other, "GET", "/a/b/c?x=1"), None);
        for wrong in ["", " ", "1.2.3.4 0 1 ", "1.2.3.4 0 1 AAAA"] {
            assert_eq!(key.verify(wrong, "GET", "/a/b/c?x=1"), None, "{wrong}");
        }
    }
}
