//! Identifiers: `i64` in the database, a distinct type everywhere else.
//!
//! The database assigns ids (AUTOINCREMENT). They are never reused and stay below 2^53, so that
//! JSON readers in any language represent them exactly.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id! {
    /// A user. Deactivated users keep their id.
    UserId
}
id! {
    /// A login session, from login to logout. The `sid` claim of an access token.
    LoginId
}
id! {
    /// A conversation: direct, group or channel.
    ChatId
}
id! {
    /// A message. Ids follow the commit order over all chats.
    MessageId
}

id! {
    /// A project: repositories, members and a channel.
    ProjectId
}
id! {
    /// A repository. Its directory on disk has a separate name.
    RepositoryId
}
id! {
    /// A personal access token.
    AccessTokenId
}
id! {
    /// A push, as recorded before it is executed.
    PushId
}
id! {
    /// The row of an object of Git LFS in a repository.
    LfsObjectId
}
id! {
    /// A lock of a path in a repository.
    LfsLockId
}
id! {
    /// A file in a chat.
    FileId
}
id! {
    /// A notification of one user.
    NotificationId
}

/// Identifies an open connection while the process lives. Never stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(pub u64);

/// The position of an event in its chat: dense, starting at 1; 0 means "nothing yet".
pub type Seq = i64;
