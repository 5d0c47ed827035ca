//! Notifications of users, and the rule that decides when they are sent.

use super::ids::{ChatId, MessageId, NotificationId, Seq, UserId};
use super::text_enum::text_enum;
use super::timestamp::Timestamp;

text_enum! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum NotificationKind {
        /// A push to a project that the user watches, or a commit message that names the user.
        Push = "push",
        /// A message names the user with `@name` or `@all`.
        Mention = "mention",
        /// A message in a direct chat.
        Direct = "direct",
        /// A message replies to a message of the user.
        Reply = "reply",
        /// A message in a thread that the user follows.
        Thread = "thread",
        /// Another user added the user to a chat.
        Added = "added",
        /// An access token of the user was created or is about to expire.
        Account = "account",
    }
}

text_enum! {
    /// The level of notifications that a user chose for a chat.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub enum NotifyLevel {
        /// Direct messages, replies, threads, mentions.
        #[default]
        All = "all",
        Mentions = "mentions",
        None = "none",
    }
}

text_enum! {
    /// The reason of a [`NotificationKind::Push`]. Other kinds state their reason themselves.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum PushReason {
        /// The user watches the project.
        Watch = "watch",
        /// A commit message names the user.
        Named = "named",
    }
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
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
    /// The position of the cause in its chat: the seq of the message, or of the join.
    pub seq: Option<Seq>,
    /// The repository of a push, as `owner/project/name` at the time of the push.
    pub repository: Option<String>,
    /// The reason of a push. Pushes of earlier versions have none.
    pub reason: Option<PushReason>,
}

/// The notifications of a user that were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum WhichRead {
    All,
    One(NotificationId),
    /// Those of a chat up to a seq.
    InChat(ChatId, Seq),
}

/// The cause of a notification, as far as it affects the recipients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    Push,
    /// A message, in a direct chat or elsewhere.
    Message {
        direct: bool,
    },
    /// The user was added to a chat.
    Added,
    /// A change of the user's own account that another person may have made.
    Account,
}

/// The facts about a recipient that [`decide`] uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecipientFacts {
    /// The recipient caused it.
    pub is_actor: bool,
    /// The recipient may read it.
    pub may_read: bool,
    pub active: bool,
    pub watches: bool,
    /// The message or commit names the recipient with `@name`, or with `@all`.
    pub mentioned: bool,
    /// The message replies to one of the recipient.
    pub replied_to: bool,
    /// The recipient follows the thread of the message: they wrote in it and have not muted it.
    pub follows_thread: bool,
    /// The recipient blocks the user who caused it.
    pub blocks_actor: bool,
    /// The recipient's level for this chat.
    pub level: NotifyLevel,
}

impl RecipientFacts {
    /// A recipient who may read it, without any further relation to it.
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

    /// Returns the reason for which [`decide`] notifies the recipient of a push.
    pub fn push_reason(self) -> PushReason {
        if self.mentioned { PushReason::Named } else { PushReason::Watch }
    }

    /// Returns the facts of `user` for a message of `sender` in a chat that the user is in.
    /// `named`: by name or by `@all`; `replied_to`: the sender of the message that it replies to.
    pub fn towards_message(user: UserId, sender: UserId, named: bool, replied_to: Option<UserId>) -> Self {
        let (is_actor, replied_to) = (user == sender, replied_to == Some(user));
        Self { is_actor, mentioned: named, replied_to, ..Self::BYSTANDER }
    }
}

/// Whether a user is notified, and the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Notify(NotificationKind, &'static str),
    Silent(&'static str),
}

/// Decides whether a user is notified. This is the only rule, for all kinds.
pub fn decide(cause: Cause, person: RecipientFacts) -> Decision {
    if cause == Cause::Account && person.active {
        return Decision::Notify(NotificationKind::Account, "the account's credentials changed");
    }
    if person.is_actor {
        return Decision::Silent("users do not get notifications for their own actions");
    }
    if !person.active {
        return Decision::Silent("the user is deactivated");
    }
    if !person.may_read {
        return Decision::Silent("the user is not allowed to read it");
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
        Cause::Added => Decision::Notify(NotificationKind::Added, "another user added the user to the chat"),
        Cause::Message { direct } => decide_message(direct, person),
        Cause::Account => Decision::Silent("the user is deactivated"),
    }
}

fn decide_message(direct: bool, person: RecipientFacts) -> Decision {
    match person.level {
        NotifyLevel::None => Decision::Silent("the user has turned off notifications for this chat"),
        NotifyLevel::All if direct => {
            Decision::Notify(NotificationKind::Direct, "the message is in a direct chat of the user")
        }
        _ if person.mentioned => Decision::Notify(NotificationKind::Mention, "the message names the user"),
        NotifyLevel::Mentions => Decision::Silent("the user has limited this chat to mentions"),
        NotifyLevel::All if person.replied_to => {
            Decision::Notify(NotificationKind::Reply, "the message replies to a message of the user")
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

    const WATCHER: RecipientFacts = RecipientFacts { watches: true, ..RecipientFacts::BYSTANDER };

    #[test]
    fn chat_level_decides_which_messages_notify() {
        use NotificationKind::{Direct, Mention, Reply};
        let kind_of = |direct, mentioned, replied_to, level| {
            let person = RecipientFacts { mentioned, replied_to, level, ..WATCHER };
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
            assert_eq!(kind_of(direct, mentioned, replied, all), at_all);
            assert_eq!(kind_of(direct, mentioned, replied, mentions), at_mentions);
            assert_eq!(kind_of(direct, mentioned, replied, none), None);
        }
    }

    #[test]
    fn thread_followers_are_notified_unless_another_kind_applies() {
        use NotificationKind::{Mention, Reply, Thread};
        let kind_of = |mentioned, replied_to, level| {
            let person = RecipientFacts { follows_thread: true, mentioned, replied_to, level, ..WATCHER };
            match decide(Cause::Message { direct: false }, person) {
                Decision::Notify(kind, _) => Some(kind),
                Decision::Silent(_) => None,
            }
        };
        let (all, mentions, none) = (NotifyLevel::All, NotifyLevel::Mentions, NotifyLevel::None);
        assert_eq!(kind_of(false, false, all), Some(Thread));
        assert_eq!((kind_of(false, true, all), kind_of(true, true, all)), (Some(Reply), Some(Mention)));
        assert_eq!((kind_of(false, false, mentions), kind_of(false, false, none)), (None, None));
    }

    #[test]
    fn push_notifies_watchers_and_named_users_who_may_read() {
        let is_notified = |person| matches!(decide(Cause::Push, person), Decision::Notify(..));
        assert!(is_notified(WATCHER));
        assert!(is_notified(RecipientFacts { watches: false, mentioned: true, ..WATCHER }));
        assert!(!is_notified(RecipientFacts { watches: false, ..WATCHER }));
        assert_eq!(WATCHER.push_reason(), PushReason::Watch);
        assert_eq!(RecipientFacts { mentioned: true, ..WATCHER }.push_reason(), PushReason::Named);
        assert!(!is_notified(RecipientFacts { is_actor: true, ..WATCHER }));
        assert!(!is_notified(RecipientFacts { may_read: false, mentioned: true, ..WATCHER }));
        assert!(!is_notified(RecipientFacts { active: false, ..WATCHER }));
        assert!(!is_notified(RecipientFacts { blocks_actor: true, mentioned: true, ..WATCHER }));
    }

    #[test]
    fn owner_of_an_account_is_notified_of_own_changes() {
        let own = RecipientFacts { is_actor: true, ..RecipientFacts::BYSTANDER };
        assert!(matches!(decide(Cause::Account, own), Decision::Notify(NotificationKind::Account, _)));
        let gone = RecipientFacts { active: false, ..own };
        assert!(matches!(decide(Cause::Account, gone), Decision::Silent(_)));
    }
}
