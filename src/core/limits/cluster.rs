//! Limits of requests that a node forwards to the storage node of a repository.

macro_rules! add_limits { ($later:tt $($limits:tt)*) => { rooms! { $later $($limits)*
    /// Requests that this node forwards at once, over all other nodes. The share of a network falls
    /// with the number of free ones. A choice, an eighth of `http_connections`: the other node
    /// counts them as connections of one client.
    proxied_requests: usize = 512,
    /// Requests that this node forwards at once to one other node. A choice, half of
    /// `proxied_requests`, so that a node that does not answer leaves room for others. A network of
    /// clients gets at most a quarter of it.
    proxied_requests_per_node: usize = 256,
    /// How long a node waits for a connection to another one. A choice: nodes are in one network.
    proxy_connect_ms: u64 = 2_000,
    /// How long a node is not tried again after a failed connection. A choice, as long as such a
    /// try may take.
    proxy_retry_ms: u64 = 2_000,
    /// A forwarded request is ended when no byte has moved in either direction for this long. Above
    /// `git_idle_ms` and `git_compute_ms`, so that the storage node decides first. The head of an
    /// answer must begin sooner, except that to a push (`Limits::proxy_head`).
    proxy_idle_ms: u64 = 300_000,
    /// How long a storage node waits until it has read the commits that the forwarding node has
    /// applied. A choice: the log is read within milliseconds, or the database is away.
    proxy_catch_up_ms: u64 = 2_000,
}}}
pub(super) use add_limits;
