//! Limits of the search for messages.

macro_rules! add_limits { ($later:tt $($limits:tt)*) => { rooms! { $later $($limits)*
    /// Searches of one user per second, after the burst.
    searches_per_second: u32 = 5,
    /// Such searches at once.
    searches_burst: u32 = 20,
    /// Searches that wait for the index at once. One user has one of them. A choice: each takes
    /// some 1 ms, at most `search_ms`.
    searches: usize = 64,
    /// Messages that one search compares with the terms of its query in the index. Some 0.1 us
    /// each.
    search_rows: usize = 50_000,
    /// How long one search may take in the index: others wait for it.
    search_ms: u64 = 50,
    /// Messages that one search reads to compare them with its query. A choice: some 5 ms.
    search_checked: usize = 1_000,
    /// Messages and events that are read and written together to keep the index up to date. A
    /// search waits for at most one such batch, some 10 ms.
    search_batch: usize = 1_000,
    /// How long changes of chats are collected before they are read for the index. A message is
    /// found about this long after it was sent.
    search_delay_ms: u64 = 100,
    /// Pause after a failed read or write of the index before it is tried again.
    search_retry_ms: u64 = 10_000,
    /// Messages up to which an orderly stop compares the index with the database.
    search_compared: usize = 10_000,
}}}
pub(super) use add_limits;
