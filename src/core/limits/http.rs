//! Limits of HTTP: bodies, connections and the time for requests.

macro_rules! add_limits { ($later:tt $($limits:tt)*) => { rooms! { $later $($limits)*
    /// Bytes of a JSON request body. The largest message has 16 KiB of text and 4 KiB of metadata.
    /// It fits with all of its characters escaped by a backslash.
    body_bytes: usize = 64 * 1024,
    /// Bytes of path and query of a request. Beyond it: 414. A percent-encoded path of 4 KiB fits.
    uri_bytes: usize = 16 * 1024,
    /// Refused requests (4xx) logged at `info` per second. More are logged at `debug` and counted.
    logged_refusals_per_second: u32 = 100,
    /// HTTP connections, over all workers. The share of a network falls with the number of free
    /// ones. A trusted proxy is not counted. The number is a choice.
    http_connections: usize = 4_096,
    /// HTTP connections that WebSockets cannot take. A quarter of `http_connections`.
    http_reserve: usize = 1_024,
    /// Connections in their TLS handshake, in addition to the HTTP connections. A choice, a quarter
    /// of `http_connections`.
    http_handshakes: usize = 1_024,
    /// How long a client may take for the TLS handshake. The default of actix.
    tls_handshake_ms: u64 = 3_000,
    /// Bytes of answers that a socket accepts before the client's kernel has room for them. Bounds
    /// the memory of slow clients, and shows how fast they read.
    http_unsent_bytes: u32 = 256 * 1024,
    /// How long a client may take to send the head of a request. A choice.
    request_head_ms: u64 = 10_000,
    /// How long a client may take to send a JSON body. A choice: a body of `body_bytes` then needs
    /// 6.5 kB per second.
    request_body_ms: u64 = 10_000,
}}}
pub(super) use add_limits;
