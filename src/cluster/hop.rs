//! The header with which a node forwards a request: which client sent it, and which commits the
//! forwarding node had applied.
//!
//! Invariant: the header is valid only with the code of the key that the nodes share, at this node,
//! for this method and address, and with these credentials. A request with another header is served
//! as if it had none. A request that was recorded as a whole can be repeated, with its credentials.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, web};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use tracing::debug;

use super::own_address::{ANY_NODE, PATH};
use super::proxy::Proxy;
use crate::core::saturate;
use crate::domain::node::NodeName;
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
/// The value of the header in the answer of a node that has not read the commits of the forwarding
/// one.
pub(super) const BEHIND: &str = "behind";
/// Separates the key from others that are derived from the same one.
const CONTEXT: &[u8] = b"netbit hop, version 2\0";
/// The headers with credentials.
const CREDENTIALS: [&str; 2] = ["authorization", "cookie"];

/// The knowledge of the forwarding node about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hop {
    pub(super) client: IpAddr,
    /// Whether the client uses TLS.
    pub(super) is_https: bool,
    /// The newest commit that the forwarding node has applied.
    pub(super) commit_no: i64,
}

/// The request that a header is valid for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signed<'a> {
    /// The node that receives it; [`ANY_NODE`] for the request to [`PATH`] alone.
    pub(super) to: &'a NodeName,
    pub(super) method: &'a str,
    /// The path with the query.
    pub(super) address: &'a str,
    /// See [`credentials`].
    pub(super) credentials: &'a [u8],
}

/// Returns the SHA-256 of all credentials in the head of a request, in their order.
pub(super) fn credentials<'a, V: Iterator<Item = &'a [u8]>>(all: impl Fn(&'static str) -> V) -> [u8; 32] {
    let mut hash = Sha256::new();
    for name in CREDENTIALS {
        for value in all(name) {
            hash.update(name.as_bytes());
            hash.update(saturate::to_u64(value.len()).to_be_bytes());
            hash.update(value);
        }
    }
    hash.finalize().into()
}

/// The key of all nodes.
pub(super) struct HopKey(Hmac<Sha256>);

impl HopKey {
    /// Derives the key from the one that signs access tokens.
    ///
    /// # Errors
    /// HMAC refuses the length of the key; it accepts all.
    pub(super) fn new(signing_key: &[u8]) -> Option<Self> {
        let derived = Hmac::<Sha256>::new_from_slice(signing_key).ok()?.chain_update(CONTEXT).finalize();
        Hmac::new_from_slice(&derived.into_bytes()).ok().map(Self)
    }

    fn code(&self, signed: Signed<'_>, text: &str) -> Hmac<Sha256> {
        let Signed { to, method, address, credentials } = signed;
        let mut mac = self.0.clone();
        mac.update(credentials);
        for part in [to.as_str(), method, address, text] {
            mac.update(part.as_bytes());
            mac.update(&[0]);
        }
        mac
    }

    /// Returns the value of the header for a request.
    pub(super) fn sign(&self, hop: &Hop, signed: Signed<'_>) -> String {
        let Hop { client, is_https, commit_no } = hop;
        let text = format!("{client} {} {commit_no}", u8::from(*is_https));
        let code = self.code(signed, &text).finalize().into_bytes();
        format!("{text} {}", URL_SAFE_NO_PAD.encode(code))
    }

    fn verify(&self, value: &str, signed: Signed<'_>) -> Option<Hop> {
        let (text, code) = value.rsplit_once(' ')?;
        let code = URL_SAFE_NO_PAD.decode(code).ok()?;
        self.code(signed, text).verify_slice(&code).ok()?;
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
/// client. Removes the header in any case. Answers which node this is to a node that asks whether
/// its address leads to it.
pub async fn accept<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let sent: Vec<HeaderValue> = request.headers_mut().remove(&HOP).collect();
    if let (Some(value), Some(proxy)) = (sent.first(), request.app_data::<web::Data<Proxy>>().cloned()) {
        let is_check = address_of(&request) == PATH;
        let hop = {
            let all = |name| request.headers().get_all(name).map(HeaderValue::as_bytes);
            let (method, address) = (request.method().as_str(), address_of(&request));
            let any = NodeName::from(ANY_NODE);
            let to = if is_check { &any } else { &proxy.own.name };
            let signed = Signed { to, method, address, credentials: &credentials(all) };
            value.to_str().ok().and_then(|value| proxy.key.verify(value, signed))
        };
        match hop {
            Some(_) if is_check => {
                return Ok(request.into_response(proxy.own.answer()).map_into_right_body());
            }
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
    Ok(next.call(request).await?.map_into_left_body())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hop_is_valid_for_its_request_node_and_key_only() {
        let key = HopKey::new(&[7; 32]).unwrap();
        let hop = Hop { client: "2001:db8::7".parse().unwrap(), is_https: true, commit_no: 12 };
        let (a, b) = (NodeName::from("a"), NodeName::from("b"));
        let of = |token: &'static str| {
            credentials(|name| (name == "authorization").then_some(token.as_bytes()).into_iter())
        };
        let (mine, other) = (of("Bearer mine"), of("Bearer other"));
        let signed = Signed { to: &a, method: "GET", address: "/a/b/c?x=1", credentials: &mine };
        let value = key.sign(&hop, signed);
        assert_eq!(key.verify(&value, signed), Some(hop.clone()));
        assert_eq!(key.verify(&value, Signed { method: "POST", ..signed }), None);
        assert_eq!(key.verify(&value, Signed { address: "/a/b/c", ..signed }), None);
        assert_eq!(key.verify(&value, Signed { to: &b, ..signed }), None);
        assert_eq!(key.verify(&value, Signed { credentials: &other, ..signed }), None);
        assert_eq!(HopKey::new(&[8; 32]).unwrap().verify(&value, signed), None);
        let changed = value.replacen("2001:db8::7", "2001:db8::8", 1);
        assert_eq!(key.verify(&changed, signed), None);
        for wrong in ["", " ", "1.2.3.4 0 1 ", "1.2.3.4 0 1 AAAA"] {
            assert_eq!(key.verify(wrong, signed), None, "{wrong}");
        }
    }
}
