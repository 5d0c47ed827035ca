//! Changed chats, for the search index.
//!
//! The index requests the next changes when it has received the last ones. Changes in between are
//! collected by chat, so they are bounded by the number of chats, however slow the index is. They
//! are hints: the index reads the database.

use std::collections::BTreeSet;

use super::chats::Chats;
use crate::core::actor::Ask;
use crate::domain::chat::Chat;
use crate::domain::event::Event;
use crate::domain::ids::{ChatId, Seq};

/// Requests the chats that have changed since the last answer, as soon as there are any.
pub struct ChatHeads {
    /// Requests all chats, at once.
    pub all: bool,
}

/// A chat with its newest event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChatHead {
    pub chat: ChatId,
    /// 0: the chat does not exist any more.
    pub head: Seq,
    pub trimmed: Seq,
}

impl From<&Chat> for ChatHead {
    fn from(chat: &Chat) -> Self {
        Self { chat: chat.id, head: chat.last_seq, trimmed: chat.trimmed_seq }
    }
}

#[derive(Debug)]
pub enum ChangedChats {
    /// These may have changed.
    Some(Vec<ChatHead>),
    /// All chats that exist.
    All(Vec<ChatHead>),
}

#[derive(Default)]
pub(super) struct Changes {
    chats: BTreeSet<ChatId>,
    /// Any chat may have changed.
    all: bool,
    waiting: Option<Ask<ChatHeads>>,
    /// Whether an answer is scheduled.
    scheduled: bool,
}

impl Changes {
    /// Notes the chats of events.
    pub(super) fn note(&mut self, events: &[Event]) {
        let chat = |event: &Event| match event {
            Event::Chat(event) => Some(event.chat_id),
            Event::Trimmed { chat_id, .. } | Event::ChatDeleted { chat_id } => Some(*chat_id),
            _ => None,
        };
        self.chats.extend(events.iter().filter_map(chat));
    }

    /// Notes that any chat may have changed.
    pub(super) fn note_all(&mut self) {
        self.all = true;
        self.chats.clear();
    }

    /// Keeps a request until there are changes. A request for all chats is answered at once.
    pub(super) fn wait(&mut self, ask: Ask<ChatHeads>, chats: &Chats) {
        if ask.request.all {
            self.note_all();
            self.waiting = Some(ask);
            return self.send(chats);
        }
        self.waiting = Some(ask);
    }

    /// Returns whether an answer must be scheduled.
    pub(super) fn begin_answer(&mut self) -> bool {
        let is_due = self.waiting.is_some() && (self.all || !self.chats.is_empty());
        is_due && !std::mem::replace(&mut self.scheduled, true)
    }

    /// Sends the scheduled answer.
    pub(super) fn answer(&mut self, chats: &Chats) {
        self.scheduled = false;
        if self.all || !self.chats.is_empty() {
            self.send(chats);
        }
    }

    fn send(&mut self, chats: &Chats) {
        let Some(ask) = self.waiting.take() else { return };
        let changed = std::mem::take(&mut self.chats);
        let heads = if std::mem::take(&mut self.all) {
            ChangedChats::All(chats.all().map(ChatHead::from).collect())
        } else {
            let head = |chat: ChatId| match chats.get(chat) {
                Some(state) => ChatHead::from(&state.chat),
                None => ChatHead { chat, head: 0, trimmed: 0 },
            };
            ChangedChats::Some(changed.into_iter().map(head).collect())
        };
        ask.answer(Ok(heads));
    }
}
