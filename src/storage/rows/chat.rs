//! Rows of `chats`, `chat_participants` and `chat_events`.

use std::sync::Arc;

use diesel::prelude::*;

use crate::domain::chat::{Audience, Chat, ChatKind, ChatRole, Participant};
use crate::domain::event::{Change, ChatEvent};
use crate::domain::ids::{ChatId, MessageId, ProjectId, PushId, UserId};
use crate::domain::message::Message;
use crate::domain::notification::NotifyLevel;
use crate::domain::own_messages::OwnMessages;
use crate::domain::timestamp::Timestamp;
use crate::storage::schema::{chat_events, chat_participants, chats};

/// The head of a chat after a message.
#[derive(Debug, Clone, Copy)]
pub struct ChatHead {
    pub id: ChatId,
    pub last_seq: i64,
    pub last_ordinal: i64,
    pub last_message_id: MessageId,
}

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = chats)]
pub struct ChatRow {
    pub id: ChatId,
    pub kind: String,
    pub name: Option<String>,
    pub direct_key: Option<String>,
    pub project_id: Option<ProjectId>,
    pub audience: String,
    pub last_seq: i64,
    pub last_ordinal: i64,
    pub last_message_id: Option<MessageId>,
    pub archived_at: Option<i64>,
    pub retention: Option<i64>,
    pub trimmed_seq: i64,
    pub trimmed_ordinal: i64,
    pub created_at: i64,
    pub avatar: Option<String>,
}

impl TryFrom<ChatRow> for Chat {
    type Error = diesel::result::Error;

    fn try_from(row: ChatRow) -> QueryResult<Self> {
        Ok(Self {
            id: row.id,
            kind: ChatKind::from_name(&row.kind).ok_or_else(|| unreadable("chats.kind", &row.kind))?,
            name: row.name,
            between: row.direct_key.as_deref().and_then(between),
            project_id: row.project_id,
            audience: Audience::from_name(&row.audience)
                .ok_or_else(|| unreadable("chats.audience", &row.audience))?,
            last_seq: row.last_seq,
            last_ordinal: row.last_ordinal,
            last_message_id: row.last_message_id,
            archived: row.archived_at.is_some(),
            retention: row.retention,
            trimmed_seq: row.trimmed_seq,
            trimmed_ordinal: row.trimmed_ordinal,
            created_at: Timestamp(row.created_at),
            avatar: row.avatar,
        })
    }
}

/// Returns the key of the only direct chat of a pair of users.
pub fn direct_key(one: UserId, other: UserId) -> String {
    format!("{}:{}", one.min(other), one.max(other))
}

/// Returns the pair of users of a [`direct_key`].
fn between(key: &str) -> Option<(UserId, UserId)> {
    let (one, other) = key.split_once(':')?;
    Some((UserId(one.parse().ok()?), UserId(other.parse().ok()?)))
}

#[derive(Debug, Insertable)]
#[diesel(table_name = chats)]
pub struct NewChatRow<'a> {
    pub kind: &'a str,
    pub name: Option<&'a str>,
    pub direct_key: Option<&'a str>,
    pub channel_key: Option<&'a str>,
    pub audience: &'a str,
    pub created_at: i64,
}

/// `None` is written as NULL, so that one statement inserts many rows.
#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = chat_participants)]
#[diesel(treat_none_as_default_value = false)]
pub struct ParticipantRow {
    pub chat_id: ChatId,
    pub user_id: UserId,
    pub role: String,
    pub read_seq: i64,
    pub read_ordinal: i64,
    pub delivered_seq: i64,
    pub notify: String,
    pub added_by: Option<UserId>,
    /// JSON.
    pub own_ordinals: Option<String>,
    pub hidden_ordinal: Option<i64>,
}

/// Returns the column value of a participant's own messages above the cursor.
pub fn own_ordinals(own: &OwnMessages) -> Option<String> {
    if own.is_empty() { None } else { serde_json::to_string(own).ok() }
}

impl TryFrom<ParticipantRow> for Participant {
    type Error = diesel::result::Error;

    fn try_from(row: ParticipantRow) -> QueryResult<Self> {
        Ok(Self {
            user_id: row.user_id,
            role: role(&row.role)?,
            read_seq: row.read_seq,
            read_ordinal: row.read_ordinal,
            own: match row.own_ordinals.as_deref() {
                Some(text) => serde_json::from_str(text)
                    .map_err(|_| unreadable("chat_participants.own_ordinals", text))?,
                None => OwnMessages::default(),
            },
            delivered_seq: row.delivered_seq,
            notify: notify_level(&row.notify)?,
            added_by: row.added_by,
            hidden_ordinal: row.hidden_ordinal,
        })
    }
}

/// `None` is written as NULL, so that one statement inserts many rows.
#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = chat_events)]
#[diesel(treat_none_as_default_value = false)]
pub struct ChatEventRow {
    pub chat_id: ChatId,
    pub seq: i64,
    pub kind: String,
    pub actor_id: UserId,
    pub user_id: Option<UserId>,
    pub role: Option<String>,
    pub name: Option<String>,
    pub archived: Option<bool>,
    pub created_at: i64,
    pub push_id: Option<PushId>,
    /// The rest of the event, as JSON.
    pub data: Option<String>,
    pub message_id: Option<MessageId>,
    pub emoji: Option<String>,
}

impl ChatEventRow {
    /// Returns the row of an event that is not a message; messages have their own table.
    pub fn of(event: &ChatEvent) -> Option<Self> {
        let mut row = Self {
            chat_id: event.chat_id,
            seq: event.seq,
            kind: event.change.kind().to_owned(),
            actor_id: event.actor_id,
            user_id: None,
            role: None,
            name: None,
            archived: None,
            created_at: event.created_at.0,
            push_id: None,
            data: None,
            message_id: None,
            emoji: None,
        };
        match &event.change {
            Change::Message(_) => return None,
            Change::Join { user_id, role }
            | Change::Leave { user_id, role }
            | Change::Role { user_id, role } => {
                row.user_id = Some(*user_id);
                row.role = Some(role.as_str().to_owned());
            }
            Change::Rename { name } => row.name = Some(name.clone()),
            Change::Archive { archived } => row.archived = Some(*archived),
            Change::Push(push) => row.data = serde_json::to_string(&**push).ok(),
            Change::Edit(message) => row.message_id = Some(message.id),
            Change::Trim { to_seq } => row.data = Some(to_seq.to_string()),
            Change::Delete { message_id } | Change::Pin { message_id } | Change::Unpin { message_id } => {
                row.message_id = Some(*message_id)
            }
            Change::React { message_id, emoji } | Change::Unreact { message_id, emoji } => {
                row.message_id = Some(*message_id);
                row.emoji = Some(emoji.clone());
            }
        }
        Some(row)
    }

    /// Returns the message whose present state the event shows.
    pub fn shows(&self) -> Option<MessageId> {
        self.message_id.filter(|_| self.kind == "edit")
    }

    /// Returns the event. It shows `message` if it [shows](Self::shows) one.
    pub fn into_event(self, message: Option<Arc<Message>>) -> QueryResult<ChatEvent> {
        let row = self;
        let kind = row.kind;
        let message_id = || -> QueryResult<MessageId> {
            row.message_id.ok_or_else(|| unreadable("chat_events.message_id", "NULL"))
        };
        let emoji = || row.emoji.clone().unwrap_or_default();
        let person = || -> QueryResult<(UserId, ChatRole)> {
            let user_id = row.user_id.ok_or_else(|| unreadable("chat_events.user_id", "NULL"))?;
            Ok((user_id, role(row.role.as_deref().unwrap_or_default())?))
        };
        let change = match kind.as_str() {
            "join" => person().map(|(user_id, role)| Change::Join { user_id, role })?,
            "leave" => person().map(|(user_id, role)| Change::Leave { user_id, role })?,
            "role" => person().map(|(user_id, role)| Change::Role { user_id, role })?,
            "rename" => Change::Rename { name: row.name.clone().unwrap_or_default() },
            "archive" => Change::Archive { archived: row.archived.unwrap_or_default() },
            "push" => {
                let text = row.data.as_deref().unwrap_or_default();
                let push = serde_json::from_str(text).map_err(|_| unreadable("chat_events.data", text))?;
                Change::Push(Arc::new(push))
            }
            // A trim may have removed the message: then the event shows a deletion.
            "edit" => match message {
                Some(message) => Change::Edit(message),
                None => Change::Delete { message_id: message_id()? },
            },
            "delete" => Change::Delete { message_id: message_id()? },
            "react" => Change::React { message_id: message_id()?, emoji: emoji() },
            "unreact" => Change::Unreact { message_id: message_id()?, emoji: emoji() },
            "pin" => Change::Pin { message_id: message_id()? },
            "unpin" => Change::Unpin { message_id: message_id()? },
            "trim" => {
                let text = row.data.as_deref().unwrap_or_default();
                Change::Trim { to_seq: text.parse().map_err(|_| unreadable("chat_events.data", text))? }
            }
            other => return Err(unreadable("chat_events.kind", other)),
        };
        Ok(ChatEvent {
            chat_id: row.chat_id,
            seq: row.seq,
            actor_id: row.actor_id,
            created_at: Timestamp(row.created_at),
            change,
        })
    }
}

fn role(name: &str) -> QueryResult<ChatRole> {
    ChatRole::from_name(name).ok_or_else(|| unreadable("role", name))
}

pub(in crate::storage) fn notify_level(name: &str) -> QueryResult<NotifyLevel> {
    NotifyLevel::from_name(name).ok_or_else(|| unreadable("chat_participants.notify", name))
}

/// Returns the error for a value that this version never writes: the database is damaged or from
/// another version.
pub(in crate::storage) fn unreadable(column: &str, value: &str) -> diesel::result::Error {
    diesel::result::Error::DeserializationError(format!("{column} holds the unknown value {value:?}").into())
}

/// A chat in the operator's list, with the number of its participants.
pub struct ListedChat {
    pub chat: Chat,
    pub participants: i64,
}

/// A chat that a user leaves.
#[derive(Debug, Clone, Copy)]
pub struct LeftChat {
    pub id: ChatId,
    /// The user is an owner of the chat.
    pub owns: bool,
    /// The user who becomes the owner, if the chat has no other owner and the user is in it.
    pub preferred: Option<UserId>,
}

/// The other active participants of a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Company {
    pub is_any: bool,
    /// `false` if the leaving user does not own the chat: then the statement reads no roles.
    pub has_owner: bool,
    /// The new owner if no owner is left and a user is preferred: the preferred user if in the
    /// chat, else the active member with the highest role and the lowest id.
    pub heir: Option<UserId>,
}
