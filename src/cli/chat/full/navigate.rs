//! Moving in the history: scrolling and the selected message.
//!
//! The screen is anchored at its bottom row ([`Model::anchor`]), so rows that arrive above or below
//! do not move what is being read.

use super::history::Row;
use super::model::{Focus, Model, Pane};
use super::store::Chat;
use super::view;
use crate::domain::chat::ChatKind;
use crate::domain::ids::{ChatId, Seq, UserId};
use crate::domain::message::Message;

/// Lines that are scrolled when further rows arrive.
const SCROLL_REST_MAX: isize = 20_000;

impl Model {
    pub(super) fn open_state(&self) -> Option<&Chat> {
        self.open.and_then(|id| self.store.chats.get(&id))
    }

    /// Returns the index of the row at the bottom of the screen, and its lines below the screen.
    pub(super) fn bottom(&self) -> Option<(usize, usize)> {
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

    /// Returns whether a row is an unread message of another user.
    pub(super) fn is_news(&self, row: &Row) -> bool {
        self.new_after.is_some_and(|read| row.seq() > read) && self.is_of_others(row)
    }

    fn is_of_others(&self, row: &Row) -> bool {
        row.message().is_some_and(|message| message.sender_id != self.store.me)
    }

    /// Returns the number of messages of other users that came below the screen, and how many of
    /// them name the user.
    pub(super) fn news_below(&self) -> (usize, usize) {
        let (Some(id), Some(chat), Some((anchor, _))) = (self.open, self.open_state(), self.anchor) else {
            return (0, 0);
        };
        let above = self.seen_to.max(anchor);
        let rows = chat.history.rows().iter().rev().take_while(|row| row.seq() > above);
        let mut count = rows.filter(|row| self.is_of_others(row)).count();
        if !chat.history.is_at_end(chat.last) {
            count = count.max(usize::try_from(chat.unread).unwrap_or(0));
        }
        (count, self.inbox.mentions(id, above))
    }

    /// Moves the screen by lines, up (positive) or down. Lines beyond the loaded rows follow
    /// when further rows have arrived.
    pub(super) fn scroll_far(&mut self, lines: isize) {
        let rest = std::mem::take(&mut self.scroll_rest);
        let rest = if rest.signum() == -lines.signum() { 0 } else { rest };
        let rest = self.scroll(rest.saturating_add(lines));
        let has_more = self.open_state().is_some_and(|chat| match rest > 0 {
            true => chat.history.is_loaded() && !chat.history.is_at_start(),
            false => chat.history.is_loaded() && !chat.history.is_at_end(chat.last),
        });
        if has_more {
            self.scroll_rest = rest.clamp(-SCROLL_REST_MAX, SCROLL_REST_MAX);
        }
    }

    /// Moves the screen by lines, up (positive) or down. Returns the lines that are not loaded.
    pub(super) fn scroll(&mut self, lines: isize) -> isize {
        let Some((mut index, mut skip)) = self.bottom() else { return 0 };
        let (mut missing, mut left) = (0, 0);
        if lines > 0 {
            skip += lines.unsigned_abs();
            loop {
                let rows = view::row_height(self, index);
                if skip < rows || index == 0 {
                    missing = skip.saturating_sub(rows.saturating_sub(1));
                    skip = skip.min(rows.saturating_sub(1));
                    break;
                }
                (index, skip) = (index - 1, skip - rows);
            }
        } else {
            (index, skip, left) = self.below(index, skip, lines.unsigned_abs());
        }
        // The first row does not leave the top of the screen.
        let height = view::timeline_size(self).1;
        let mut above = view::row_height(self, index).saturating_sub(skip);
        let mut row = index;
        while above < height && row > 0 {
            row -= 1;
            above += view::row_height(self, row);
        }
        let surplus = height.saturating_sub(above);
        let moved;
        (index, skip, moved) = self.below(index, skip, surplus);
        missing += surplus - moved;
        self.set_bottom(index, skip);
        let signed = |lines: usize| isize::try_from(lines).unwrap_or(isize::MAX);
        if lines > 0 { signed(missing) } else { -signed(left) }
    }

    /// Returns the place some lines below a place, or the last one and the lines that are missing.
    fn below(&self, mut index: usize, mut skip: usize, mut lines: usize) -> (usize, usize, usize) {
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
        (index, skip, lines)
    }

    fn row_seq(&self, index: usize) -> Option<Seq> {
        Some(self.open_state()?.history.get(index)?.seq())
    }

    pub(super) fn set_bottom(&mut self, index: usize, skip: usize) {
        let Some(seq) = self.row_seq(index) else { return };
        let is_last = skip == 0
            && self.open_state().is_some_and(|chat| {
                chat.history.is_at_end(chat.last) && index + 1 == chat.history.rows().len()
            });
        if self.anchor.is_none() && !self.starts_at_new {
            self.seen_to = self.open_state().map_or(0, |chat| chat.last);
        }
        self.anchor = (!is_last).then_some((seq, skip));
        self.seen_to = self.seen_to.max(seq);
    }

    /// Shows the newest messages.
    pub(super) fn go_to_end(&mut self) {
        self.anchor = None;
        self.scroll_rest = 0;
        self.jump = None;
        self.starts_at_new = false;
        if self.focus == Focus::Compose {
            self.selected = None;
        }
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

    /// Selects the message that is marked, or the newest one on the screen.
    pub(super) fn begin_selection(&mut self) {
        if matches!(self.pane, Pane::Thread(_)) {
            self.focus = Focus::Navigate;
            return;
        }
        let marked = self
            .selected
            .filter(|seq| self.open_state().is_some_and(|chat| chat.history.message_at(*seq).is_some()));
        if marked.is_some() {
            self.focus = Focus::Navigate;
            self.show_selected();
        } else {
            self.select(false);
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
        if self.scroll_rest != 0 {
            self.scroll_far(0);
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
        let first_new = history.rows().range(index..).position(|row| self.is_news(row)).unwrap_or(0);
        self.jump = None;
        if self.starts_at_new {
            self.show_from(index + first_new);
            self.starts_at_new = false;
            return;
        }
        // In the prompt, the message is marked, and keys still write.
        self.selected = selected;
        self.centre(index);
    }

    /// Shows a row in the middle of the screen.
    pub(super) fn centre(&mut self, index: usize) {
        self.set_bottom(index, 0);
        self.scroll(-isize::try_from(view::timeline_size(self).1 / 2).unwrap_or(0));
    }

    /// Shows the rows from one on, at the top of the screen, or the newest rows if they fit.
    fn show_from(&mut self, index: usize) {
        let height = view::timeline_size(self).1;
        let first = view::row_height(self, index);
        let (bottom, skip, _) = self.below(index, 0, height.saturating_sub(first));
        let (bottom, skip) = if first > height { (index, first - height) } else { (bottom, skip) };
        self.set_bottom(bottom, skip);
    }

    /// Opens the next or previous chat of the list.
    pub(super) fn step_chat(&mut self, down: bool) {
        let order = self.store.order();
        let here = order.iter().position(|id| Some(*id) == self.open);
        let count = order.len();
        let index = match (here, down) {
            _ if count == 0 => return,
            (Some(here), true) => (here + 1) % count,
            (Some(here), false) => (here + count - 1) % count,
            (None, true) => 0,
            (None, false) => count - 1,
        };
        if let Some(id) = order.get(index) {
            self.open_chat(*id);
        }
    }

    /// Opens the next chat with unread messages: first those that name the user, then direct chats.
    pub(super) fn open_unread(&mut self) {
        let order = self.store.order();
        let here = order.iter().position(|id| Some(*id) == self.open).map_or(0, |here| here + 1);
        let behind = order.iter().cycle().skip(here).take(order.len());
        let rank = |id: &&ChatId| {
            let chat = self.store.chats.get(id);
            let is_direct = chat.is_some_and(|chat| chat.kind == ChatKind::Direct);
            match self.inbox.mentions(**id, chat.map_or(0, |chat| chat.read_seq)) {
                0 if is_direct => 1,
                0 => 2,
                _ => 0,
            }
        };
        let is_unread = |id: &&ChatId| {
            Some(**id) != self.open && self.store.chats.get(id).is_some_and(|chat| chat.unread > 0)
        };
        match behind.filter(is_unread).min_by_key(rank).copied() {
            Some(id) => self.open_chat(id),
            None => self.info("no other chat has unread messages"),
        }
    }

    /// Goes to the next unread message of the open chat that names the user, or to that of another
    /// chat.
    pub(super) fn go_to_mention(&mut self) {
        let place = self.selected.unwrap_or(0);
        let next = self.open.and_then(|id| self.inbox.next_mention(id, place));
        let other = || {
            let order = self.store.order();
            let mut others = order.into_iter().filter(|id| Some(*id) != self.open);
            others.find_map(|id| self.inbox.next_mention(id, 0).map(|seq| (id, seq)))
        };
        match self.open.zip(next).or_else(other) {
            Some((id, seq)) => {
                self.open_chat(id);
                self.go_to(id, seq);
            }
            None => self.info("no unread message names you"),
        }
    }
}
