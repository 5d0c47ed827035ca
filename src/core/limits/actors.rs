//! Limits of the queues of the actors, the batches of the writer and the threads.

macro_rules! add_limits { ($later:tt $($limits:tt)*) => { rooms! { $later $($limits)*
    /// Queries inside the cache at once: at some 20 us each, about 5 ms of waiting.
    cache_queries: usize = 256,
    /// Commands inside the writer at once: two full batches, one committing and one collecting.
    writer_commands: usize = 1024,
    /// Commands that one user may have inside the writer. A quarter of `writer_commands`, so that a
    /// single user leaves room for others.
    commands_per_user: usize = 256,
    /// Queries that one user may have inside the cache. A quarter of `cache_queries`, and as many
    /// as the window of a session (`in_flight`).
    queries_per_user: usize = 64,
    /// How long a request to an actor waits for a permit before it is refused as `overloaded`. A
    /// choice: a busy server then refuses the request instead of holding it.
    ask_patience_ms: u64 = 2_000,
    /// Commands in one transaction. Half of `writer_commands`: the next batch collects while this
    /// one commits.
    batch_commands: usize = 512,
    /// Bytes of commands in one transaction. Bounds the WAL's growth per commit. A choice, equal to
    /// `checkpoint_bytes`.
    batch_bytes: usize = 4 * 1024 * 1024,
    /// How long a batch may collect and execute before it commits. A choice: the next batch waits
    /// for it.
    batch_ms: u64 = 20,
    /// Entries of the writer's cache: logins, chats, roles and client ids of messages, some 200
    /// bytes each. When it is full, the writer clears it and reads the database again. A full cache
    /// has some 20 MB.
    writer_cache_entries: usize = 100_000,
    /// Users named when a chat is created: four rows each with their notifications, so that a
    /// command stays below 500 rows.
    create_participants: usize = 100,
    /// Connections that read history from the database. A choice: each has a page cache of 4 MB.
    readers: usize = 4,
    /// Reads that wait for one of `readers`. Beyond it, the account with the most waiting reads is
    /// refused first. The limit is large, so that the reads of a flood wait until `ask_patience_ms`
    /// ends instead of being refused and retried at once.
    readers_waiting: usize = 4_096,
    /// Threads that own sessions. 0: one per core.
    session_threads: usize = 0,
    /// Threads that serve HTTP. 0: one per core.
    http_workers: usize = 0,
    /// Bytes of events queued for a session thread; then its sessions must reconnect and catch up.
    /// Twice `batch_bytes`: about the events of two full batches.
    lane_bytes: usize = 8 * 1024 * 1024,
}}}
pub(super) use add_limits;
