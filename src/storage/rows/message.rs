//! Rows of `messages`.

use diesel::prelude::*;

use super::chat::unreadable;
use crate::domain::ids::{ChatId, MessageId, UserId};
use crate::domain::message::{ClientId, Message};
use crate::domain::timestamp::Timestamp;
use crate::storage::schema::messages;

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = messages)]
pub struct MessageRow {
    pub id: MessageId,
    pub chat_id: ChatId,
    pub seq: i64,
    pub ordinal: i64,
    pub sender_id: UserId,
    pub client_id: Vec<u8>,
    pub content: String,
    pub reply_to: Option<MessageId>,
    pub metadata: Option<String>,
    pub created_at: i64,
    pub updated_seq: i64,
    pub edited_at: Option<i64>,
    pub deleted_at: Option<i64>,
    pub pinned_at: Option<i64>,
    pub reactions: Option<String>,
    pub thread_id: Option<MessageId>,
    pub files: Option<String>,
}

impl TryFrom<MessageRow> for Message {
    type Error = diesel::result::Error;

    fn try_from(row: MessageRow) -> QueryResult<Self> {
        let client_id = client_id(row.client_id)?;
        let metadata = row.metadata.map(|text| {
            serde_json::from_str(&text).map_err(|_| unreadable("messages.metadata", "not a JSON map"))
        });
        let reactions = row.reactions.map(|text| {
            serde_json::from_str(&text).map_err(|_| unreadable("messages.reactions", "not a JSON list"))
        });
        let files = row.files.map(|text| {
            serde_json::from_str(&text).map_err(|_| unreadable("messages.files", "not a JSON list"))
        });
        Ok(Self {
            id: row.id,
            chat_id: row.chat_id,
            seq: row.seq,
            ordinal: row.ordinal,
            sender_id: row.sender_id,
            client_id: ClientId(client_id),
            content: row.content,
            reply_to: row.reply_to,
            metadata: metadata.transpose()?,
            created_at: Timestamp(row.created_at),
            edited_at: row.edited_at.map(Timestamp),
            // Nodes of an earlier version delete a message and leave its files.
            files: files.transpose()?.filter(|_| row.deleted_at.is_none()).unwrap_or_default(),
            deleted: row.deleted_at.is_some(),
            pinned: row.pinned_at.is_some(),
            reactions: reactions.transpose()?.unwrap_or_default(),
            thread_id: row.thread_id,
            updated_seq: (row.updated_seq > row.seq).then_some(row.updated_seq),
        })
    }
}

/// Converts a stored client id.
pub fn client_id(stored: Vec<u8>) -> QueryResult<[u8; 16]> {
    stored.try_into().map_err(|_| unreadable("messages.client_id", "not 16 bytes"))
}

/// `None` is written as NULL, so that every message uses the same statement, prepared once.
#[derive(Debug, Insertable)]
#[diesel(table_name = messages)]
#[diesel(treat_none_as_default_value = false)]
pub struct NewMessageRow<'a> {
    pub id: MessageId,
    pub chat_id: ChatId,
    pub seq: i64,
    pub ordinal: i64,
    pub sender_id: UserId,
    pub client_id: &'a [u8],
    pub request_hash: &'a [u8],
    pub content: &'a str,
    pub reply_to: Option<MessageId>,
    pub metadata: Option<&'a str>,
    pub created_at: i64,
    pub updated_seq: i64,
    pub thread_id: Option<MessageId>,
    pub files: Option<&'a str>,
}

/// The columns of a message that can change. `Some(None)` is written as NULL; `None`, used only for
/// times and files, leaves the column unchanged.
#[derive(Debug, AsChangeset)]
#[diesel(table_name = messages)]
pub struct MessageChanges<'a> {
    pub content: &'a str,
    pub metadata: Option<Option<&'a str>>,
    pub edited_at: Option<i64>,
    pub deleted_at: Option<i64>,
    pub pinned_at: Option<Option<i64>>,
    pub reactions: Option<Option<&'a str>>,
    pub updated_seq: i64,
    pub files: Option<Option<&'a str>>,
}

/// A selection of the messages of a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// The thread that contains the message: its first message and every reply in it.
    Thread(MessageId),
    Pinned,
}
