//! Moving in the history: scrolling, the selected message, search.
//!
//! The screen is anchored at its bottom row ([`Model::anchor`]), so rows that arrive above or below
//! do not move what is being read.

use super::history::Row;
use super::model::{Focus, Model, Pane, Search};
use super::store::Chat;
use super::view;
use crate::domain::ids::{ChatId, Seq, UserId};
use crate::domain::message::Message;

/// Matches a search without regard to case.
fn matches(message: &Message, query: &str) -> bool {
    !message.deleted && message.content.to_lowercase().contains(&query.to_lowercase())
}

impl Model {
    pub(super) fn open_state(&self) -> Option<&Chat> {
        self.open.and_then(|id| self.store.chats.get(&id))
    }

    /// Returns the index of the row at the bottom of the screen, and its lines below the screen.
    fn bottom(&self) -> Option<(usize, usize)> {
        let history = &self.open_state()?.history;
        match self.anchor {
            None => history.rows().len().checked_sub(1).map(|last| (last, 0)),
            Some((seq, skip)) => history.index_at(seq).map(|index| (index, skip)),
        }
    }

    /// Returns the index of the first row on the screen, or 0.
    pub(super) fn first_visible(&self) -> usize {
        let Some((bottom, _)) = self.bottom() else { return 0 };
        bottom.saturating_sub(view::timeline_size(self).1)
    }

    /// Returns the users whose names the screen shows.
    pub(super) fn visible_users(&self) -> Vec<UserId> {
        let mut users = Vec::new();
        if let (Some(chat), Some((bottom, _))) = (self.open_state(), self.bottom()) {
            let rows = chat.history.rows().range(self.first_visible()..=bottom);
            for message in rows.filter_map(Row::message) {
                users.push(message.sender_id);
                users.extend(message.reactions.iter().flat_map(|reaction| reaction.user_ids.iter().take(3)));
            }
        }
        if let Pane::Thread(thread) = &self.pane {
            users.extend(thread.messages.iter().map(|message| message.sender_id));
        }
        users
    }

    /// Moves the screen by lines, up (positive) or down.
    pub(super) fn scroll(&mut self, lines: isize) {
        let Some((mut index, mut skip)) = self.bottom() else { return };
        if lines > 0 {
            skip += lines.unsigned_abs();
            loop {
                let rows = view::row_height(self, index);
                if skip < rows || index == 0 {
                    skip = skip.min(rows.saturating_sub(1));
                    break;
                }
                (index, skip) = (index - 1, skip - rows);
            }
        } else {
            (index, skip) = self.below(index, skip, lines.unsigned_abs());
        }
        // The first row does not leave the top of the screen.
        let height = view::timeline_size(self).1;
        let mut above = view::row_height(self, index).saturating_sub(skip);
        let mut row = index;
        while above < height && row > 0 {
            row -= 1;
            above += view::row_height(self, row);
        }
        (index, skip) = self.below(index, skip, height.saturating_sub(above));
        self.set_bottom(index, skip);
    }

    /// Returns the place some lines below a place, or the last one.
    fn below(&self, mut index: usize, mut skip: usize, mut lines: usize) -> (usize, usize) {
        while lines > 0 {
            if skip > 0 {
                let moved = lines.min(skip);
                (skip, lines) = (skip - moved, lines - moved);
                continue;
            }
            if self.row_seq(index + 1).is_none() {
                break;
            }
            index += 1;
            skip = view::row_height(self, index);
        }
        (index, skip)
    }

    fn row_seq(&self, index: usize) -> Option<Seq> {
        Some(self.open_state()?.history.get(index)?.seq())
    }

    fn set_bottom(&mut self, index: usize, skip: usize) {
        let Some(seq) = self.row_seq(index) else { return };
        let is_last = skip == 0
            && self.open_state().is_some_and(|chat| {
                chat.history.is_at_end(chat.last) && index + 1 == chat.history.rows().len()
            });
        self.anchor = (!is_last).then_some((seq, skip));
    }

    /// Shows the newest messages.
    pub(super) fn go_to_end(&mut self) {
        self.anchor = None;
        self.jump = None;
        self.starts_at_new = false;
        if let Some(chat) = self.open.and_then(|id| self.store.chats.get_mut(&id))
            && !chat.history.is_at_end(chat.last)
        {
            chat.history.unload();
        }
    }

    /// Shows the first messages of the chat.
    pub(super) fn go_to_start(&mut self) {
        let Some(id) = self.open else { return };
        if let Some(chat) = self.store.chats.get_mut(&id)
            && !chat.history.is_at_start()
        {
            chat.history.unload();
        }
        self.go_to(id, 1);
    }

    /// Shows the first unread message at the top, if not all unread messages fit the screen.
    pub(super) fn start_at_new(&mut self, id: ChatId) {
        let Some(read) = self.new_after else { return };
        self.starts_at_new = true;
        self.jump = Some((id, read + 1));
        self.paged(id);
        if self.jump.is_some()
            && let Some(chat) = self.store.chats.get_mut(&id)
        {
            chat.history.unload();
        }
    }

    /// Shows the message at a position of a chat.
    pub(super) fn go_to(&mut self, id: ChatId, seq: Seq) {
        if self.open != Some(id) {
            self.open_chat(id);
        }
        self.jump = Some((id, seq));
        self.starts_at_new = false;
        self.paged(id);
        if self.jump.is_some()
            && let Some(chat) = self.store.chats.get_mut(&id)
        {
            chat.history.unload();
        }
    }

    /// Selects the next message up or down; at the end, the focus returns to the prompt.
    pub(super) fn select(&mut self, down: bool) {
        let Some(chat) = self.open_state() else { return };
        let history = &chat.history;
        let selected = self.selected.filter(|_| self.focus == Focus::Navigate);
        let (rows, now) = (history.rows(), selected.and_then(|seq| history.index_at(seq)));
        let is_target = |row: &&Row| row.message().is_some();
        let next = match (now, down) {
            (Some(now), true) => rows.range(now + 1..).find(is_target),
            (Some(now), false) => rows.range(..now).rev().find(is_target),
            (None, true) => None,
            (None, false) => {
                let bottom = self.bottom().map_or(0, |(index, _)| index + 1);
                rows.range(..bottom).rev().find(is_target)
            }
        };
        match next.map(Row::seq) {
            Some(seq) => {
                self.focus = Focus::Navigate;
                self.selected = Some(seq);
                self.show_selected();
            }
            None if down => self.stop_navigating(),
            None => {}
        }
    }

    pub(super) fn stop_navigating(&mut self) {
        self.focus = Focus::Compose;
        self.selected = None;
        self.search = None;
        self.go_to_end();
    }

    /// Scrolls as little as needed to show the selected message.
    pub(super) fn show_selected(&mut self) {
        let (Some(seq), Some(chat)) = (self.selected, self.open_state()) else { return };
        let (Some(index), Some((bottom, skip))) = (chat.history.index_at(seq), self.bottom()) else { return };
        let height = view::timeline_size(self).1;
        if index > bottom || (index == bottom && skip > 0) {
            return self.set_bottom(index, 0);
        }
        let lines: usize = (index..=bottom).map(|row| view::row_height(self, row)).sum();
        let above = lines.saturating_sub(skip).saturating_sub(height);
        if above > 0 {
            let own = view::row_height(self, index);
            if own > height {
                // The beginning of a message that is taller than the screen.
                return self.set_bottom(index, own - height);
            }
            self.scroll(isize::try_from(above).unwrap_or(isize::MAX));
        }
    }

    pub(super) fn selected_message(&self) -> Option<&Message> {
        if let Pane::Thread(thread) = &self.pane {
            return thread.messages.get(thread.selected);
        }
        self.open_state()?.history.message_at(self.selected?)
    }

    /// A page of a chat has arrived: continues a jump or a search that waits for it.
    pub(super) fn paged(&mut self, id: ChatId) {
        if self.open != Some(id) {
            return;
        }
        if let Some((_, seq)) = self.jump.filter(|(chat, _)| *chat == id) {
            self.arrive(seq);
        }
        if self.search.as_ref().is_some_and(|search| search.is_running) {
            self.find_next();
        }
    }

    /// Ends a jump if its target is loaded: the target is in the middle of the screen.
    fn arrive(&mut self, seq: Seq) {
        let Some(chat) = self.open_state() else { return };
        let history = &chat.history;
        let is_behind_start = history.is_loaded() && (seq > history.from() || history.is_at_start());
        if !is_behind_start || seq > history.to().max(history.rows().back().map_or(0, Row::seq)) {
            return;
        }
        let selected = history.message_at(seq).map(|message| message.seq);
        let index = history.index_at(seq).unwrap_or(0);
        self.jump = None;
        if std::mem::take(&mut self.starts_at_new) {
            return self.show_from(index);
        }
        self.selected = selected;
        if selected.is_some() {
            self.focus = Focus::Navigate;
        }
        self.set_bottom(index, 0);
        self.scroll(-isize::try_from(view::timeline_size(self).1 / 2).unwrap_or(0));
    }

    /// Shows the rows from one on, at the top of the screen, or the newest rows if they fit.
    fn show_from(&mut self, index: usize) {
        let height = view::timeline_size(self).1;
        let first = view::row_height(self, index);
        let (bottom, skip) = self.below(index, 0, height.saturating_sub(first));
        let (bottom, skip) = if first > height { (index, first - height) } else { (bottom, skip) };
        self.set_bottom(bottom, skip);
    }

    pub(super) fn start_search(&mut self, query: String) {
        self.search = Some(Search { query, older: true, is_running: true });
        self.find_next();
    }

    /// Goes to the next match, older or newer.
    pub(super) fn search_again(&mut self, older: bool) {
        let Some(search) = &mut self.search else {
            return self.info("nothing was searched for: / begins a search");
        };
        (search.older, search.is_running) = (older, true);
        self.find_next();
    }

    fn find_next(&mut self) {
        let (Some(search), Some(chat)) = (&self.search, self.open_state()) else { return };
        let (older, query, history) = (search.older, search.query.clone(), &chat.history);
        let is_match = |row: &&Row| row.message().is_some_and(|message| matches(message, &query));
        let rows = history.rows();
        let from = self.selected.and_then(|seq| history.index_at(seq));
        let found = if older {
            rows.range(..from.unwrap_or(rows.len())).rev().find(is_match)
        } else {
            rows.range(from.map_or(0, |index| index + 1)..).find(is_match)
        };
        let found = found.map(Row::seq);
        // The place from which the search continues when the next page has arrived.
        let edge = if older { rows.front() } else { rows.back() }.map(Row::seq);
        let is_done = if older { history.is_at_start() } else { history.is_at_end(chat.last) };
        let place =
            edge.and_then(|seq| history.index_at(seq)).and_then(|index| history.get(index)).map(Row::at);
        match found {
            Some(seq) => {
                self.selected = Some(seq);
                self.focus = Focus::Navigate;
                self.pause_search();
                self.note = None;
                self.show_selected();
                // Near the first message, the rows begin at the top.
                self.scroll(0);
            }
            None if is_done => {
                self.pause_search();
                self.problem(format!("no {} match for \"{query}\"", if older { "older" } else { "newer" }));
            }
            None => {
                self.selected = edge.or(self.selected);
                if let Some(seq) = edge {
                    self.anchor = Some((seq, 0));
                }
                let day = place.map_or_else(String::new, |at| format!(" at {}", self.config.date(at)));
                self.info(format!("searching for \"{query}\"{day}… Esc stops"));
            }
        }
    }

    pub(super) fn pause_search(&mut self) {
        if let Some(search) = &mut self.search {
            search.is_running = false;
        }
    }

    /// Opens the next or previous chat of the list, or the next with unread messages.
    pub(super) fn step_chat(&mut self, down: bool, unread_only: bool) {
        let order = self.store.order();
        let here = order.iter().position(|id| Some(*id) == self.open);
        let count = order.len();
        for step in 1..=count {
            let index = match (here, down) {
                (Some(here), true) => (here + step) % count,
                (Some(here), false) => (here + count - step) % count,
                (None, true) => step - 1,
                (None, false) => count - step,
            };
            let Some(id) = order.get(index).copied() else { return };
            let is_unread = self.store.chats.get(&id).is_some_and(|chat| chat.unread > 0);
            if !unread_only || is_unread {
                return self.open_chat(id);
            }
        }
        if unread_only {
            self.info("no chat has unread messages");
        }
    }
}
