//! Holders: the accounts and networks that places are counted for.

use std::net::IpAddr;

use crate::domain::ids::UserId;

/// The account or the network that a place is counted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Holder {
    /// A known user, over all logins, tokens and addresses.
    Account(UserId),
    /// A client without credentials, by [`network_of`] its address.
    Network(IpAddr),
    /// The operator of this machine, over the control socket.
    Operator,
}

impl Holder {
    /// Returns the user's account, if there is a user; otherwise the network of the address.
    pub fn of(user: Option<UserId>, address: IpAddr) -> Self {
        user.map_or_else(|| Self::network(address), Self::Account)
    }

    pub fn network(address: IpAddr) -> Self {
        Self::Network(network_of(address))
    }

    pub(super) fn is_network(self) -> bool {
        matches!(self, Self::Network(_))
    }
}

/// The account of a request and the network that it comes from. Places are shared by accounts
/// first, then by networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    pub holder: Holder,
    /// The network, or the holder itself where the network is not known.
    pub(super) network: Holder,
}

impl Client {
    /// Creates the client of a holder's request from this address. `None`: the address is a
    /// proxy's, which many clients share.
    pub fn new(holder: Holder, address: Option<IpAddr>) -> Self {
        Self { holder, network: address.map_or(holder, Holder::network) }
    }
}

impl From<Holder> for Client {
    fn from(holder: Holder) -> Self {
        Self { holder, network: holder }
    }
}

/// Returns the network that an address is counted with: an IPv4 address itself, also when it is
/// mapped into IPv6, and the /64 of an IPv6 address. A customer of a provider has a whole /64.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        v4 @ IpAddr::V4(_) => v4,
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_counted_by_their_network() {
        let network = |text: &str| network_of(text.parse().unwrap()).to_string();
        assert_eq!(network("192.0.2.7"), "192.0.2.7");
        assert_eq!(network("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
    }
}
