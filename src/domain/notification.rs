//! Notifications: what one person should look at, and the one rule that decides it.

use serde::{Deserialize, Serialize};

use super::ids::{ChatId, MessageId, NotificationId, Seq, UserId};
use super::timestamp::Timestamp;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NotificationKind {
    /// Somebody pushed to a project that one watches, or named one in a commit.
    Push,
    /// A message names one, with `@name` or `@all`.
    Mention,
    /// A message in a direct chat.
    Direct,
    /// A message replies to one's own.
    Reply,
    /// A message in a thread that the user follows.
    Thread,
    /// Somebody took one into a chat.
    Added,
    /// An access token of the user was made or is about to expire.
    Account,
}

impl NotificationKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Mention => "mention",
            Self::Direct => "direct",
            Self::Reply => "reply",
            Self::Thread => "thread",
            Self::Added => "added",
            Self::Account => "account",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        let all =
            [Self::Push, Self::Mention, Self::Direct, Self::Reply, Self::Thread, Self::Added, Self::Account];
        all.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// What one person wants to be notified of in one chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NotifyLevel {
    /// Direct messages, replies, threads, mentions.
    #[default]
    All,
    Mentions,
    None,
}

impl NotifyLevel {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Mentions => "mentions",
            Self::None => "none",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        [Self::All, Self::Mentions, Self::None].into_iter().find(|level| level.as_str() == name)
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
    /// Where in its chat the cause stands: the seq of the message, or of the join.
    pub seq: Option<Seq>,
}

/// Which of a user's notifications were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhichRead {
    All,
    One(NotificationId),
    /// Those of a chat up to a seq.
    InChat(ChatId, Seq),
}

/// What happened, as far as it matters to who is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    Push,
    /// A message, in a direct chat or elsewhere.
    Message {
        direct: bool,
    },
    /// Being taken into a chat.
    Added,
    /// A change of the user's own account that may not have been the user's.
    Account,
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
    /// Named with `@name`, or by `@all`.
    pub mentioned: bool,
    /// The message replies to theirs.
    pub replied_to: bool,
    /// They follow the thread of the message: they wrote in it, and have not muted it.
    pub follows_thread: bool,
    /// They block the user who did it.
    pub blocks_actor: bool,
    /// What they want to hear of this chat.
    pub level: NotifyLevel,
}

impl Standing {
    /// Somebody who may see it and whom nothing else makes special.
    pub const BYSTANDER: Self = Self {
        is_actor: false,
        may_read: true,
        active: true,
        watches: false,
        mentioned: false,
        replied_to: false,
        follows_thread: false,
        blocks_actor: false,
        level: NotifyLevel::All,
    };

    /// How `user` stands to a message of `sender` in a chat that they are in. `named`: by name, or everybody is;
    /// `replied_to`: whose message it replies to.
    pub fn towards_message(user: UserId, sender: UserId, named: bool, replied_to: Option<UserId>) -> Self {
        let (is_actor, replied_to) = (user == sender, replied_to == Some(user));
        Self { is_actor, mentioned: named, replied_to, ..Self::BYSTANDER }
    }
}

/// Whether somebody is told, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Notify(NotificationKind, &'static str),
    Silent(&'static str),
}

/// The one rule: what leads to a notification, for every kind.
pub fn decide(cause: Cause, person: Standing) -> Decision {
    if cause == Cause::Account && person.active {
        return Decision::Notify(NotificationKind::Account, "the account's credentials changed");
    }
    if person.is_actor {
        return Decision::Silent("one is not told what one did oneself");
    }
    if !person.active {
        return Decision::Silent("the user is deactivated");
    }
    if !person.may_read {
        return Decision::Silent("the user may not see it");
    }
    if person.blocks_actor {
        return Decision::Silent("the user blocks the sender");
    }
    match cause {
        Cause::Push if person.mentioned => {
            Decision::Notify(NotificationKind::Push, "a commit message names the user")
        }
        Cause::Push if person.watches => {
            Decision::Notify(NotificationKind::Push, "the user watches the project")
        }
        Cause::Push => Decision::Silent("the user does not watch the project"),
        Cause::Added => Decision::Notify(NotificationKind::Added, "a user added this one to the chat"),
        Cause::Message { direct } => decide_message(direct, person),
        Cause::Account => Decision::Silent("the user is deactivated"),
    }
}

fn decide_message(direct: bool, person: Standing) -> Decision {
    match person.level {
        NotifyLevel::None => Decision::Silent("the user wants to hear nothing of this chat"),
        NotifyLevel::All if direct => {
            Decision::Notify(NotificationKind::Direct, "the message was written to the user alone")
        }
        _ if person.mentioned => Decision::Notify(NotificationKind::Mention, "the message names the user"),
        NotifyLevel::Mentions => Decision::Silent("the user only wants to hear of mentions in this chat"),
        NotifyLevel::All if person.replied_to => {
            Decision::Notify(NotificationKind::Reply, "the message replies to the user's")
        }
        NotifyLevel::All if person.follows_thread => {
            Decision::Notify(NotificationKind::Thread, "the user follows the thread of the message")
        }
        NotifyLevel::All => Decision::Silent(
            "the message neither names the user, nor replies to them, nor is in a thread that they follow",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WATCHER: Standing = Standing { watches: true, ..Standing::BYSTANDER };

    #[test]
    fn the_level_of_a_chat_decides_what_of_its_messages_is_told() {
        use NotificationKind::{Direct, Mention, Reply};
        let told = |direct, mentioned, replied_to, level| {
            let person = Standing { mentioned, replied_to, level, ..WATCHER };
            match decide(Cause::Message { direct }, person) {
                Decision::Notify(kind, _) => Some(kind),
                Decision::Silent(_) => None,
            }
        };
        let (all, mentions, none) = (NotifyLevel::All, NotifyLevel::Mentions, NotifyLevel::None);
        for (direct, mentioned, replied, at_all, at_mentions) in [
            (false, false, false, None, None),
            (false, true, false, Some(Mention), Some(Mention)),
            (false, false, true, Some(Reply), None),
            (false, true, true, Some(Mention), Some(Mention)),
            (true, false, false, Some(Direct), None),
            (true, true, true, Some(Direct), Some(Mention)),
        ] {
            assert_eq!(told(direct, mentioned, replied, all), at_all);
            assert_eq!(told(direct, mentioned, replied, mentions), at_mentions);
            assert_eq!(told(direct, mentioned, replied, none), None);
        }
    }

    #[test]
    fn thread_followers_are_notified_unless_another_kind_applies() {
        use NotificationKind::{Mention, Reply, Thread};
        let told = |mentioned, replied_to, level| {
            let person = Standing { follows_thread: true, mentioned, replied_to, level, ..WATCHER };
            match decide(Cause::Message { direct: false }, person) {
                Decision::Notify(kind, _) => Some(kind),
                Decision::Silent(_) => None,
            }
        };
        let (all, mentions, none) = (NotifyLevel::All, NotifyLevel::Mentions, NotifyLevel::None);
        assert_eq!(told(false, false, all), Some(Thread));
        assert_eq!((told(false, true, all), told(true, true, all)), (Some(Reply), Some(Mention)));
        assert_eq!((told(false, false, mentions), told(false, false, none)), (None, None));
    }

    #[test]
    fn a_push_is_told_to_those_who_watch_or_are_named_and_may_see_it() {
        let told = |person| matches!(decide(Cause::Push, person), Decision::Notify(..));
        assert!(told(WATCHER));
        assert!(told(Standing { watches: false, mentioned: true, ..WATCHER }));
        assert!(!told(Standing { watches: false, ..WATCHER }));
        assert!(!told(Standing { is_actor: true, ..WATCHER }));
        assert!(!told(Standing { may_read: false, mentioned: true, ..WATCHER }));
        assert!(!told(Standing { active: false, ..WATCHER }));
        assert!(!told(Standing { blocks_actor: true, mentioned: true, ..WATCHER }));
    }

    #[test]
    fn owner_of_an_account_is_notified_of_own_changes() {
        let own = Standing { is_actor: true, ..Standing::BYSTANDER };
        assert!(matches!(decide(Cause::Account, own), Decision::Notify(NotificationKind::Account, _)));
        let gone = Standing { active: false, ..own };
        assert!(matches!(decide(Cause::Account, gone), Decision::Silent(_)));
    }
}
