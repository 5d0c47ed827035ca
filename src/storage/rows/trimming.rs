//! Messages that a chat with retention removes, and their remains.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};

use crate::domain::ids::{ChatId, MessageId, Seq, UserId};
use crate::domain::message::{ClientId, Message};
use crate::domain::timestamp::Timestamp;

/// The remaining work for a trimmed chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trims {
    /// The user who last set how many messages the chat keeps.
    pub by: Option<UserId>,
    /// Whether rows were removed without a `trim` event.
    pub event_due: bool,
    /// Messages above this seq that were kept are checked again.
    pub again_above: Option<Seq>,
}

/// Messages of a chat that are trimmed together: those with `above < seq <= to`. The chat is then
/// trimmed up to `trimmed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trim {
    pub chat: ChatId,
    pub above: Seq,
    pub to: Seq,
    pub trimmed: Seq,
}

/// A message of the range, and whether it is removed.
#[derive(Debug, QueryableByName)]
pub struct Candidate {
    #[diesel(sql_type = BigInt)]
    pub id: MessageId,
    #[diesel(sql_type = BigInt)]
    pub seq: Seq,
    #[diesel(sql_type = Bool)]
    pub is_reply: bool,
    /// An event above the trimmed part shows the message as edited. Such an event is read as a
    /// deletion once its message is removed.
    #[diesel(sql_type = Bool)]
    pub is_shown_above: bool,
    #[diesel(sql_type = Bool)]
    pub goes: bool,
}

/// The remaining record of a removed message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovedMessage {
    pub(in crate::storage) id: MessageId,
    pub(in crate::storage) chat_id: ChatId,
    pub(in crate::storage) seq: Seq,
    pub(in crate::storage) hash: Vec<u8>,
}

impl RemovedMessage {
    /// Returns whether the message was received with this hash.
    pub fn is_of(&self, request_hash: &[u8; 32]) -> bool {
        request_hash.starts_with(&self.hash)
    }

    /// Returns the message in the form of a deleted message. Its creation time is no longer known.
    pub fn into_message(self, sender: UserId, client_id: ClientId) -> Message {
        Message {
            id: self.id,
            chat_id: self.chat_id,
            seq: self.seq,
            sender_id: sender,
            client_id,
            content: String::new(),
            reply_to: None,
            metadata: None,
            created_at: Timestamp(0),
            edited_at: None,
            files: Vec::new(),
            deleted: true,
            pinned: false,
            reactions: Vec::new(),
            thread_id: None,
            updated_seq: None,
            ordinal: 0,
        }
    }
}
