//! Events: what was committed, in the past tense. Read models and clients learn from nothing else.

use std::sync::Arc;

use super::chat::{Chat, ChatRole, Participant};
use super::ids::{ChatId, LoginId, Seq, UserId};
use super::message::Message;
use super::timestamp::Timestamp;
use super::user::User;

/// One numbered change of a chat: what members see, in order, exactly once.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatEvent {
    pub chat_id: ChatId,
    pub seq: Seq,
    pub actor_id: UserId,
    pub created_at: Timestamp,
    pub change: Change,
}

/// What happened in a chat.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    Message(Arc<Message>),
    Join { user_id: UserId, role: ChatRole },
    Leave { user_id: UserId, role: ChatRole },
    Role { user_id: UserId, role: ChatRole },
    Rename { name: String },
    Archive { archived: bool },
}

impl Change {
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Message(_) => "message",
            Self::Join { .. } => "join",
            Self::Leave { .. } => "leave",
            Self::Role { .. } => "role",
            Self::Rename { .. } => "rename",
            Self::Archive { .. } => "archive",
        }
    }
}

impl ChatEvent {
    /// The message, if the event is one.
    pub fn message(&self) -> Option<&Arc<Message>> {
        match &self.change {
            Change::Message(message) => Some(message),
            _ => None,
        }
    }

    /// What the event costs a cache, in bytes.
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
            + 16
            + match &self.change {
                Change::Message(message) => message.bytes() + 16,
                Change::Rename { name } => name.len(),
                _ => 0,
            }
    }
}

/// A committed fact, as the read models apply it.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    UserRegistered {
        user: Arc<User>,
        password_hash: Arc<str>,
    },
    UserUpdated {
        user: Arc<User>,
    },
    PasswordChanged {
        user_id: UserId,
        password_hash: Arc<str>,
        token_version: i64,
    },
    LoginStarted {
        login_id: LoginId,
        user_id: UserId,
    },
    LoginEnded {
        login_id: LoginId,
        user_id: UserId,
    },
    /// The people of a new chat arrive as `Join` changes behind it.
    ChatCreated {
        chat: Arc<Chat>,
    },
    Chat(Arc<ChatEvent>),
    ReadMarked {
        chat_id: ChatId,
        participant: Participant,
    },
}
