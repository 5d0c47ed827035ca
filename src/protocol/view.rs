//! How chats and events look from outside: the same fields in MessagePack and in JSON.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::datagram::Key;
use super::framing;
use crate::domain::chat::{ChatKind, ChatRole, Participant};
use crate::domain::event::{Change, ChatEvent};
use crate::domain::ids::{ChatId, MessageId, NotificationId, ProjectId, Seq, UserId};
use crate::domain::message::Message;
use crate::domain::notification::{Notification, NotificationKind, NotifyLevel};
use crate::domain::presence::Shown;
use crate::domain::push::Push;
use crate::domain::timestamp::Timestamp;
use crate::domain::user::User;

/// A chat in one person's list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ChatSummary {
    #[schema(value_type = i64)]
    pub id: ChatId,
    #[schema(value_type = String)]
    pub kind: ChatKind,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// The other person of a direct chat.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub peer: Option<String>,
    /// Only when it is `false`: the other person of a direct chat is deactivated, so no user can post in it.
    #[serde(skip_serializing_if = "Clone::clone", default = "active")]
    pub active: bool,
    /// The project whose channel it is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<i64>)]
    pub project_id: Option<ProjectId>,
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub archived: bool,
    /// What one wants to be notified of; absent: `all`.
    #[serde(skip_serializing_if = "is_default", default)]
    #[schema(value_type = String)]
    pub notify: NotifyLevel,
    pub last_seq: Seq,
    pub read_seq: Seq,
    pub unread_count: i64,
    /// The user has hidden this direct chat, until its next message.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub hidden: bool,
}

/// How somebody is shown. Of two the one with the larger version is newer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PresenceView {
    #[schema(value_type = i64)]
    pub user_id: UserId,
    /// `online`, `away`, `dnd` or `offline`.
    #[schema(value_type = String)]
    pub status: Shown,
    pub version: u64,
}

/// Who stands behind an id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserView {
    pub id: UserId,
    pub username: String,
    pub display_name: String,
    /// Only when it is `false`: an administrator deactivated the user.
    #[serde(skip_serializing_if = "Clone::clone", default = "active")]
    pub active: bool,
}

fn active() -> bool {
    true
}

impl From<&User> for UserView {
    fn from(user: &User) -> Self {
        let (username, display_name) = (user.username.clone(), user.display_name.clone());
        Self { id: user.id, username, display_name, active: user.active }
    }
}

/// What a client needs to speak over UDP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TicketView<'a> {
    pub connection_id: u64,
    #[serde(with = "key_bytes")]
    pub key_up: Key,
    #[serde(with = "key_bytes")]
    pub key_down: Key,
    /// Seconds.
    pub expires_in: u64,
    /// `host:port` of the UDP socket.
    pub address: &'a str,
}

mod key_bytes {
    use super::Key;

    pub(super) fn serialize<S: serde::Serializer>(key: &Key, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(key)
    }
}

/// How far somebody is in a chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkView {
    pub user_id: UserId,
    pub read_seq: Seq,
    pub delivered_seq: Seq,
}

impl From<&Participant> for MarkView {
    fn from(person: &Participant) -> Self {
        Self { user_id: person.user_id, read_seq: person.read_seq, delivered_seq: person.delivered_seq }
    }
}

/// Something that one person should look at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NotificationView {
    #[schema(value_type = i64)]
    pub id: NotificationId,
    /// `mention`, `direct`, `reply`, `thread`, `added`, `push` or `account`.
    #[schema(value_type = String)]
    pub kind: NotificationKind,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<i64>)]
    pub chat_id: Option<ChatId>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<i64>)]
    pub message_id: Option<MessageId>,
    /// Where in the chat it stands: reading the chat up to here reads the notification.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub seq: Option<Seq>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<i64>)]
    pub actor_id: Option<UserId>,
    pub text: String,
    #[schema(value_type = String)]
    pub created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub read_at: Option<Timestamp>,
}

impl From<&Notification> for NotificationView {
    fn from(notification: &Notification) -> Self {
        Self {
            id: notification.id,
            kind: notification.kind,
            chat_id: notification.chat_id,
            message_id: notification.message_id,
            seq: notification.seq,
            actor_id: notification.actor_id,
            text: notification.text.clone(),
            created_at: notification.created_at,
            read_at: notification.read_at,
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// An event as clients see it. Fields that do not apply to its kind are absent.
#[derive(Debug, Clone, Serialize)]
pub struct EventView<'a> {
    /// `Event` when it is pushed; absent inside a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packet_type: Option<&'static str>,
    pub chat_id: ChatId,
    pub seq: Seq,
    pub kind: &'static str,
    pub actor_id: UserId,
    pub created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<&'a Message>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<ChatRole>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archived: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub push: Option<&'a Push>,
    /// The message that an event other than `message` and `edit` is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<MessageId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub emoji: Option<&'a str>,
    /// In a `trim`: messages up to here are gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_seq: Option<Seq>,
    /// In a `join` of oneself: the chat one is now in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat: Option<&'a ChatSummary>,
}

impl<'a> EventView<'a> {
    /// The event inside a list.
    pub fn listed(event: &'a ChatEvent) -> Self {
        let mut view = Self {
            packet_type: None,
            chat_id: event.chat_id,
            seq: event.seq,
            kind: event.change.kind(),
            actor_id: event.actor_id,
            created_at: event.created_at,
            message: None,
            user_id: None,
            role: None,
            name: None,
            archived: None,
            push: None,
            message_id: None,
            emoji: None,
            to_seq: None,
            chat: None,
        };
        match &event.change {
            Change::Message(message) | Change::Edit(message) => view.message = Some(message),
            Change::Delete { message_id } | Change::Pin { message_id } | Change::Unpin { message_id } => {
                view.message_id = Some(*message_id)
            }
            Change::React { message_id, emoji } | Change::Unreact { message_id, emoji } => {
                view.message_id = Some(*message_id);
                view.emoji = Some(emoji);
            }
            Change::Join { user_id, role }
            | Change::Leave { user_id, role }
            | Change::Role { user_id, role } => {
                view.user_id = Some(*user_id);
                view.role = Some(*role);
            }
            Change::Rename { name } => view.name = Some(name),
            Change::Archive { archived } => view.archived = Some(*archived),
            Change::Push(push) => view.push = Some(push),
            Change::Trim { to_seq } => view.to_seq = Some(*to_seq),
        }
        view
    }

    /// The packet as a frame.
    pub fn frame(&self) -> Bytes {
        framing::encode(self).unwrap_or_else(|error| {
            tracing::error!(%error, "an event could not be encoded");
            Bytes::new()
        })
    }

    /// The event as a packet of its own.
    pub fn pushed(event: &'a ChatEvent) -> Self {
        Self { packet_type: Some("Event"), ..Self::listed(event) }
    }

    /// The event as the person who just joined sees it.
    pub fn pushed_to_joiner(event: &'a ChatEvent, chat: &'a ChatSummary) -> Self {
        Self { chat: Some(chat), ..Self::pushed(event) }
    }
}

/// What a session that asked for no echo gets of its own user's messages: the seq, and nothing to show.
#[derive(Debug, Clone, Serialize)]
pub struct EventStub {
    pub packet_type: &'static str,
    pub chat_id: ChatId,
    pub seq: Seq,
    pub kind: &'static str,
    pub message_id: MessageId,
}

impl EventStub {
    /// The stub as a frame.
    pub fn frame_of(event: &ChatEvent) -> Option<Bytes> {
        framing::encode(&Self::of(event)?).ok()
    }

    /// `None` for events that are no messages: those are small, and say what one needs to know.
    fn of(event: &ChatEvent) -> Option<Self> {
        let Change::Message(message) = &event.change else { return None };
        let (chat_id, seq, kind) = (event.chat_id, event.seq, event.change.kind());
        Some(Self { packet_type: "Event", chat_id, seq, kind, message_id: message.id })
    }
}

/// An event as a client reads it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct EventData {
    pub chat_id: ChatId,
    pub seq: Seq,
    pub kind: String,
    #[serde(default)]
    pub actor_id: Option<UserId>,
    #[serde(default)]
    pub message: Option<Message>,
    #[serde(default)]
    pub message_id: Option<MessageId>,
    #[serde(default)]
    pub user_id: Option<UserId>,
    #[serde(default)]
    pub role: Option<ChatRole>,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub archived: Option<bool>,
    #[serde(default)]
    pub push: Option<Push>,
    #[serde(default)]
    pub emoji: Option<String>,
    #[serde(default)]
    pub chat: Option<ChatSummary>,
}
