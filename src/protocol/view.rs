//! Chats and events as clients see them: the same fields in MessagePack and in JSON.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::datagram::Key;
use super::framing;
use crate::domain::chat::{ChatKind, ChatRole, Participant};
use crate::domain::event::{Change, ChatEvent};
use crate::domain::ids::{ChatId, MessageId, NotificationId, ProjectId, Seq, UserId};
use crate::domain::message::Message;
use crate::domain::notification::{Notification, NotificationKind, NotifyLevel, PushReason};
use crate::domain::presence::Shown;
use crate::domain::push::Push;
use crate::domain::timestamp::Timestamp;
use crate::domain::user::User;

/// A chat in a user's list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ChatSummary {
    #[schema(value_type = i64)]
    pub id: ChatId,
    #[schema(value_type = String)]
    pub kind: ChatKind,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// The other user of a direct chat.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub peer: Option<String>,
    /// Present only when `false`: the other user of a direct chat is deactivated, so no user can
    /// post in it.
    #[serde(skip_serializing_if = "Clone::clone", default = "active")]
    pub active: bool,
    /// The project whose channel this chat is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<i64>)]
    pub project_id: Option<ProjectId>,
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub archived: bool,
    /// The level of notifications that the user chose; absent: `all`.
    #[serde(skip_serializing_if = "is_default", default)]
    #[schema(value_type = String)]
    pub notify: NotifyLevel,
    pub last_seq: Seq,
    pub read_seq: Seq,
    pub unread_count: i64,
    /// The user has hidden this direct chat until its next message.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub hidden: bool,
    /// The version of the avatar of the chat, if it has one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub avatar: Option<String>,
}

/// The presence of a user as others see it. Of two views, the one with the larger version is newer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PresenceView {
    #[schema(value_type = i64)]
    pub user_id: UserId,
    /// `online`, `away`, `dnd` or `offline`.
    #[schema(value_type = String)]
    pub status: Shown,
    pub version: u64,
}

/// A user as clients see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserView {
    pub id: UserId,
    pub username: String,
    pub display_name: String,
    /// Present only when `false`: an administrator deactivated the user.
    #[serde(skip_serializing_if = "Clone::clone", default = "active")]
    pub active: bool,
    /// The version of the avatar, if the user has one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub avatar: Option<String>,
}

fn active() -> bool {
    true
}

impl From<&User> for UserView {
    fn from(user: &User) -> Self {
        let (username, display_name) = (user.username.clone(), user.display_name.clone());
        let avatar = user.shown_avatar().map(str::to_owned);
        Self { id: user.id, username, display_name, active: user.active, avatar }
    }
}

/// The parameters that a client needs for UDP.
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

/// How far a member has read and received a chat.
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

/// A notification of one user.
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
    /// The position in the chat: reading the chat up to here marks the notification as read.
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
    /// The repository of a `push`, as `owner/project/name` at the time of the push.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub repository: Option<String>,
    /// The reason of a `push`: `watch` (you watch the project) or `named` (a commit names you).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub reason: Option<PushReason>,
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
            repository: notification.repository.clone(),
            reason: notification.reason,
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
    /// The message of an event other than `message` and `edit`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<MessageId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub emoji: Option<&'a str>,
    /// In a `trim`: messages up to here were deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_seq: Option<Seq>,
    /// In a `join` of the receiving user: the chat that the user joined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat: Option<&'a ChatSummary>,
}

impl<'a> EventView<'a> {
    /// Returns the event for a list.
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

    /// Encodes the event as a frame.
    pub fn frame(&self) -> Bytes {
        framing::encode(self).unwrap_or_else(|error| {
            tracing::error!(%error, "an event could not be encoded");
            Bytes::new()
        })
    }

    /// Returns the event as a packet of its own.
    pub fn pushed(event: &'a ChatEvent) -> Self {
        Self { packet_type: Some("Event"), ..Self::listed(event) }
    }

    /// Returns the event as the user who just joined receives it.
    pub fn pushed_to_joiner(event: &'a ChatEvent, chat: &'a ChatSummary) -> Self {
        Self { chat: Some(chat), ..Self::pushed(event) }
    }
}

/// The stub that a session without echo receives for its own user's messages: the seq, without
/// content.
#[derive(Debug, Clone, Serialize)]
pub struct EventStub {
    pub packet_type: &'static str,
    pub chat_id: ChatId,
    pub seq: Seq,
    pub kind: &'static str,
    pub message_id: MessageId,
}

impl EventStub {
    /// Encodes the stub as a frame.
    pub fn frame_of(event: &ChatEvent) -> Option<Bytes> {
        framing::encode(&Self::of(event)?).ok()
    }

    /// Returns `None` for events other than messages: those are small, and the client needs their
    /// content.
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
    pub created_at: Option<Timestamp>,
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
    pub to_seq: Option<Seq>,
    #[serde(default)]
    pub chat: Option<ChatSummary>,
}
