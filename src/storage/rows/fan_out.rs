//! Rows of `fan_outs`.

use diesel::prelude::*;

use super::chat::unreadable;
use crate::domain::ids::{ChatId, MessageId, Seq, UserId};
use crate::domain::mention::Mention;
use crate::domain::text_enum::text_enum;
use crate::storage::schema::fan_outs;

text_enum! {
    /// The remaining work for a message.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum FanOutKind {
        /// Notify all members of the chat.
        AllMembers = "everybody",
        /// Notify the members that the message names.
        Named = "named",
        /// Notify the followers of the message's thread.
        Thread = "thread",
        /// Remove the notifications of messages that are deleted.
        Retract = "retract",
    }
}

/// The notifications of a message that are still to be written or removed.
#[derive(Debug, Clone)]
pub struct FanOut {
    pub id: i64,
    pub kind: FanOutKind,
    pub chat_id: ChatId,
    pub seq: Seq,
    pub message_id: Option<MessageId>,
    pub names: Vec<Mention>,
    pub position: i64,
    pub members: i64,
    pub slices: i64,
}

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = fan_outs)]
pub struct FanOutRow {
    pub id: i64,
    pub kind: String,
    pub chat_id: ChatId,
    pub seq: i64,
    pub message_id: Option<MessageId>,
    pub names: String,
    pub position: i64,
    pub members: i64,
    pub slices: i64,
}

impl TryFrom<FanOutRow> for FanOut {
    type Error = diesel::result::Error;

    fn try_from(row: FanOutRow) -> QueryResult<Self> {
        let names: Vec<String> =
            serde_json::from_str(&row.names).map_err(|_| unreadable("fan_outs.names", &row.names))?;
        Ok(Self {
            id: row.id,
            kind: FanOutKind::from_name(&row.kind).ok_or_else(|| unreadable("fan_outs.kind", &row.kind))?,
            chat_id: row.chat_id,
            seq: row.seq,
            message_id: row.message_id,
            names: names.iter().filter_map(|name| Mention::parse(name)).collect(),
            position: row.position,
            members: row.members,
            slices: row.slices,
        })
    }
}

/// `None` is written as NULL, so that one statement inserts many rows.
#[derive(Debug, Insertable)]
#[diesel(table_name = fan_outs)]
#[diesel(treat_none_as_default_value = false)]
pub struct NewFanOutRow<'a> {
    pub kind: &'a str,
    pub chat_id: ChatId,
    pub seq: i64,
    pub message_id: Option<MessageId>,
    pub user_id: Option<UserId>,
    pub names: &'a str,
    pub position: i64,
}
