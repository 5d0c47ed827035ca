//! Chats and their participants.

use super::ids::{ChatId, MessageId, ProjectId, Seq, UserId};
use super::notification::NotifyLevel;
use super::own_messages::OwnMessages;
use super::text::{Invalid, nfc, parse_line};
use super::text_enum::text_enum;
use super::timestamp::Timestamp;

text_enum! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum ChatKind {
        /// Exactly two users; each pair has one permanent chat.
        Direct = "direct",
        /// Users enter only when a participant adds them.
        Group = "group",
        /// All users can find and join it, or it is the channel of a project.
        Channel = "channel",
    }
}

text_enum! {
    /// Roles in ascending order: each role includes the permissions of the lower ones.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum ChatRole {
        /// May read and react but not post; exists in channels only.
        Reader = "reader",
        Member = "member",
        Admin = "admin",
        Owner = "owner",
    }
}

text_enum! {
    /// The users other than participants who may know of a chat.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum Audience {
        /// None.
        Members = "members",
        /// All users can find and join it: channels.
        Joinable = "joinable",
        /// All users can read it: channels of public projects.
        Public = "public",
    }
}

impl Audience {
    /// Returns the initial audience of a chat of this kind that does not belong to a project.
    pub fn of(kind: ChatKind) -> Self {
        if kind == ChatKind::Channel { Self::Joinable } else { Self::Members }
    }
}

/// A chat without its participants and messages.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Chat {
    pub id: ChatId,
    pub kind: ChatKind,
    /// `None` in direct chats.
    pub name: Option<String>,
    /// The two users of a direct chat.
    pub between: Option<(UserId, UserId)>,
    /// The project whose channel this is: its participants follow the project's members.
    pub project_id: Option<ProjectId>,
    pub audience: Audience,
    /// The seq of the newest event; 0 before the first.
    pub last_seq: Seq,
    /// The number of messages ever written.
    pub last_ordinal: i64,
    /// The newest message. It orders chats by recency without a clock.
    pub last_message_id: Option<MessageId>,
    pub archived: bool,
    /// The number of newest messages that the chat keeps; `None`: all.
    pub retention: Option<i64>,
    /// The seq up to which messages that the chat does not keep were deleted. Events are dense only
    /// above it.
    pub trimmed_seq: Seq,
    /// The ordinal of the last deleted message.
    pub trimmed_ordinal: i64,
    pub created_at: Timestamp,
    /// The version of the avatar, if the chat has one.
    #[serde(default)]
    pub avatar: Option<String>,
}

impl Chat {
    /// Returns the other user of a direct chat.
    pub fn peer_of(&self, user: UserId) -> Option<UserId> {
        self.between.map(|(one, other)| if one == user { other } else { one })
    }
}

/// A user in a chat.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Participant {
    pub user_id: UserId,
    pub role: ChatRole,
    /// The seq up to which the user has read.
    pub read_seq: Seq,
    /// The ordinal of the last message at or below `read_seq`.
    pub read_ordinal: i64,
    /// The user's own messages above `read_ordinal`: they do not count as unread.
    pub own: OwnMessages,
    /// The seq up to which any device of the user has received.
    pub delivered_seq: Seq,
    pub notify: NotifyLevel,
    /// This direct chat is hidden to the user until a message has a larger ordinal.
    pub hidden_ordinal: Option<i64>,
    /// The user who added this one; `None`: they joined on their own.
    pub added_by: Option<UserId>,
}

impl Participant {
    pub fn new(user_id: UserId, role: ChatRole) -> Self {
        Self {
            user_id,
            role,
            read_seq: 0,
            read_ordinal: 0,
            own: OwnMessages::default(),
            delivered_seq: 0,
            notify: NotifyLevel::All,
            hidden_ordinal: None,
            added_by: None,
        }
    }

    /// Creates the participant whom `actor` adds with the event `seq`: earlier messages do not
    /// count as unread.
    pub fn joining(user_id: UserId, actor: UserId, role: ChatRole, seq: Seq, last_ordinal: i64) -> Self {
        Self {
            read_seq: seq,
            read_ordinal: last_ordinal,
            delivered_seq: seq,
            added_by: (actor != user_id).then_some(actor),
            ..Self::new(user_id, role)
        }
    }

    /// Moves the read cursor forward to `seq`, never back. `ordinal` is that of the last message up
    /// to `seq`.
    pub fn read_to(&mut self, seq: Seq, ordinal: i64) {
        if seq > self.read_seq {
            (self.read_seq, self.read_ordinal) = (seq, ordinal.max(self.read_ordinal));
            self.own.drop_through(ordinal);
        }
        self.delivered_seq = self.delivered_seq.max(self.read_seq);
    }

    /// Moves the read cursor back to `seq`; `ordinal` is that of the last message up to it, and
    /// `own` are the user's messages above it.
    pub fn unread_from(&mut self, seq: Seq, ordinal: i64, own: OwnMessages) {
        (self.read_seq, self.read_ordinal, self.own) = (seq, ordinal, own);
    }

    /// Returns whether the chat is hidden to the user when its newest message has `last_ordinal`.
    pub fn hides(&self, last_ordinal: i64) -> bool {
        self.hidden_ordinal.is_some_and(|hidden| last_ordinal <= hidden)
    }

    /// Records that the user sent the newest message of the chat. If they have read all messages of
    /// others, the read cursor moves to this message. Otherwise the cursor stays, and the message
    /// is added to `own`. Recording a message twice changes nothing.
    pub fn record_sent(&mut self, seq: Seq, ordinal: i64, trimmed_ordinal: i64) {
        if ordinal <= self.read_ordinal || self.own.contains(ordinal) {
            return;
        }
        let below = self.read_ordinal.max(trimmed_ordinal);
        let unread =
            ordinal - 1 - below - self.own.above(below).map(|(first, last)| last - first + 1).sum::<i64>();
        if unread > 0 {
            self.own.push(ordinal);
        } else {
            self.read_to(seq, ordinal);
        }
    }

    /// Moves the cursors forward to those of `other`, never back.
    pub fn merge_cursors(&mut self, other: &Self) {
        self.read_seq = self.read_seq.max(other.read_seq);
        self.read_ordinal = self.read_ordinal.max(other.read_ordinal);
        self.own.drop_through(self.read_ordinal);
        self.delivered_seq = self.delivered_seq.max(other.delivered_seq);
    }
}

/// Returns the lookup key of a channel's name, independent of case and Unicode form.
pub fn channel_key(name: &str) -> String {
    nfc(&nfc(name).to_lowercase())
}

/// Parses a chat name: 1 to 80 characters, not blank, without control characters.
pub fn parse_chat_name(text: &str) -> Result<String, Invalid> {
    parse_line(text, 80)
        .ok_or(Invalid("must be 1 to 80 characters, not all blank, without control characters"))
}
