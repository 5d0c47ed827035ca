//! Reverse proxies: whose `X-Forwarded-For` header the server trusts.

use std::fmt;
use std::net::IpAddr;
use std::sync::OnceLock;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Addresses and networks of trusted proxies, separated by commas. None is trusted by default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    pub fn parse(text: &str) -> Option<Self> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let network = |part: &str| part.parse().ok().or_else(|| part.parse::<IpAddr>().ok().map(IpNet::from));
        parts.map(network).collect::<Option<_>>().map(Self)
    }

    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Returns the address of the client: `peer` itself, or, if that is a proxy, the last address
    /// in `X-Forwarded-For` that is not a proxy. Each proxy appends the address that its request
    /// came from, so a client can forge any entry further left.
    pub fn client<'a>(&self, peer: IpAddr, forwarded: impl DoubleEndedIterator<Item = &'a str>) -> IpAddr {
        if !self.trusts(peer) {
            return peer;
        }
        let mut client = peer;
        for entry in forwarded.rev().flat_map(|line| line.rsplit(',')) {
            let Ok(address) = entry.trim().parse::<IpAddr>() else { return client };
            client = address.to_canonical();
            if !self.trusts(address) {
                return client;
            }
        }
        client
    }
}

/// Peers recorded of each kind.
const FORWARDERS: usize = 16;

/// Peers that send `X-Forwarded-For` without being trusted: a proxy that is missing in
/// `http.trusted_proxies`, or a client that forges addresses. Each peer is recorded once, and only
/// the first few.
#[derive(Debug, Default)]
pub struct UntrustedForwarders {
    /// On this machine or in a private network, where proxies are.
    private: [OnceLock<IpAddr>; FORWARDERS],
    /// Elsewhere. Clients there cannot use up the space of the private ones.
    public: [OnceLock<IpAddr>; FORWARDERS],
}

impl UntrustedForwarders {
    /// Records the peer. Returns whether it is new and was recorded.
    pub fn saw(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        let kind = if is_private(peer) { &self.private } else { &self.public };
        for entry in kind {
            match entry.get() {
                Some(known) if *known == peer => return false,
                Some(_) => {}
                None if entry.set(peer).is_ok() => return true,
                // Another thread was faster, perhaps with the same peer.
                None if entry.get() == Some(&peer) => return false,
                None => {}
            }
        }
        false
    }

    /// Returns the recorded peers on this machine or in a private network.
    pub fn private(&self) -> Vec<IpAddr> {
        self.private.iter().filter_map(|entry| entry.get().copied()).collect()
    }

    /// Returns the number of the other recorded peers.
    pub fn public_count(&self) -> usize {
        self.public.iter().filter(|entry| entry.get().is_some()).count()
    }
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

impl fmt::Display for TrustedProxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&parts.join(", "))
    }
}

impl Serialize for TrustedProxies {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TrustedProxies {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "\"{text}\" is not a list of addresses; allowed: addresses and networks separated by commas, for example 127.0.0.1, 10.0.0.0/8"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(trusted: &str, peer: &str, forwarded: &[&str]) -> String {
        let proxies = TrustedProxies::parse(trusted).unwrap();
        proxies.client(peer.parse().unwrap(), forwarded.iter().copied()).to_string()
    }

    #[test]
    fn untrusted_peers_header_is_ignored() {
        assert_eq!(client("", "1.2.3.4", &["9.9.9.9"]), "1.2.3.4");
        assert_eq!(client("10.0.0.0/8", "1.2.3.4", &["9.9.9.9"]), "1.2.3.4");
    }

    #[test]
    fn client_is_the_last_address_outside_the_proxies() {
        assert_eq!(client("10.0.0.0/8, ::1", "10.0.0.1", &["9.9.9.9"]), "9.9.9.9");
        assert_eq!(client("10.0.0.0/8", "10.0.0.1", &["6.6.6.6, 9.9.9.9, 10.0.0.2"]), "9.9.9.9");
        assert_eq!(
            client("10.0.0.0/8", "10.0.0.1", &["6.6.6.6", "9.9.9.9"]),
            "9.9.9.9",
            "lines are one list"
        );
        assert_eq!(client("10.0.0.0/8", "10.0.0.1", &["10.0.0.3, 10.0.0.2"]), "10.0.0.3", "all of them are");
        assert_eq!(client("::1", "::1", &["2001:db8::7"]), "2001:db8::7");
        assert_eq!(
            client("10.0.0.0/8", "::ffff:10.0.0.1", &["::ffff:9.9.9.9"]),
            "9.9.9.9",
            "mapped ones too"
        );
    }

    #[test]
    fn untrusted_forwarders_are_recorded_once_and_few() {
        let seen = UntrustedForwarders::default();
        for n in 0..1_000u16 {
            let [high, low] = n.to_be_bytes();
            seen.saw(IpAddr::from([203, 0, high, low]));
        }
        let proxy: IpAddr = "::ffff:10.0.0.1".parse().unwrap();
        assert!(seen.saw(proxy) && !seen.saw(proxy) && !seen.saw(IpAddr::from([10, 0, 0, 1])));
        assert_eq!((seen.private(), seen.public_count()), (vec![IpAddr::from([10, 0, 0, 1])], 16));
    }

    #[test]
    fn invalid_address_ends_the_list() {
        assert_eq!(client("10.0.0.0/8", "10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(client("10.0.0.0/8", "10.0.0.1", &["9.9.9.9, unknown, 10.0.0.2"]), "10.0.0.2");
        assert!(TrustedProxies::parse("10.0.0.0/8, elsewhere").is_none());
    }
}
