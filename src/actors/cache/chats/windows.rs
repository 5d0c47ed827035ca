//! The windows of chats: pages, fills from the database, and eviction by bytes.

use std::sync::Arc;

use super::{ChatState, Chats};
use crate::actors::cache::counters::CacheCounters;
use crate::actors::cache::window::{NotDense, Window};
use crate::core::fail_points;
use crate::domain::event::ChatEvent;
use crate::domain::event_page::{EventPage, EventRange};
use crate::domain::ids::{ChatId, MessageId, Seq};
use crate::domain::message::Message;
use crate::storage::snapshot::WindowRows;

#[derive(Debug)]
pub(super) enum WindowState {
    Absent,
    /// Being read from the database. Events of the meantime wait in `tail`, which begins at `from`.
    Filling {
        generation: u64,
        from: Seq,
        tail: Vec<Arc<ChatEvent>>,
        /// Messages that changed meanwhile, as they were after each change.
        changed: Vec<Arc<Message>>,
        /// Messages that were removed meanwhile and are shown by edits.
        removed: Vec<MessageId>,
    },
    Ready(Window),
}

/// A fill that the reader pool must do, identified by its generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::actors::cache) struct Fill {
    pub(in crate::actors::cache) chat: ChatId,
    pub(in crate::actors::cache) generation: u64,
}

/// The result of reading a page from a window.
#[derive(Debug)]
pub(in crate::actors::cache) enum Lookup {
    Here(EventPage),
    /// The page lies below the window and must be read from the database.
    Below {
        as_of: Seq,
    },
    /// No window exists yet. `Some`: this is the first caller, and must have the window filled.
    Missing(Option<Fill>),
}

impl Chats {
    pub(in crate::actors::cache) fn page(&mut self, chat: ChatId, range: &EventRange) -> Lookup {
        let Some(state) = self.chats.get_mut(&chat) else { return Lookup::Below { as_of: 0 } };
        let as_of = state.chat.last_seq;
        match &state.window {
            WindowState::Ready(window) => {
                let page = window.page(range);
                self.touch(chat);
                page.map_or(Lookup::Below { as_of }, Lookup::Here)
            }
            WindowState::Filling { .. } => Lookup::Missing(None),
            WindowState::Absent => {
                self.generation += 1;
                let generation = self.generation;
                state.window = WindowState::Filling {
                    generation,
                    from: as_of + 1,
                    tail: Vec::new(),
                    changed: Vec::new(),
                    removed: Vec::new(),
                };
                Lookup::Missing(Some(Fill { chat, generation }))
            }
        }
    }

    /// Returns the newest message, if it is in memory.
    pub(in crate::actors::cache) fn last_message(state: &ChatState) -> Option<&Arc<ChatEvent>> {
        match &state.window {
            WindowState::Ready(window) => window.last_message(),
            _ => None,
        }
    }

    /// Joins the rows of a fill with the events of the meantime. A fill of another generation is
    /// void.
    pub(in crate::actors::cache) fn filled(&mut self, fill: Fill, rows: WindowRows) -> Result<(), NotDense> {
        let messages_max = self.messages_max;
        let Some(state) = self.chats.get_mut(&fill.chat) else { return Ok(()) };
        let WindowState::Filling { generation, from, tail, changed, removed } = &mut state.window else {
            return Ok(());
        };
        if *generation != fill.generation {
            return Ok(());
        }
        let (from, changed, removed) = (*from, std::mem::take(changed), std::mem::take(removed));
        // Rows read before a trim lie below it.
        let trimmed = state.chat.trimmed_seq;
        // The read began after `from` was registered, so it may contain some of the tail: these are
        // taken once, from the tail.
        let below = rows.entries.into_iter().filter(|entry| entry.seq < from && entry.seq > trimmed);
        let joined = below.chain(std::mem::take(tail));
        match Window::from_rows(joined, state.chat.last_seq, messages_max) {
            Ok(mut window) => {
                changed.iter().for_each(|message| window.change(message));
                window.trim(trimmed, &removed);
                self.install(fill.chat, window);
                Ok(())
            }
            Err(NotDense) => {
                state.window = WindowState::Absent;
                Err(NotDense)
            }
        }
    }

    /// The fill could not be read. The next caller starts another one.
    pub(in crate::actors::cache) fn fill_failed(&mut self, fill: Fill) {
        if let Some(state) = self.chats.get_mut(&fill.chat)
            && matches!(state.window, WindowState::Filling { generation, .. } if generation == fill.generation)
        {
            state.window = WindowState::Absent;
        }
    }

    pub(super) fn install(&mut self, chat: ChatId, window: Window) {
        if let Some(state) = self.chats.get_mut(&chat) {
            self.window_bytes += window.bytes();
            state.window = WindowState::Ready(window);
            self.touch(chat);
        }
    }

    pub(super) fn touch(&mut self, chat: ChatId) {
        let Some(state) = self.chats.get_mut(&chat) else { return };
        self.uses.remove(&state.used);
        self.clock += 1;
        state.used = self.clock;
        self.uses.insert(self.clock, chat);
    }

    /// Evicts the least recently used windows until the budget holds.
    pub(in crate::actors::cache) fn evict(&mut self, counters: Option<&CacheCounters>) {
        while self.window_bytes > self.window_bytes_max {
            let Some((_, chat)) = self.uses.pop_first() else { return };
            fail_points::reach(fail_points::EVICTION);
            self.drop_window(chat);
            if let Some(counters) = counters {
                counters.evictions.inc();
            }
        }
    }

    fn drop_window(&mut self, chat: ChatId) {
        if let Some(state) = self.chats.get_mut(&chat)
            && let WindowState::Ready(window) = std::mem::replace(&mut state.window, WindowState::Absent)
        {
            self.window_bytes -= window.bytes();
            self.uses.remove(&state.used);
            state.used = 0;
        }
    }

    /// Evicts one window, whatever the budget. Tests inject evictions with it.
    #[cfg(test)]
    pub(in crate::actors::cache) fn evict_one(&mut self, chat: ChatId) {
        self.drop_window(chat);
    }

    /// Returns the generation of the last fill that was requested.
    pub(in crate::actors::cache) fn generation(&self) -> u64 {
        self.generation
    }

    /// Continues the numbering of fills, so that a fill of an earlier load is never taken for a
    /// current one.
    pub(in crate::actors::cache) fn continue_from(&mut self, generation: u64) {
        self.generation = generation;
    }

    pub(in crate::actors::cache) fn window_bytes(&self) -> usize {
        self.window_bytes
    }
}
