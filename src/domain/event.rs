//! Events: committed changes, named in the past tense. Read models and clients have no other input.

use std::sync::Arc;

use super::access::AccessToken;
use super::chat::{Audience, Chat, ChatRole, Participant};
use super::ids::{
    AccessTokenId, ChatId, LoginId, MessageId, NotificationId, ProjectId, RepositoryId, Seq, UserId,
};
use super::login::{WebHandle, WebLoginUse};
use super::message::Message;
use super::notification::{Notification, NotifyLevel, WhichRead};
use super::project::{Project, ProjectRole};
use super::push::Push;
use super::repository::Repository;
use super::timestamp::Timestamp;
use super::user::User;

/// A numbered change of a chat, which members receive in order and exactly once.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ChatEvent {
    pub chat_id: ChatId,
    pub seq: Seq,
    pub actor_id: UserId,
    pub created_at: Timestamp,
    pub change: Change,
}

/// The change of an event in a chat.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum Change {
    Message(Arc<Message>),
    Join {
        user_id: UserId,
        role: ChatRole,
    },
    Leave {
        user_id: UserId,
        role: ChatRole,
    },
    Role {
        user_id: UserId,
        role: ChatRole,
    },
    Rename {
        name: String,
    },
    Archive {
        archived: bool,
    },
    /// A push to a repository of the project whose channel this is.
    Push(Arc<Push>),
    /// The message as it is now, which may be newer than this edit.
    Edit(Arc<Message>),
    Delete {
        message_id: MessageId,
    },
    React {
        message_id: MessageId,
        emoji: String,
    },
    Unreact {
        message_id: MessageId,
        emoji: String,
    },
    Pin {
        message_id: MessageId,
    },
    Unpin {
        message_id: MessageId,
    },
    /// Messages up to this seq were deleted because of the chat's retention.
    Trim {
        to_seq: Seq,
    },
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
            Self::Push(_) => "push",
            Self::Edit(_) => "edit",
            Self::Delete { .. } => "delete",
            Self::React { .. } => "react",
            Self::Unreact { .. } => "unreact",
            Self::Pin { .. } => "pin",
            Self::Unpin { .. } => "unpin",
            Self::Trim { .. } => "trim",
        }
    }
}

impl ChatEvent {
    /// Returns the event of a message that was posted.
    pub fn of_message(message: Arc<Message>) -> Self {
        Self {
            chat_id: message.chat_id,
            seq: message.seq,
            actor_id: message.sender_id,
            created_at: message.created_at,
            change: Change::Message(message),
        }
    }

    /// Returns the message of a `message` event.
    pub fn message(&self) -> Option<&Arc<Message>> {
        match &self.change {
            Change::Message(message) => Some(message),
            _ => None,
        }
    }

    /// Returns the same event with the current state of `message`; `None` if it shows another
    /// message or none.
    pub fn showing(&self, message: &Arc<Message>) -> Option<Self> {
        let change = match &self.change {
            Change::Message(shown) if shown.id == message.id => Change::Message(message.clone()),
            Change::Edit(shown) if shown.id == message.id => Change::Edit(message.clone()),
            _ => return None,
        };
        Some(Self { change, ..self.clone() })
    }

    /// Returns the memory that the event takes in a cache, in bytes.
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
            + 16
            + match &self.change {
                Change::Message(message) | Change::Edit(message) => message.bytes() + 16,
                Change::Rename { name } => name.len(),
                Change::React { emoji, .. } | Change::Unreact { emoji, .. } => emoji.len(),
                Change::Push(push) => push.bytes() + 16,
                _ => 0,
            }
    }
}

/// A committed change, as the read models apply it.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
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
        /// Set for a web login: the hash that finds it.
        web: Option<WebHandle>,
    },
    /// The times at which web logins were last used, and their new expiry.
    WebLoginsUsed {
        uses: Vec<WebLoginUse>,
    },
    LoginEnded {
        login_id: LoginId,
        user_id: UserId,
    },
    /// The participants of a new chat follow as `Join` changes.
    ChatCreated {
        chat: Arc<Chat>,
    },
    Chat(Arc<ChatEvent>),
    /// The chat was deleted for all users.
    ChatDeleted {
        chat_id: ChatId,
    },
    /// The current state of a message wherever it is shown. The chat's own event follows.
    MessageChanged {
        message: Arc<Message>,
    },
    /// A participant has read or received messages up to these cursors.
    CursorsMoved {
        chat_id: ChatId,
        participant: Participant,
    },
    /// A participant marked messages as unread: these cursors replace the current ones, even if
    /// they are lower.
    CursorsMovedBack {
        chat_id: ChatId,
        participant: Participant,
    },
    /// A direct chat is hidden to a user until a message has a larger ordinal; `None`: it is shown.
    HiddenSet {
        chat_id: ChatId,
        user_id: UserId,
        ordinal: Option<i64>,
    },
    NotifyLevelSet {
        chat_id: ChatId,
        user_id: UserId,
        level: NotifyLevel,
    },
    /// Messages up to `seq` were deleted, together with the events about them. Later events that
    /// showed one of `edited` are now deletions.
    Trimmed {
        chat_id: ChatId,
        seq: Seq,
        ordinal: i64,
        edited: Vec<MessageId>,
    },
    RetentionSet {
        chat_id: ChatId,
        keep: Option<i64>,
    },
    /// `None`: the chat has no avatar any more.
    ChatAvatarSet {
        chat_id: ChatId,
        avatar: Option<String>,
    },
    AudienceChanged {
        chat_id: ChatId,
        audience: Audience,
    },
    AccessTokenCreated {
        token: Arc<AccessToken>,
        hash: [u8; 32],
    },
    AccessTokenRevoked {
        token_id: AccessTokenId,
    },
    /// The times at which access tokens were last used.
    AccessTokensUsed {
        uses: Vec<(AccessTokenId, Timestamp)>,
    },
    BlockChanged {
        user_id: UserId,
        blocked_id: UserId,
        blocks: bool,
    },
    /// The current state of a project that was created or changed.
    ProjectChanged {
        project: Arc<Project>,
    },
    ProjectDeleted {
        project_id: ProjectId,
    },
    /// `None`: the user is not a member any more.
    MemberChanged {
        project_id: ProjectId,
        user_id: UserId,
        role: Option<ProjectRole>,
    },
    WatchChanged {
        project_id: ProjectId,
        user_id: UserId,
        watches: bool,
    },
    /// The current state of a repository that became usable or was changed.
    RepositoryChanged {
        repository: Arc<Repository>,
    },
    RepositoryDeleted {
        repository_id: RepositoryId,
    },
    /// The former name of a project, which leads to it from now on.
    ProjectNameLeft {
        owner_id: UserId,
        name_key: String,
        project_id: ProjectId,
    },
    RepositoryNameLeft {
        project_id: ProjectId,
        name_key: String,
        repository_id: RepositoryId,
    },
    Notified {
        notification: Arc<Notification>,
    },
    /// Notifications that were evicted for newer ones, or whose message was deleted.
    NotificationsRemoved {
        gone: Vec<(UserId, NotificationId)>,
    },
    NotificationsRead {
        user_id: UserId,
        which: WhichRead,
        read_at: Timestamp,
    },
}
