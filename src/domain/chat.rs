//! Chats and the people in them.

use serde::{Deserialize, Serialize};

use super::ids::{ChatId, MessageId, ProjectId, Seq, UserId};
use super::notification::NotifyLevel;
use super::own_messages::OwnMessages;
use super::text::nfc;
use super::timestamp::Timestamp;
use super::user::{Invalid, parse_line};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChatKind {
    /// Exactly two people, one chat per pair, for ever.
    Direct,
    /// Whoever was added.
    Group,
    /// Found and joined by every user, or the channel of a project.
    Channel,
}

impl ChatKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Group => "group",
            Self::Channel => "channel",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Direct, Self::Group, Self::Channel].into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Ordered by power: a higher role may do whatever a lower one may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChatRole {
    /// Reads, in channels only.
    Reader,
    Member,
    Admin,
    Owner,
}

impl ChatRole {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Reader, Self::Member, Self::Admin, Self::Owner].into_iter().find(|role| role.as_str() == name)
    }
}

/// Who, besides the people in a chat, may know of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Audience {
    /// Nobody.
    Members,
    /// Every user may find and join it: channels.
    Joinable,
    /// Every user may read it: channels of public projects.
    Public,
}

impl Audience {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Members => "members",
            Self::Joinable => "joinable",
            Self::Public => "public",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Members, Self::Joinable, Self::Public].into_iter().find(|audience| audience.as_str() == name)
    }

    /// What a chat of this kind begins with, unless it belongs to a project.
    pub fn of(kind: ChatKind) -> Self {
        if kind == ChatKind::Channel { Self::Joinable } else { Self::Members }
    }
}

/// A chat without its people and messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chat {
    pub id: ChatId,
    pub kind: ChatKind,
    /// `None` in direct chats.
    pub name: Option<String>,
    /// The two people of a direct chat.
    pub between: Option<(UserId, UserId)>,
    /// The project whose channel it is: its people follow the project's members.
    pub project_id: Option<ProjectId>,
    pub audience: Audience,
    /// The seq of the newest event; 0 before the first.
    pub last_seq: Seq,
    /// How many messages were ever written.
    pub last_ordinal: i64,
    /// The newest message: recency without a clock.
    pub last_message_id: Option<MessageId>,
    pub archived: bool,
    /// How many of its newest messages it keeps; `None`: all.
    pub retention: Option<i64>,
    /// Up to here the messages that it does not keep are gone: its events are dense above only.
    pub trimmed_seq: Seq,
    /// The ordinal of the last message that is gone.
    pub trimmed_ordinal: i64,
    pub created_at: Timestamp,
}

impl Chat {
    /// The other person of a direct chat.
    pub fn peer_of(&self, user: UserId) -> Option<UserId> {
        self.between.map(|(one, other)| if one == user { other } else { one })
    }
}

/// One person in one chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Participant {
    pub user_id: UserId,
    pub role: ChatRole,
    /// How far this person has read.
    pub read_seq: Seq,
    /// The ordinal of the last message at or below `read_seq`.
    pub read_ordinal: i64,
    /// This person's own messages above `read_ordinal`: they are not unread.
    pub own: OwnMessages,
    /// How far any of this person's devices has received.
    pub delivered_seq: Seq,
    pub notify: NotifyLevel,
    /// The chat, a direct one, is hidden to this person until a message has a larger ordinal.
    pub hidden_ordinal: Option<i64>,
    /// Who put this person into the chat; `None`: they entered by themselves.
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

    /// A user whom `actor` brings in with the event `seq`: messages before it are not unread.
    pub fn joining(user_id: UserId, actor: UserId, role: ChatRole, seq: Seq, last_ordinal: i64) -> Self {
        Self {
            read_seq: seq,
            read_ordinal: last_ordinal,
            delivered_seq: seq,
            added_by: (actor != user_id).then_some(actor),
            ..Self::new(user_id, role)
        }
    }

    /// Reads up to `seq`, where the messages up to `ordinal` are; never back.
    pub fn read_to(&mut self, seq: Seq, ordinal: i64) {
        if seq > self.read_seq {
            (self.read_seq, self.read_ordinal) = (seq, ordinal.max(self.read_ordinal));
            self.own.drop_through(ordinal);
        }
        self.delivered_seq = self.delivered_seq.max(self.read_seq);
    }

    /// Moves the read cursor back to `seq`, where the messages up to `ordinal` are; `own` are this person's above it.
    pub fn unread_from(&mut self, seq: Seq, ordinal: i64, own: OwnMessages) {
        (self.read_seq, self.read_ordinal, self.own) = (seq, ordinal, own);
    }

    /// Whether the chat, with this many messages, is hidden to the person.
    pub fn hides(&self, last_ordinal: i64) -> bool {
        self.hidden_ordinal.is_some_and(|hidden| last_ordinal <= hidden)
    }

    /// Says the newest message of the chat. A person who has read all messages of others has read this one too;
    /// otherwise the cursor stays, and the message is counted apart. A message that counts already changes nothing.
    pub fn say(&mut self, seq: Seq, ordinal: i64, trimmed_ordinal: i64) {
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

    /// Moves the cursors forward to those of `other`; never back.
    pub fn merge_cursors(&mut self, other: &Self) {
        self.read_seq = self.read_seq.max(other.read_seq);
        self.read_ordinal = self.read_ordinal.max(other.read_ordinal);
        self.own.drop_through(self.read_ordinal);
        self.delivered_seq = self.delivered_seq.max(other.delivered_seq);
    }
}

/// The key under which a channel is found, whatever the case and the form of its name.
pub fn channel_key(name: &str) -> String {
    nfc(&nfc(name).to_lowercase())
}

/// 1 to 80 characters, not blank, without control characters.
pub fn parse_chat_name(text: &str) -> Result<String, Invalid> {
    parse_line(text, 80)
        .ok_or(Invalid("must be 1 to 80 characters, not all blank, without control characters"))
}
