//! Participants as recipients of a notification.

use crate::domain::ids::{ChatId, Seq, UserId};
use crate::domain::notification::NotifyLevel;

/// A participant of a chat, in relation to a message of its sender.
#[derive(Debug, Clone)]
pub struct Listener {
    pub user_id: UserId,
    pub username: String,
    pub level: NotifyLevel,
    pub active: bool,
    pub read_seq: Seq,
    /// The participant blocks the sender.
    pub blocks_sender: bool,
}

/// The message whose recipients are queried.
#[derive(Debug, Clone, Copy)]
pub struct SentMessage {
    pub chat: ChatId,
    pub sender: UserId,
}

/// Followers of a thread that are in its chat.
#[derive(Debug)]
pub struct Followers {
    pub listeners: Vec<Listener>,
    /// The number of followers read, including those who left the chat.
    pub scanned: i64,
    /// The last follower read, if more may follow.
    pub scanned_to: Option<UserId>,
}
