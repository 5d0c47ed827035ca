//! Threads that a user follows.

use super::ids::{ChatId, MessageId, Seq, UserId};
use super::timestamp::Timestamp;

/// A thread that a user follows, with its newest reply of another user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowedThread {
    pub chat_id: ChatId,
    /// The first message of the thread.
    pub thread_id: MessageId,
    /// The position of the first message.
    pub seq: Seq,
    pub sender_id: UserId,
    /// The beginning of the first message; empty if it was deleted.
    pub excerpt: String,
    /// Replies of others above the user's read cursor, of the newest replies.
    pub unread_count: i64,
    pub last_reply: LastReply,
}

/// The newest reply of another user in a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastReply {
    pub message_id: MessageId,
    pub seq: Seq,
    pub sender_id: UserId,
    pub created_at: Timestamp,
}
