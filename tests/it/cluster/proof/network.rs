//! The links of the nodes: to their clients and to the database. A test cuts them.

use super::namespaces::Namespaces;
use super::proxies::Proxies;

/// The number of nodes of a trial.
pub(super) const NODES: usize = 3;

/// A link of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    Clients,
    Database,
}

/// Where a link is cut. At the far end, the node loses the carrier and its packets vanish; at the
/// near end, it has no route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CutAt {
    Far,
    Near,
}

pub(super) enum Network {
    Namespaces(Namespaces),
    /// Without root or `ip`: proxies in this process forward the connections to the database.
    Proxies(Proxies),
}

impl Network {
    /// Makes the links. `NETBIT_PROOF_NETWORK=proxies` uses no namespaces.
    #[expect(clippy::print_stdout, reason = "a skipped part must be seen")]
    pub(super) fn new() -> Self {
        if std::env::var("NETBIT_PROOF_NETWORK").is_ok_and(|value| value == "proxies") {
            return Self::Proxies(Proxies::new());
        }
        match Namespaces::new() {
            Ok(namespaces) => Self::Namespaces(namespaces),
            Err(reason) => {
                println!("SKIPPED: cuts of real links, because there are no network namespaces: {reason}");
                Self::Proxies(Proxies::new())
            }
        }
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Namespaces(_) => "namespaces",
            Self::Proxies(_) => "proxies",
        }
    }

    /// Returns the addresses at which the database must listen, besides 127.0.0.1.
    pub(super) fn listens_at(&self) -> Option<String> {
        match self {
            Self::Namespaces(namespaces) => Some(namespaces.database_addresses().join(",")),
            Self::Proxies(_) => None,
        }
    }

    /// Returns the address at which a node reaches a port of the database.
    pub(super) fn database_address(&self, node: usize, port: u16) -> String {
        match self {
            Self::Namespaces(namespaces) => format!("{}:{port}", namespaces.outside(node, Link::Database)),
            Self::Proxies(proxies) => proxies.address(node, port),
        }
    }

    /// Returns the address of a node for its clients.
    pub(super) fn node_address(&self, node: usize) -> String {
        match self {
            Self::Namespaces(namespaces) => namespaces.inside(node, Link::Clients),
            Self::Proxies(_) => "127.0.0.1".to_owned(),
        }
    }

    /// Returns the address from which the database sees a node, if each node has its own.
    pub(super) fn seen_as(&self, node: usize) -> Option<String> {
        match self {
            Self::Namespaces(namespaces) => Some(namespaces.inside(node, Link::Database)),
            Self::Proxies(_) => None,
        }
    }

    /// Returns the command that runs a program at the place of a node.
    pub(super) fn wrapper(&self, node: usize) -> Vec<String> {
        match self {
            Self::Namespaces(namespaces) => {
                ["ip", "netns", "exec", &namespaces.name(node)].map(str::to_owned).to_vec()
            }
            Self::Proxies(_) => Vec::new(),
        }
    }

    /// Returns whether a kind of link can be cut.
    pub(super) fn cuts(&self, link: Link) -> bool {
        matches!(self, Self::Namespaces(_)) || link == Link::Database
    }

    pub(super) fn cut(&self, node: usize, link: Link, at: CutAt) {
        match self {
            Self::Namespaces(namespaces) => namespaces.cut(node, link, at),
            Self::Proxies(proxies) => proxies.set_cut(node, true),
        }
    }

    pub(super) fn mend(&self, node: usize, link: Link) {
        match self {
            Self::Namespaces(namespaces) => namespaces.mend(node, link),
            Self::Proxies(proxies) => proxies.set_cut(node, false),
        }
    }
}
