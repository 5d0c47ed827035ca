//! Windows: the recent events of one chat, dense up to its head.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::domain::event::{Change, ChatEvent};
use crate::domain::event_page::{EventPage, EventRange};
use crate::domain::ids::{MessageId, Seq};
use crate::domain::message::Message;
use crate::storage::snapshot::ENTRIES_PER_MESSAGE;

/// The last messages of a chat and every event since the oldest of them.
///
/// Invariant: `entries[i].seq == start + i`, and the last one is the chat's head.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Window {
    start: Seq,
    entries: VecDeque<Arc<ChatEvent>>,
    messages: usize,
    bytes: usize,
    messages_max: usize,
    /// The events below have gaps: only the database has the remaining ones.
    trimmed: bool,
}

/// The rows do not follow each other, or do not end at the head.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotDense;

impl Window {
    /// Returns the window of a chat without events.
    pub(super) fn empty(messages_max: usize) -> Self {
        Self { start: 1, entries: VecDeque::new(), messages: 0, bytes: 0, messages_max, trimmed: false }
    }

    /// Builds a window from rows that must be dense and end at `head`.
    pub(super) fn from_rows(
        rows: impl IntoIterator<Item = Arc<ChatEvent>>,
        head: Seq,
        messages_max: usize,
    ) -> Result<Self, NotDense> {
        let mut window = Self { start: head + 1, ..Self::empty(messages_max) };
        for row in rows {
            if window.entries.is_empty() {
                window.start = row.seq;
            }
            window.push(row)?;
        }
        if window.next() == head + 1 { Ok(window) } else { Err(NotDense) }
    }

    fn next(&self) -> Seq {
        self.start + Seq::try_from(self.entries.len()).unwrap_or(Seq::MAX)
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn push(&mut self, event: Arc<ChatEvent>) -> Result<(), NotDense> {
        if event.seq != self.next() {
            return Err(NotDense);
        }
        self.messages += usize::from(is_message(&event));
        self.bytes += event.bytes();
        self.entries.push_back(event);
        while self.messages > self.messages_max
            || self.entries.len() > self.messages_max * ENTRIES_PER_MESSAGE
            || (self.messages == self.messages_max && self.entries.front().is_some_and(|e| !is_message(e)))
        {
            self.pop();
        }
        Ok(())
    }

    fn pop(&mut self) {
        if let Some(event) = self.entries.pop_front() {
            self.start = event.seq + 1;
            self.messages -= usize::from(is_message(&event));
            self.bytes -= event.bytes();
        }
    }

    /// Drops the events up to `seq`, where messages were removed. Edits that show one of `removed`
    /// become deletions.
    pub(super) fn trim(&mut self, seq: Seq, removed: &[MessageId]) {
        self.trimmed |= seq > 0;
        while self.entries.front().is_some_and(|entry| entry.seq <= seq) {
            self.pop();
        }
        self.start = self.start.max(seq + 1);
        for entry in &mut self.entries {
            if let Change::Edit(message) = &entry.change
                && removed.contains(&message.id)
            {
                let change = Change::Delete { message_id: message.id };
                let forgotten = ChatEvent { change, ..(**entry).clone() };
                self.bytes = self.bytes + forgotten.bytes() - entry.bytes();
                *entry = Arc::new(forgotten);
            }
        }
    }

    /// Replaces the message wherever it is shown. Newer versions stay.
    pub(super) fn change(&mut self, message: &Arc<Message>) {
        for entry in &mut self.entries {
            let shown = match &entry.change {
                Change::Message(shown) | Change::Edit(shown) => shown,
                _ => continue,
            };
            if shown.updated_seq < message.updated_seq
                && let Some(changed) = entry.showing(message)
            {
                self.bytes = self.bytes + changed.bytes() - entry.bytes();
                *entry = Arc::new(changed);
            }
        }
    }

    /// Returns a page, or `None` when it needs events below the window.
    pub(super) fn page(&self, range: &EventRange) -> Option<EventPage> {
        let wanted = |event: &&Arc<ChatEvent>| !range.messages_only || is_message(event);
        let upper = range.before.unwrap_or(Seq::MAX);
        let head = self.next() - 1;
        if let Some(after) = range.after {
            if after + 1 < self.start {
                return None;
            }
            let skip = usize::try_from(after + 1 - self.start).unwrap_or(usize::MAX);
            let mut events: Vec<_> = self
                .entries
                .iter()
                .skip(skip)
                .take_while(|event| event.seq < upper)
                .filter(wanted)
                .take(range.limit + 1)
                .cloned()
                .collect();
            let has_more = events.len() > range.limit;
            events.truncate(range.limit);
            return Some(EventPage { events, has_more, as_of: head });
        }
        if upper < self.start {
            return (self.start == 1).then(|| EventPage { events: Vec::new(), has_more: false, as_of: head });
        }
        let below = usize::try_from(upper - self.start).unwrap_or(usize::MAX).min(self.entries.len());
        let mut events: Vec<_> =
            self.entries.range(..below).rev().filter(wanted).take(range.limit + 1).cloned().collect();
        let has_more = if events.len() > range.limit {
            true
        } else if self.start == 1 {
            false
        } else if events.len() == range.limit && !self.trimmed {
            // The window is used up exactly. The oldest entry itself shows whether there is more.
            match (range.messages_only, events.last().map(|event| &event.change)) {
                (true, Some(Change::Message(message))) => message.ordinal > 1,
                _ => true,
            }
        } else {
            return None;
        };
        events.truncate(range.limit);
        events.reverse();
        Some(EventPage { events, has_more, as_of: head })
    }

    pub(super) fn last_message(&self) -> Option<&Arc<ChatEvent>> {
        self.entries.iter().rev().find(|event| is_message(event))
    }
}

fn is_message(event: &ChatEvent) -> bool {
    event.message().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{ChatId, UserId};
    use crate::domain::message::Message;
    use crate::domain::timestamp::Timestamp;

    fn event(seq: Seq, change: Change) -> Arc<ChatEvent> {
        ChatEvent { chat_id: ChatId(1), seq, actor_id: UserId(1), created_at: Timestamp(0), change }.into()
    }

    fn message(seq: Seq, ordinal: i64) -> Arc<ChatEvent> {
        let message = Message { id: MessageId(seq), seq, ordinal, ..Message::example() };
        ChatEvent::of_message(message.into()).into()
    }

    fn rename(seq: Seq) -> Arc<ChatEvent> {
        event(seq, Change::Rename { name: "n".into() })
    }

    fn seqs(page: Option<EventPage>) -> (Vec<Seq>, bool) {
        let page = page.expect("the window has it");
        (page.events.iter().map(|event| event.seq).collect(), page.has_more)
    }

    fn newest(limit: usize, messages_only: bool) -> EventRange {
        EventRange { before: None, after: None, limit, messages_only }
    }

    #[test]
    fn window_keeps_the_last_messages_and_events_since() {
        let mut window = Window::empty(3);
        for entry in
            [rename(1), message(2, 1), rename(3), message(4, 2), message(5, 3), rename(6), message(7, 4)]
        {
            window.push(entry).unwrap();
        }
        assert_eq!(window.start, 4);
        assert_eq!(seqs(window.page(&newest(3, true))), (vec![4, 5, 7], true));
        assert_eq!(seqs(window.page(&newest(2, false))), (vec![6, 7], true));
        assert_eq!(window.page(&newest(4, true)), None, "one message more is below");
    }

    #[test]
    fn changed_message_shows_its_newest_version_everywhere() {
        let mut window = Window::empty(3);
        window.push(message(1, 1)).unwrap();
        let original = window.last_message().unwrap().message().unwrap().clone();
        let edited = |content: &str, seq| {
            Arc::new(Message { content: content.into(), updated_seq: Some(seq), ..(*original).clone() })
        };
        window.push(event(2, Change::Edit(edited("first edit", 2)))).unwrap();
        window.change(&edited("", 3));
        window.change(&edited("first edit", 2));
        let contents: Vec<_> = window
            .entries
            .iter()
            .map(|entry| match &entry.change {
                Change::Message(message) | Change::Edit(message) => message.content.as_str(),
                _ => "none",
            })
            .collect();
        assert_eq!(contents, ["", ""], "deleted content is in no event");
        assert_eq!(window.bytes, window.entries.iter().map(|e| e.bytes()).sum::<usize>());
    }

    #[test]
    fn window_refuses_a_gap() {
        let mut window = Window::empty(3);
        window.push(message(1, 1)).unwrap();
        assert_eq!(window.push(message(3, 2)), Err(NotDense));
        assert!(Window::from_rows([message(4, 1), message(5, 2)], 5, 10).is_ok());
        assert_eq!(Window::from_rows([message(4, 1), message(6, 2)], 6, 10), Err(NotDense));
        assert_eq!(Window::from_rows([message(4, 1)], 5, 10), Err(NotDense));
        assert!(Window::from_rows([], 0, 10).is_ok());
    }

    #[test]
    fn pages_go_forwards_and_backwards() {
        let mut window = Window::empty(100);
        for seq in 1..=10 {
            window.push(message(seq, seq)).unwrap();
        }
        let page = |before, after, limit| {
            seqs(window.page(&EventRange { before, after, limit, messages_only: true }))
        };
        assert_eq!(page(Some(4), None, 2), (vec![2, 3], true));
        assert_eq!(page(Some(4), None, 3), (vec![1, 2, 3], false));
        assert_eq!(page(None, Some(8), 5), (vec![9, 10], false));
        assert_eq!(page(None, Some(0), 3), (vec![1, 2, 3], true));
        assert_eq!(page(Some(5), Some(2), 9), (vec![3, 4], false));
        assert_eq!(page(None, Some(99), 9), (vec![], false));
        assert_eq!(page(Some(1), None, 9), (vec![], false));
    }

    #[test]
    fn window_without_messages_stays_bounded() {
        let mut window = Window::empty(5);
        for seq in 1..=1000 {
            window.push(rename(seq)).unwrap();
        }
        assert_eq!(window.entries.len(), 20);
        assert_eq!(window.bytes, window.entries.iter().map(|e| e.bytes()).sum::<usize>());
    }
}
