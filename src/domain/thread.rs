//! Threads that a user follows.

use std::fmt;

use super::ids::{ChatId, MessageId, Seq, UserId};
use super::timestamp::Timestamp;

/// A thread that a user follows, with its newest reply of another user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowedThread {
    pub chat_id: ChatId,
    /// The first message of the thread.
    pub thread_id: MessageId,
    /// The position of the first message.
    pub seq: Seq,
    pub sender_id: UserId,
    /// The beginning of the first message; empty if it was deleted.
    pub excerpt: String,
    /// Replies of others above the user's read cursor, of the newest replies.
    pub unread_count: i64,
    pub last_reply: LastReply,
}

/// The newest reply of another user in a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastReply {
    pub message_id: MessageId,
    pub seq: Seq,
    pub sender_id: UserId,
    pub created_at: Timestamp,
}

/// Where a page of followed threads begins.
///
/// A request reads the threads in windows, those that began last first. A page lists threads of one
/// window, those with the newest replies first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadPlace {
    /// Only threads whose newest reply has a smaller id.
    pub before: MessageId,
    /// The window: threads with smaller ids,
    pub top: MessageId,
    /// and with this id or a larger one.
    pub end: MessageId,
}

impl ThreadPlace {
    pub const FIRST: Self = Self::window(MessageId(i64::MAX));

    /// Returns the beginning of the window below `top`.
    pub const fn window(top: MessageId) -> Self {
        Self { before: MessageId(i64::MAX), top, end: MessageId(0) }
    }

    /// Returns the place that a cursor names.
    pub fn parse(cursor: &str) -> Option<Self> {
        let mut numbers = cursor.split('.').map(|number| number.parse().ok().map(MessageId));
        let (before, top, end) = (numbers.next()??, numbers.next(), numbers.next());
        let whole = Self { before, ..Self::FIRST };
        match (top, end, numbers.next()) {
            (None, None, None) => Some(whole),
            (Some(top), Some(end), None) => Some(Self { before, top: top?, end: end? }),
            _ => None,
        }
    }
}

impl fmt::Display for ThreadPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { before, top, end } = self;
        if (*top, *end) == (Self::FIRST.top, Self::FIRST.end) {
            return write!(f, "{before}");
        }
        write!(f, "{before}.{top}.{end}")
    }
}

/// A page of followed threads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ThreadPage {
    pub items: Vec<FollowedThread>,
    /// Where the next page begins. A page with a next page may be empty.
    pub next: Option<ThreadPlace>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_of_threads_is_parsed_as_written() {
        let place = |before, top, end| ThreadPlace {
            before: MessageId(before),
            top: MessageId(top),
            end: MessageId(end),
        };
        for (place, text) in [(place(7, i64::MAX, 0), "7"), (place(7, 9, 3), "7.9.3")] {
            assert_eq!((place.to_string().as_str(), ThreadPlace::parse(text)), (text, Some(place)));
        }
        for text in ["", "x", "7.9", "7.9.x", "7.9.3.1", "7."] {
            assert_eq!(ThreadPlace::parse(text), None, "{text}");
        }
    }
}
