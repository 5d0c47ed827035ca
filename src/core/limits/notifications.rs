//! Limits of notifications and mentions.

macro_rules! add_limits { ($later:tt $($limits:tt)*) => { rooms! { $later $($limits)*
    /// Notifications kept of each user, plus an eighth, and a few more while those of many users
    /// are evicted. All are marked in one command.
    notifications_per_user: i64 = 400,
    /// Users examined in one slice of notifications with many recipients: two rows each.
    notifications_per_command: i64 = 50,
    /// Milliseconds after which such a slice ends: other commands wait for it. The time is checked
    /// after every 10 users.
    notifications_slice_ms: u64 = 1,
    /// Attempts to write a message's notifications after a failure. Then the rest is dropped. A
    /// choice: they are a second apart.
    notifications_attempts: i64 = 10,
    /// Users who are notified in the transaction of a message. More are notified in later slices.
    notifications_per_message: i64 = 8,
    /// Messages of one user with unwritten notifications. Further ones notify only a few users.
    notifying_messages_per_user: i64 = 1_000,
    /// A slice of notifications yields while more than this many commands wait for the writer. A
    /// choice.
    notifications_yield_to: u64 = 32,
    /// Milliseconds for which a slice of notifications yields at most. As long as a batch may take
    /// (`batch_ms`).
    notifications_yield_ms: u64 = 20,
    /// Members that one message mentions and notifies. Further names are only text.
    mentions_per_message: usize = 50,
    /// Messages with `@all` of one user per hour, after the burst. Further `@all` notify no user.
    everybody_mentions_per_hour: u32 = 60,
    /// The same at once.
    everybody_mentions_burst: u32 = 20,
}}}
pub(super) use add_limits;
