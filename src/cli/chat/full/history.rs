//! The loaded part of a chat's history.
//!
//! Invariants
//! * The window covers every event in `(from, to]`, in the order of their seqs. Pages and live
//!   events extend it at its ends only.
//! * Memory is bounded: a window that is too large loses the end that is farther from the page that
//!   extended it. That end is requested again when the user scrolls there.
//! * Of two copies of a message the one with the larger `updated_seq` is kept.

use std::collections::{BTreeSet, HashMap, VecDeque};

use crate::domain::ids::{MessageId, Seq, UserId};
use crate::domain::message::{ClientId, Message, Reaction};
use crate::domain::timestamp::Timestamp;
use crate::protocol::view::EventData;

/// Rows kept for a chat.
pub(super) const ROWS_MAX: usize = 1_500;
/// Bytes of messages kept for a chat.
const BYTES_MAX: usize = 8 << 20;

/// A row of the timeline.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Row {
    Message(Box<Message>),
    /// Another event that is shown as a sentence.
    Change(Box<EventData>),
}

impl Row {
    pub(super) fn seq(&self) -> Seq {
        match self {
            Self::Message(message) => message.seq,
            Self::Change(event) => event.seq,
        }
    }

    pub(super) fn at(&self) -> Timestamp {
        match self {
            Self::Message(message) => message.created_at,
            Self::Change(event) => event.created_at.unwrap_or(Timestamp(0)),
        }
    }

    pub(super) fn message(&self) -> Option<&Message> {
        match self {
            Self::Message(message) => Some(message),
            Self::Change(_) => None,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Message(message) => message.bytes(),
            Self::Change(_) => size_of::<EventData>(),
        }
    }
}

/// Requested part of the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Newest,
    Before(Seq),
    After(Seq),
}

#[derive(Debug, Default)]
pub(super) struct History {
    rows: VecDeque<Row>,
    from: Seq,
    to: Seq,
    bytes: usize,
    /// Senders of messages that were loaded.
    senders: BTreeSet<UserId>,
    /// Loaded replies of threads, by the first message.
    replies: HashMap<MessageId, BTreeSet<MessageId>>,
    loaded: bool,
    /// A page that was requested and has not arrived.
    pub(super) loading: Option<Part>,
}

impl History {
    pub(super) fn is_loaded(&self) -> bool {
        self.loaded
    }

    /// Returns whether the window begins with the first event of the chat.
    pub(super) fn is_at_start(&self) -> bool {
        self.loaded && self.from == 0
    }

    /// Returns whether the window ends with the newest event, given its seq.
    pub(super) fn is_at_end(&self, last: Seq) -> bool {
        self.loaded && self.to >= last
    }

    pub(super) fn from(&self) -> Seq {
        self.from
    }

    pub(super) fn to(&self) -> Seq {
        self.to
    }

    pub(super) fn rows(&self) -> &VecDeque<Row> {
        &self.rows
    }

    pub(super) fn get(&self, index: usize) -> Option<&Row> {
        self.rows.get(index)
    }

    /// Returns the index of the last row at or before a seq.
    pub(super) fn index_at(&self, seq: Seq) -> Option<usize> {
        self.rows.partition_point(|row| row.seq() <= seq).checked_sub(1)
    }

    pub(super) fn message_at(&self, seq: Seq) -> Option<&Message> {
        let row = self.index_at(seq).and_then(|index| self.rows.get(index))?;
        row.message().filter(|message| message.seq == seq)
    }

    pub(super) fn message(&self, id: MessageId) -> Option<&Message> {
        self.messages().rev().find(|message| message.id == id)
    }

    pub(super) fn messages(&self) -> impl DoubleEndedIterator<Item = &Message> {
        self.rows.iter().filter_map(Row::message)
    }

    /// Returns the senders of the messages of the window, and of some that it has lost.
    pub(super) fn senders(&self) -> impl Iterator<Item = UserId> {
        self.senders.iter().copied()
    }

    /// Returns the number of loaded replies in the thread of a message.
    pub(super) fn replies(&self, root: MessageId) -> usize {
        self.replies.get(&root).map_or(0, BTreeSet::len)
    }

    /// Notes what the window knows of its messages.
    fn note(&mut self, row: &Row) {
        self.bytes += row.bytes();
        let Some(message) = row.message() else { return };
        self.senders.insert(message.sender_id);
        if let Some(root) = message.thread_id.or(message.reply_to).filter(|root| *root != message.id) {
            self.replies.entry(root).or_default().insert(message.id);
        }
    }

    pub(super) fn has_client_id(&self, id: ClientId) -> bool {
        self.messages().rev().any(|message| message.client_id == id)
    }

    /// Discards the window: it is loaded again when it is shown.
    pub(super) fn unload(&mut self) {
        *self = Self::default();
    }

    /// Applies a live event, which is the next event of the chat.
    pub(super) fn apply(&mut self, event: &EventData) {
        if !self.loaded {
            return;
        }
        if event.kind == "trim" {
            return self.unload();
        }
        self.update(event);
        if event.seq == self.to + 1 && self.loading.is_none_or(|part| !matches!(part, Part::After(_))) {
            self.to = event.seq;
            self.push(event);
            self.trim_front();
        }
    }

    /// Adds a page. Returns `false` if the page does not fit the window, or is older than changes
    /// that were applied already: then it must be requested again.
    pub(super) fn page(
        &mut self,
        part: Part,
        events: &[EventData],
        has_more: bool,
        as_of: Seq,
        last: Seq,
    ) -> bool {
        if self.loading.take() != Some(part) {
            return false;
        }
        match part {
            Part::Newest => {
                *self = Self { loaded: true, to: as_of, ..Self::default() };
                self.from = events.first().filter(|_| has_more).map_or(0, |first| first.seq - 1);
                events.iter().for_each(|event| self.push(event));
            }
            Part::Before(before) => {
                if !self.loaded || before != self.from + 1 || as_of < last {
                    return false;
                }
                self.from = events.first().filter(|_| has_more).map_or(0, |first| first.seq - 1);
                for event in events.iter().rev() {
                    if let Some(row) = row_of(event) {
                        self.note(&row);
                        self.rows.push_front(row);
                    }
                }
                self.trim_back();
            }
            Part::After(after) => {
                if !self.loaded {
                    // A new window, which begins here.
                    *self = Self { loaded: true, from: after, to: after, ..Self::default() };
                }
                if after != self.to {
                    return false;
                }
                for event in events {
                    self.update(event);
                    self.push(event);
                }
                let newest = events.last().map_or(after, |event| event.seq);
                self.to = if has_more { newest } else { newest.max(as_of) };
                self.trim_front();
            }
        }
        true
    }

    fn push(&mut self, event: &EventData) {
        if let Some(row) = row_of(event) {
            self.note(&row);
            self.rows.push_back(row);
        }
    }

    /// Removes old rows of a window that is too large.
    fn trim_front(&mut self) {
        while self.is_too_large()
            && let Some(row) = self.rows.pop_front()
        {
            self.bytes = self.bytes.saturating_sub(row.bytes());
            self.from = row.seq();
        }
    }

    fn trim_back(&mut self) {
        while self.is_too_large()
            && let Some(row) = self.rows.pop_back()
        {
            self.bytes = self.bytes.saturating_sub(row.bytes());
            self.to = row.seq() - 1;
        }
    }

    fn is_too_large(&self) -> bool {
        self.rows.len() > ROWS_MAX || (self.bytes > BYTES_MAX && self.rows.len() > 1)
    }

    /// Applies the change of a message in the window.
    fn update(&mut self, event: &EventData) {
        let id = event.message_id.or(event.message.as_ref().map(|message| message.id));
        let Some(id) = id.filter(|_| event.kind != "message") else { return };
        let found = self.rows.iter_mut().rev().find_map(|row| match row {
            Row::Message(message) if message.id == id => Some(message),
            _ => None,
        });
        let Some(message) = found else { return };
        let before = message.bytes();
        if event.seq > message.updated_seq.unwrap_or(message.seq) {
            change(message, event);
        }
        self.bytes = (self.bytes + message.bytes()).saturating_sub(before);
    }
}

/// Applies the change of an event to a message.
pub(super) fn change(message: &mut Message, event: &EventData) {
    let user = event.actor_id.unwrap_or(UserId(0));
    let emoji = event.emoji.as_deref().unwrap_or_default();
    match event.kind.as_str() {
        "edit" => {
            if let Some(current) = &event.message {
                *message = current.clone();
            }
        }
        "delete" => message.redact(),
        "react" => match message.reactions.iter_mut().find(|reaction| reaction.emoji == emoji) {
            Some(reaction) if reaction.user_ids.contains(&user) => {}
            Some(reaction) => reaction.user_ids.push(user),
            None => message.reactions.push(Reaction { emoji: emoji.to_owned(), user_ids: vec![user] }),
        },
        "unreact" => {
            for reaction in message.reactions.iter_mut().filter(|reaction| reaction.emoji == emoji) {
                reaction.user_ids.retain(|other| *other != user);
            }
            message.reactions.retain(|reaction| !reaction.user_ids.is_empty());
        }
        "pin" => message.pinned = true,
        "unpin" => message.pinned = false,
        _ => return,
    }
    message.updated_seq = Some(message.updated_seq.unwrap_or(0).max(event.seq));
}

/// Returns the row of an event, unless the event only changes another row.
fn row_of(event: &EventData) -> Option<Row> {
    match event.kind.as_str() {
        "message" => event.message.clone().map(|message| Row::Message(Box::new(message))),
        "join" | "leave" | "role" | "rename" | "archive" | "push" | "pin" | "unpin" => {
            Some(Row::Change(Box::new(EventData { message: None, chat: None, ..event.clone() })))
        }
        _ => None,
    }
}
