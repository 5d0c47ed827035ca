//! Notifications: what one person should look at, and the one rule that decides it.

use serde::{Deserialize, Serialize};

use super::ids::{ChatId, MessageId, NotificationId, UserId};
use super::timestamp::Timestamp;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NotificationKind {
    /// Somebody pushed to a project that one watches, or named one in a commit.
    Push,
}

impl NotificationKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Push => "push",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Push].into_iter().find(|kind| kind.as_str() == name)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    pub id: NotificationId,
    pub user_id: UserId,
    pub kind: NotificationKind,
    pub chat_id: Option<ChatId>,
    pub message_id: Option<MessageId>,
    pub actor_id: Option<UserId>,
    pub text: String,
    pub created_at: Timestamp,
    pub read_at: Option<Timestamp>,
}

/// What happened, as far as it matters to who is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    Push,
}

/// How one person stands to the cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// They did it themselves.
    pub is_actor: bool,
    /// They may see it.
    pub may_read: bool,
    pub active: bool,
    pub watches: bool,
    /// Named with `@name`.
    pub mentioned: bool,
}

/// Whether somebody is told, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Notify(NotificationKind, &'static str),
    Silent(&'static str),
}

/// The one rule: what leads to a notification, for every kind.
pub fn decide(cause: Cause, person: Standing) -> Decision {
    if person.is_actor {
        return Decision::Silent("one is not told what one did oneself");
    }
    if !person.active {
        return Decision::Silent("the user is deactivated");
    }
    if !person.may_read {
        return Decision::Silent("the user may not see it");
    }
    match cause {
        Cause::Push if person.mentioned => {
            Decision::Notify(NotificationKind::Push, "a commit message names the user")
        }
        Cause::Push if person.watches => {
            Decision::Notify(NotificationKind::Push, "the user watches the project")
        }
        Cause::Push => Decision::Silent("the user does not watch the project"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WATCHER: Standing =
        Standing { is_actor: false, may_read: true, active: true, watches: true, mentioned: false };

    #[test]
    fn a_push_is_told_to_those_who_watch_or_are_named_and_may_see_it() {
        let told = |person| matches!(decide(Cause::Push, person), Decision::Notify(..));
        assert!(told(WATCHER));
        assert!(told(Standing { watches: false, mentioned: true, ..WATCHER }));
        assert!(!told(Standing { watches: false, ..WATCHER }));
        assert!(!told(Standing { is_actor: true, ..WATCHER }));
        assert!(!told(Standing { may_read: false, mentioned: true, ..WATCHER }));
        assert!(!told(Standing { active: false, ..WATCHER }));
    }
}
