//! The feed of the index: which chats must be read, and from where on.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

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
    /// The changed chats by the time since which the index lacks events of them.
    ages: BTreeSet<(Instant, ChatId)>,
    /// The number of events that the index does not have yet.
    behind: i64,
    /// Chats that could not be read. They are read again after the next comparison with all chats.
    skipped: BTreeSet<ChatId>,
    /// How many chats are still to be read alone, to find the one that cannot be read.
    isolated: usize,
}

/// A chat that has changed.
#[derive(Debug, Clone, Copy)]
struct Changed {
    /// The newest event that is known.
    head: Seq,
    place: u64,
    /// When the chat was noted with the head `first`, which the index does not have yet.
    since: Instant,
    first: Seq,
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
    pub(super) fn compare(&mut self, heads: &[ChatHead], now: Instant) {
        self.skipped.clear();
        let existing: BTreeSet<_> = heads.iter().map(|head| head.chat).collect();
        let gone: Vec<_> = self.marks.keys().filter(|chat| !existing.contains(chat)).copied().collect();
        for chat in gone {
            self.note(ChatHead { chat, head: 0, trimmed: 0 }, now);
        }
        for head in heads {
            let Mark { seq, trimmed } = self.mark(head.chat);
            if (seq, trimmed) != (head.head, head.trimmed) {
                self.note(*head, now);
            }
        }
        if self.missing.is_none() {
            self.missing = Some(self.changed.keys().copied().collect());
        }
    }

    /// Notes a chat that may have changed.
    pub(super) fn note(&mut self, ChatHead { chat, head, .. }: ChatHead, now: Instant) {
        if self.skipped.contains(&chat) {
            return;
        }
        let changed = match self.changed.get(&chat) {
            Some(changed) => Changed { head: changed.head.max(head), ..*changed },
            None => Changed { head, place: self.next_place(), since: now, first: head },
        };
        self.set(chat, changed);
    }

    fn next_place(&mut self) -> u64 {
        self.last_place += 1;
        self.last_place
    }

    /// Inserts or replaces a changed chat.
    fn set(&mut self, chat: ChatId, changed: Changed) {
        self.remove(chat);
        self.behind += (changed.head - self.mark(chat).seq).max(0);
        self.queue.insert(changed.place, chat);
        self.ages.insert((changed.since, chat));
        self.changed.insert(chat, changed);
    }

    fn remove(&mut self, chat: ChatId) {
        let Some(changed) = self.changed.remove(&chat) else { return };
        self.behind -= (changed.head - self.mark(chat).seq).max(0);
        self.queue.remove(&changed.place);
        self.ages.remove(&(changed.since, chat));
    }

    /// Replaces the mark of a chat.
    fn set_mark(&mut self, chat: ChatId, mark: Option<Mark>) {
        let changed = self.changed.get(&chat).copied();
        self.remove(chat);
        match mark {
            Some(mark) => self.marks.insert(chat, mark),
            None => self.marks.remove(&chat),
        };
        if let Some(changed) = changed {
            self.set(chat, changed);
        }
    }

    /// Returns the chats to read next.
    pub(super) fn next(&self) -> Vec<IndexedTo> {
        let indexed = |chat: &ChatId| {
            let Mark { seq, trimmed } = self.mark(*chat);
            let trims_to = self.trims.get(chat).copied().unwrap_or_default();
            IndexedTo { chat: *chat, seq, trimmed, trims_to }
        };
        let count = if self.isolated > 0 { 1 } else { CHATS_PER_READ };
        self.queue.values().take(count).map(indexed).collect()
    }

    /// Records that these chats could not be read. Several are read one by one from now on. A
    /// single one is skipped, and returned.
    pub(super) fn unreadable(&mut self, chats: &[ChatId]) -> Option<ChatId> {
        self.isolated = chats.len();
        let [chat] = chats else { return None };
        self.isolated = 0;
        self.skipped.insert(*chat);
        self.remove(*chat);
        Some(*chat)
    }

    /// Returns the number of chats that could not be read.
    pub(super) fn skipped(&self) -> usize {
        self.skipped.len()
    }

    pub(super) fn mark(&self, chat: ChatId) -> Mark {
        self.marks.get(&chat).copied().unwrap_or_default()
    }

    /// Records that the index has a chat up to `mark`, when its head was `head`.
    pub(super) fn indexed(&mut self, chat: ChatId, mark: Mark, head: Seq, now: Instant) {
        let before = self.mark(chat);
        self.set_mark(chat, Some(mark));
        self.isolated = self.isolated.saturating_sub(1);
        if self.trims.get(&chat).is_some_and(|trims_to| *trims_to <= mark.seq) {
            self.trims.remove(&chat);
        }
        let changed = self.changed.get(&chat).copied();
        let known = changed.map_or(head, |changed| changed.head.max(head));
        // A head that the database does not have would be read without end. The next comparison
        // with all chats corrects it.
        let is_stuck = mark.seq >= head && mark.seq == before.seq;
        if mark.seq >= known || is_stuck {
            return self.finish(chat);
        }
        let (since, first) = match changed {
            Some(changed) if mark.seq < changed.first => (changed.since, changed.first),
            _ => (now, known),
        };
        let place = self.next_place();
        self.set(chat, Changed { head: known, place, since, first });
    }

    /// Records that trimmed messages are removed from the index. The chat must be read again.
    pub(super) fn trimmed(&mut self, chat: ChatId, trimmed: Seq, head: Seq) {
        let mark = Mark { trimmed, ..self.mark(chat) };
        self.set_mark(chat, Some(mark));
        self.trims.insert(chat, head);
    }

    /// Records that a deleted chat is removed from the index.
    pub(super) fn gone(&mut self, chat: ChatId) {
        self.set_mark(chat, None);
        self.trims.remove(&chat);
        self.finish(chat);
    }

    fn finish(&mut self, chat: ChatId) {
        self.remove(chat);
        if let Some(missing) = &mut self.missing {
            missing.remove(&chat);
        }
    }

    /// Returns whether searches find all messages: those that existed at the first comparison, and
    /// later ones that were noted more than `lag` ago.
    pub(super) fn is_current(&self, now: Instant, lag: Duration) -> bool {
        let is_built = self.missing.as_ref().is_some_and(BTreeSet::is_empty);
        let is_late = self.ages.first().is_some_and(|(since, _)| now.duration_since(*since) > lag);
        is_built && !is_late && self.skipped.is_empty()
    }

    /// Returns the number of events that the index does not have yet.
    pub(super) fn behind(&self) -> i64 {
        self.behind
    }
}
