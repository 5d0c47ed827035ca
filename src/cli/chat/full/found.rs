//! The list of messages that the server found in all chats (`/search`).
//!
//! A jump to a message keeps the list: `/search` without words shows it again, and `/goto` goes to
//! another of its messages.

use ratatui::crossterm::event::{KeyCode, KeyEvent};

use super::inbox::Loading;
use super::model::{Asked, Model, Pane};
use crate::cli::chat::hits;
use crate::cli::chat::text::clean_line;
use crate::protocol::found::{Found, MessageHit};

/// Messages in a page.
const PAGE: u16 = 50;
/// Messages that are listed. Filters such as `before:` find others.
const HITS_MAX: usize = 1_000;

/// The messages of the last search.
#[derive(Debug, Default)]
pub(super) struct FoundList {
    /// Empty before the first search.
    pub(super) query: String,
    pub(super) hits: Vec<MessageHit>,
    pub(super) selected: usize,
    pub(super) loading: Loading,
    /// Lines of code and commits, below the messages.
    pub(super) others: Vec<String>,
    /// The index of the server may lack messages.
    pub(super) is_incomplete: bool,
    next: Option<String>,
    /// Number of the search: a late answer to an earlier one has another.
    number: u64,
}

impl FoundList {
    /// Returns whether further messages can be requested.
    pub(super) fn has_more(&self) -> bool {
        self.next.is_some() && self.hits.len() < HITS_MAX
    }
}

impl Model {
    /// Searches in all chats. Without words, the last list is shown.
    pub(super) fn search_all(&mut self, query: String) {
        if query.is_empty() && self.found.query.is_empty() {
            return self.problem("usage: /search WORDS");
        }
        if query.is_empty() {
            self.pane = Pane::Found;
            return;
        }
        if !self.is_online() {
            return self.problem("not connected: try again after the reconnect");
        }
        self.found = FoundList { query, number: self.found.number + 1, ..FoundList::default() };
        self.pane = Pane::Found;
        self.request_found();
    }

    fn request_found(&mut self) {
        let list = &mut self.found;
        list.loading = Loading::Running;
        let (packet, number) = (hits::packet(&list.query, list.next.clone(), PAGE), list.number);
        self.send(packet, Asked::Found(number));
    }

    /// Adds a page of the search with this number.
    pub(super) fn found_page(&mut self, number: u64, results: Found) {
        let list = &mut self.found;
        if list.number != number {
            return;
        }
        list.others.extend(hits::lines_of_repositories(&results, None));
        let page = results.messages.unwrap_or_default();
        list.hits.extend(page.hits);
        list.next = page.next;
        list.is_incomplete = !results.incomplete.is_empty();
        list.loading = Loading::Done;
        // The limits of one search can yield a page without a message.
        if self.found.hits.is_empty() && self.found.has_more() && self.is_online() {
            self.request_found();
        }
    }

    /// A page of the search with this number does not come.
    pub(super) fn found_refused(&mut self, number: u64, reason: &str) {
        if self.found.number == number {
            self.found.loading = Loading::Failed(hits::refusal(reason).to_owned());
        }
    }

    /// Handles a key in the list. Letters go to the prompt.
    pub(super) fn found_key(&mut self, key: KeyEvent) {
        let list = &mut self.found;
        let last = list.hits.len().saturating_sub(1);
        match key.code {
            KeyCode::Down => list.selected = (list.selected + 1).min(last),
            KeyCode::Up => list.selected = list.selected.saturating_sub(1),
            KeyCode::PageDown => list.selected = (list.selected + 10).min(last),
            KeyCode::PageUp => list.selected = list.selected.saturating_sub(10),
            KeyCode::Enter => return self.open_hit(self.found.selected),
            _ => return self.back_to_chat(key),
        }
        let is_at_end = self.found.selected == last && matches!(key.code, KeyCode::Down | KeyCode::PageDown);
        if is_at_end && self.found.has_more() && self.found.loading != Loading::Running && self.is_online() {
            self.request_found();
        }
    }

    /// Goes to a message of the list, by its number on the screen.
    pub(super) fn go_to_hit(&mut self, number: usize) {
        match number.checked_sub(1).filter(|index| *index < self.found.hits.len()) {
            Some(index) => {
                self.found.selected = index;
                self.open_hit(index);
            }
            None => self.problem(format!("no message {number} was found: /search WORDS finds messages")),
        }
    }

    fn open_hit(&mut self, index: usize) {
        let Some(hit) = self.found.hits.get(index) else { return };
        let (chat, seq) = (hit.chat.id, hit.seq);
        if !self.store.chats.contains_key(&chat) {
            let place = clean_line(&hits::place(&hit.chat));
            return self.problem(format!("you are not in {place}: /join opens a channel"));
        }
        self.open_chat(chat);
        self.go_to(chat, seq);
    }
}
