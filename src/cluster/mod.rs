//! The other nodes of the database: forwards requests about a repository to its storage node.
//!
//! Only the storage node reads and writes the directory of a repository. Another node that gets a
//! request about it sends the request there, and streams the answer back.
//!
//! Invariants
//! * A request is forwarded once. The storage node never forwards it again.
//! * The storage node authorises. It takes the address of the client from the forwarding node only
//!   if the header is signed with the key that all nodes share ([`hop`]).
//! * Bodies stream in both directions; nothing here holds a pack. The numbers of forwarded requests
//!   are bounded per client and per node ([`upstreams`]).
//! * If the storage node cannot be reached, the request is answered here: its caller is authorised
//!   as always, and only then gets 503. So strangers do not learn that a repository exists.
//!
//! Deliberately absent: a pool of connections. Nodes are in one network, where a connection costs
//! less than a millisecond.

mod exchange;
mod hop;
mod link;
mod metrics;
mod nodes;
mod own_address;
mod proxy;
mod refusal;
mod upstreams;

pub use hop::accept;
pub use metrics::ProxyMetrics;
pub use nodes::{NodeFeed, OtherNodes, channel};
pub use own_address::{NodeProcess, OwnAddressCheck};
pub use proxy::{Proxy, forward};
