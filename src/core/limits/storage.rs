//! Limits of storage, and the stop of the server.

macro_rules! add_limits { ($later:tt $($limits:tt)*) => { rooms! { $later $($limits)*
    /// WAL bytes written between two passive checkpoints. About the default of SQLite, 1,000 pages
    /// of 4 KiB.
    checkpoint_bytes: u64 = 4 * 1024 * 1024,
    /// WAL bytes beyond which the writer itself checkpoints between two batches. A choice, 16 times
    /// `checkpoint_bytes`.
    wal_bytes: u64 = 64 * 1024 * 1024,
    /// A command that takes this long in the writer is named in the log: all others wait for it.
    /// Five times `batch_ms`.
    slow_command_ms: u64 = 100,
    /// On several nodes: a node refuses reads and ends its sessions when PostgreSQL did not confirm
    /// its state for this long. Above the time after which PostgreSQL ends the transaction of a
    /// node that stopped (2 s): others wait for it that long.
    stale_ms: u64 = 2_500,
    /// On several nodes: how long a request waits for a commit that it names (`NetBit-Commit`), and
    /// a refusal for the commits of other nodes.
    commit_wait_ms: u64 = 2_000,
    /// How often a server that ran out of disk space tries to write again. A choice.
    read_only_probe_ms: u64 = 1_000,
    /// Time for a whole orderly shutdown. Half of the 20 s that the systemd unit and the compose
    /// file in `packaging/` allow.
    shutdown_ms: u64 = 10_000,
    /// Time before an orderly shutdown in which the server serves as before but is not ready: a
    /// load balancer stops sending it requests. 0: none, for a server without one.
    drain_ms: u64 = 0,
    /// The clients of a server that shuts down reconnect at random within this time. 0: at once,
    /// since a single server is back before most of them try.
    return_spread_ms: u64 = 0,
}}}
pub(super) use add_limits;
