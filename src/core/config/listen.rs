//! Addresses to listen on.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An address or a host name to listen on. Port 0 takes a free one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    Address(SocketAddr),
    /// Looked up when the server starts.
    Host {
        name: String,
        port: u16,
    },
}

impl Listen {
    pub(super) fn on_loopback(port: u16) -> Self {
        Self::Address((Ipv4Addr::LOCALHOST, port).into())
    }

    /// Returns the address. A name may have several: the first IPv4 address is taken, as in the
    /// defaults.
    ///
    /// # Errors
    /// Fails when the name has no address.
    pub fn resolve(&self) -> io::Result<SocketAddr> {
        let (name, port) = match self {
            Self::Address(address) => return Ok(*address),
            Self::Host { name, port } => (name.as_str(), *port),
        };
        let found: Vec<_> = (name, port).to_socket_addrs()?.collect();
        let first = found.iter().find(|address| address.is_ipv4()).or(found.first());
        first.copied().ok_or_else(|| io::Error::other("the name has no address"))
    }
}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Self {
        Self::Address(address)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("allowed: HOST:PORT, for example 127.0.0.1:8080, [::1]:0 or localhost:8080")]
pub struct NoAddress;

impl FromStr for Listen {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<Self, NoAddress> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        let (name, port) = text.rsplit_once(':').ok_or(NoAddress)?;
        let is_name = name.starts_with(|c: char| c.is_ascii_alphanumeric())
            // Digits and dots are an invalid address, not a name.
            && name.contains(|c: char| c.is_ascii_alphabetic())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
        let port = port.parse().map_err(|_| NoAddress)?;
        if is_name { Ok(Self::Host { name: name.to_owned(), port }) } else { Err(NoAddress) }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Host { name, port } => write!(f, "{name}:{port}"),
        }
    }
}

impl Serialize for Listen {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map_err(|error| serde::de::Error::custom(format!("\"{text}\" is not an address; {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_resolve_and_print_as_they_were_written() {
        let of = |text: &str| text.parse::<Listen>();
        assert_eq!(of("localhost:8080").unwrap().resolve().unwrap(), ([127, 0, 0, 1], 8080).into());
        assert_eq!(of("[::1]:0").unwrap().resolve().unwrap().to_string(), "[::1]:0");
        for text in ["localhost:8080", "git.example.org:80", "0.0.0.0:1", "[::]:65535"] {
            assert_eq!(of(text).unwrap().to_string(), text);
        }
        for bad in [
            "",
            "everywhere",
            "8080",
            ":8080",
            "localhost",
            "localhost:x",
            "1.2.3:80",
            "a b:1",
            "::1:x",
            "1.2.3.4:70000",
        ] {
            assert_eq!(of(bad), Err(NoAddress), "{bad}");
        }
        assert!(of("no-such-name.invalid:1").unwrap().resolve().is_err());
    }
}
