//! The feed of the index: which chats must be read, and from where on.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::actors::cache::ChatHead;
use crate::domain::ids::{ChatId, MessageId, Seq};
use crate::storage::search_feed::IndexedTo;
use crate::storage::search_index::Mark;

/// Chats that are read together.
const CHATS_PER_READ: usize = 64;

/// The chats that the index has, and those that have changed since.
#[derive(Debug, Default)]
pub(super) struct Feed {
    marks: HashMap<ChatId, Mark>,
    changed: HashMap<ChatId, Changed>,
    /// The changed chats in the order in which they are read. A chat that is not finished goes to
    /// the end.
    queue: BTreeMap<u64, ChatId>,
    /// The last place in the queue.
    last_place: u64,
    /// Trims up to this seq have been applied, in chats whose mark is not there yet.
    trims: HashMap<ChatId, Seq>,
    /// Chats that were behind at the first comparison with all chats, and still are. `None`: before
    /// that comparison.
    missing: Option<BTreeSet<ChatId>>,
}

/// A chat that has changed.
#[derive(Debug, Clone, Copy)]
struct Changed {
    /// The newest event that is known.
    head: Seq,
    place: u64,
}

/// The removal of messages of one chat from the index, in slices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Removal {
    pub(super) chat: ChatId,
    /// Messages up to this id have been checked.
    pub(super) after: MessageId,
    pub(super) scope: RemovalScope,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RemovalScope {
    /// All messages of a deleted chat.
    All,
    /// Messages that were trimmed. `head` is that of the chat when the trim was read.
    Trimmed { trimmed: Seq, head: Seq },
}

impl Feed {
    pub(super) fn new(marks: Vec<(ChatId, Mark)>) -> Self {
        Self { marks: marks.into_iter().collect(), ..Self::default() }
    }

    /// Compares the marks with all chats that exist.
    pub(super) fn compare(&mut self, heads: &[ChatHead]) {
        let existing: BTreeSet<_> = heads.iter().map(|head| head.chat).collect();
        let gone: Vec<_> = self.marks.keys().filter(|chat| !existing.contains(chat)).copied().collect();
        for chat in gone {
            self.note(ChatHead { chat, head: 0, trimmed: 0 });
        }
        for head in heads {
            let Mark { seq, trimmed } = self.mark(head.chat);
            if (seq, trimmed) != (head.head, head.trimmed) {
                self.note(*head);
            }
        }
        if self.missing.is_none() {
            self.missing = Some(self.changed.keys().copied().collect());
        }
    }

    /// Notes a chat that may have changed.
    pub(super) fn note(&mut self, ChatHead { chat, head, .. }: ChatHead) {
        match self.changed.get_mut(&chat) {
            Some(changed) => changed.head = changed.head.max(head),
            None => self.enqueue(chat, head),
        }
    }

    fn enqueue(&mut self, chat: ChatId, head: Seq) {
        self.last_place += 1;
        let changed = Changed { head, place: self.last_place };
        if let Some(earlier) = self.changed.insert(chat, changed) {
            self.queue.remove(&earlier.place);
        }
        self.queue.insert(changed.place, chat);
    }

    /// Returns the chats to read next.
    pub(super) fn next(&self) -> Vec<IndexedTo> {
        let indexed = |chat: &ChatId| {
            let Mark { seq, trimmed } = self.mark(*chat);
            let trims_to = self.trims.get(chat).copied().unwrap_or_default();
            IndexedTo { chat: *chat, seq, trimmed, trims_to }
        };
        self.queue.values().take(CHATS_PER_READ).map(indexed).collect()
    }

    pub(super) fn mark(&self, chat: ChatId) -> Mark {
        self.marks.get(&chat).copied().unwrap_or_default()
    }

    /// Records that the index has a chat up to `mark`, when its head was `head`.
    pub(super) fn indexed(&mut self, chat: ChatId, mark: Mark, head: Seq) {
        let before = self.marks.insert(chat, mark).unwrap_or_default();
        if self.trims.get(&chat).is_some_and(|trims_to| *trims_to <= mark.seq) {
            self.trims.remove(&chat);
        }
        let known = self.changed.get(&chat).map_or(head, |changed| changed.head.max(head));
        // A head that the database does not have would be read without end. The next event of the
        // chat corrects it.
        let is_stuck = mark.seq >= head && mark.seq == before.seq;
        if mark.seq >= known || is_stuck { self.finish(chat) } else { self.enqueue(chat, known) }
    }

    /// Records that trimmed messages are removed from the index. The chat must be read again.
    pub(super) fn trimmed(&mut self, chat: ChatId, trimmed: Seq, head: Seq) {
        let mark = Mark { trimmed, ..self.mark(chat) };
        self.marks.insert(chat, mark);
        self.trims.insert(chat, head);
    }

    /// Records that a deleted chat is removed from the index.
    pub(super) fn gone(&mut self, chat: ChatId) {
        self.marks.remove(&chat);
        self.trims.remove(&chat);
        self.finish(chat);
    }

    fn finish(&mut self, chat: ChatId) {
        if let Some(changed) = self.changed.remove(&chat) {
            self.queue.remove(&changed.place);
        }
        if let Some(missing) = &mut self.missing {
            missing.remove(&chat);
        }
    }

    /// Returns whether the index has everything that existed at the first comparison.
    pub(super) fn is_built(&self) -> bool {
        self.missing.as_ref().is_some_and(BTreeSet::is_empty)
    }

    /// Returns the number of events that the index does not have yet.
    pub(super) fn behind(&self) -> i64 {
        self.changed.iter().map(|(chat, changed)| (changed.head - self.mark(*chat).seq).max(0)).sum()
    }
}
