//! Limits of pages and searches.

macro_rules! add_limits { ($later:tt $($limits:tt)*) => { rooms! { $later $($limits)*
    /// Items of a page when the client does not ask for a number. Half of `page_max`.
    page_default: usize = 50,
    /// Items of a page at most. As many as the window of a chat holds (`cache.window`), so that the
    /// newest page is in memory.
    page_max: usize = 100,
    /// User names that one search by prefix scans while registration is closed. The next page
    /// continues after them.
    users_scanned: usize = 1_000,
    /// Memberships of chats that one search for users by prefix scans while registration is open:
    /// some 0.1 us each, in the thread of the cache. The newest chats are scanned first. Members of
    /// the other chats are found by their whole name. So one search takes at most 2 ms.
    memberships_scanned: usize = 20_000,
    /// Chats that one message to the cache compares to find the users who share one: some 10 ns
    /// each. A request for more is answered in several messages. So one message takes at most 1 ms.
    chats_compared: usize = 100_000,
    /// Queries of one user about others per second, after the burst: names, searches, presence.
    lookups_per_second: u32 = 20,
    /// Such queries at once.
    lookups_burst: u32 = 400,
}}}
pub(super) use add_limits;
