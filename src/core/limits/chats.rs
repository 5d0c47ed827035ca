//! Limits of chats: rates, participants, reactions, trims and purges.

macro_rules! add_limits { ($later:tt $($limits:tt)*) => { rooms! { $later $($limits)*
    /// Messages of one user per second, after the burst.
    messages_per_second: u32 = 100,
    /// Messages of one user at once.
    messages_burst: u32 = 2_000,
    /// Other changes of one user per second: chats, additions (each user counts), roles, names.
    changes_per_second: u32 = 5,
    /// Such changes at once.
    changes_burst: u32 = 1_000,
    /// Strangers (no common chat or project) that a user adds per hour, after the burst.
    strangers_added_per_hour: u32 = 60,
    /// Such strangers at once. A group with a whole department fits.
    strangers_added_burst: u32 = 200,
    /// How often one user is added to chats and projects by strangers per hour, after the burst.
    added_by_strangers_per_hour: u32 = 20,
    /// The same at once.
    added_by_strangers_burst: u32 = 30,
    /// How often a user is added by anyone but administrators per hour, after the burst.
    added_per_hour: u32 = 240,
    /// The same at once.
    added_burst: u32 = 400,
    /// How often a user is added by the same non-stranger per hour, after the burst.
    added_by_one_per_hour: u32 = 60,
    /// The same at once.
    added_by_one_burst: u32 = 100,
    /// Users that one user can block. All of them are in memory, some 50 bytes each.
    blocks_per_user: usize = 1_000,
    /// Chats left in one command by a user who leaves all chats of one adder: six rows each. A
    /// command then stays below 500 rows.
    left_per_command: usize = 80,
    /// Chats that one user can make or join. Chats that others add the user to do not count. As
    /// many as one `Resume` can name (`resume_chats`).
    chats_per_user: usize = 10_000,
    /// Reactions to one message. Its readers receive all of them, with the message.
    reactions_per_message: usize = 500,
    /// Different emoji among the reactions to one message.
    emojis_per_message: usize = 50,
    /// Messages deleted in one command because a chat keeps fewer: three rows each. Also bounds
    /// their events and thread followers in one command; those of one message are deleted together.
    trimmed_per_command: i64 = 100,
    /// Rows of a deleted chat that one command removes. About as many rows as the largest other
    /// commands write.
    purged_per_command: i64 = 500,
    /// Seconds that an archived chat without participants is kept for an administrator's takeover.
    empty_chat_seconds: i64 = 7 * 24 * 3_600,
    /// How often chats that keep a limited number of messages are trimmed.
    trim_ms: u64 = 60_000,
    /// Participants of one chat. A choice: a message that notifies all of them takes 200 slices of
    /// `notifications_per_command`.
    participants_per_chat: usize = 10_000,
}}}
pub(super) use add_limits;
