//! Limits of storage, and the stop of the server.

macro_rules! add_limits { ($later:tt $($limits:tt)*) => { rooms! { $later $($limits)*
    /// WAL bytes written between two passive checkpoints.
    checkpoint_bytes: u64 = 4 * 1024 * 1024,
    /// WAL bytes beyond which the writer itself checkpoints between two batches.
    wal_bytes: u64 = 64 * 1024 * 1024,
    /// A command that takes this long in the writer is named in the log: all others wait for it.
    slow_command_ms: u64 = 100,
    /// How often a server that ran out of disk space tries to write again.
    read_only_probe_ms: u64 = 1_000,
    /// Time for a whole orderly shutdown.
    shutdown_ms: u64 = 10_000,
}}}
pub(super) use add_limits;
