//! Identifiers: `i64` in the database, a type of their own everywhere else.
//!
//! Ids are given by the database (AUTOINCREMENT), never reused, and stay below 2^53 so that JSON readers in any
//! language hold them exactly.

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
    /// A user. Deactivated users keep theirs.
    UserId
}
id! {
    /// A login session: what one login opened and one logout ends. The `sid` claim of an access token.
    LoginId
}
id! {
    /// A conversation: direct, group or channel.
    ChatId
}
id! {
    /// A message, in commit order over all chats.
    MessageId
}

id! {
    /// A project: repositories, people and a channel.
    ProjectId
}
id! {
    /// A repository. Its directory on disk has a name of its own.
    RepositoryId
}
id! {
    /// A personal access token.
    AccessTokenId
}
id! {
    /// What one push was about to do.
    PushId
}
id! {
    /// Something that one person should look at.
    NotificationId
}

/// Names one open connection for as long as the process lives. Never stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(pub u64);

/// The position of an event in its chat: dense, starting at 1; 0 means "nothing yet".
pub type Seq = i64;
