//! Limits of presence, typing and UDP tickets.

macro_rules! add_limits { ($later:tt $($limits:tt)*) => { rooms! { $later $($limits)*
    /// How long a device is present after its last datagram: three and a half keepalives of 25 s.
    presence_ttl_ms: u64 = 90_000,
    /// How long a user stays shown as online without a connection, to hide a reconnect. The number
    /// is a choice.
    offline_debounce_ms: u64 = 15_000,
    /// How long presence changes are collected before other users receive them.
    presence_tick_ms: u64 = 500,
    /// In a cluster: how often a node without news sends a beat to the others. A node that sent
    /// nothing for three beats counts as ended.
    presence_beat_ms: u64 = 10_000,
    /// Users in one `Presence` packet.
    presence_batch: usize = 500,
    /// Interval in which a user sends at most one typing notice per chat.
    typing_interval_ms: u64 = 2_500,
    /// Connected users of a chat up to which typing is pushed.
    typing_participants: usize = 200,
    /// Presence queries inside the presence actor at once. A choice, a quarter of `cache_queries`.
    presence_queries: usize = 64,
    /// Presence queries that one user may have inside the presence actor. A quarter of
    /// `presence_queries`, so that a single user leaves room for others.
    presence_queries_per_user: usize = 16,
    /// How long a UDP ticket is valid.
    udp_ticket_seconds: u64 = 600,
    /// UDP tickets of one user. Beyond it, the user's oldest one is evicted.
    udp_tickets_per_user: usize = 20,
    /// UDP tickets, some 700 bytes each. Beyond it, the oldest of the user with most is evicted. So
    /// all take some 35 MB.
    udp_tickets: usize = 50_000,
    /// UDP tickets that one user gets per minute, after the burst: a ticket lives ten minutes.
    udp_tickets_per_minute: u32 = 30,
    /// UDP tickets that one user gets at once.
    udp_tickets_burst: u32 = 60,
    /// Nothing is pushed to an address that sent nothing for this long. Longer than two keepalives
    /// of 25 s.
    udp_push_window_ms: u64 = 60_000,
    /// Datagrams of one ticket per second, after the burst.
    udp_datagrams_per_second: u32 = 10,
    /// Datagrams of one ticket at once.
    udp_datagrams_burst: u32 = 40,
    /// Presence datagrams in flight to one address. More follow when these are acknowledged.
    /// Together they have at most 8 KiB.
    udp_batch_datagrams: usize = 16,
    /// Delay before an unacknowledged datagram is resent; doubles four times, then waits for
    /// `Ping`. The first delay is a choice.
    udp_resend_ms: u64 = 500,
}}}
pub(super) use add_limits;
