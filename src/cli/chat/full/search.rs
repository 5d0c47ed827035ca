//! Search in the whole history of a chat. The place that the user reads stays on the screen until a
//! match is found.

use super::history::Row;
use super::model::{Focus, Model};
use crate::domain::ids::Seq;
use crate::domain::message::Message;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Search {
    pub(super) query: String,
    pub(super) older: bool,
    /// Pages are being requested.
    pub(super) is_running: bool,
    /// The place before the search, which returns if nothing matches.
    before: Place,
}

/// Rows on the screen, and the selected message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    anchor: Option<(Seq, usize)>,
    selected: Option<Seq>,
}

/// Matches a search without regard to case.
fn matches(message: &Message, query: &str) -> bool {
    !message.deleted && message.content.to_lowercase().contains(&query.to_lowercase())
}

impl Model {
    fn place(&self) -> Place {
        Place { anchor: self.anchor, selected: self.selected }
    }

    /// Searches from the selected message upwards, or from the newest one.
    pub(super) fn start_search(&mut self, query: String) {
        let before = self.place();
        if self.focus == Focus::Compose {
            self.go_to_end();
        }
        self.search = Some(Search { query, older: true, is_running: true, before });
        self.find_next();
    }

    /// Goes to the next match, older or newer.
    pub(super) fn search_again(&mut self, older: bool) {
        let before = self.place();
        let Some(search) = &mut self.search else {
            return self.info("nothing was searched for: / begins a search");
        };
        (search.older, search.is_running, search.before) = (older, true, before);
        self.find_next();
    }

    pub(super) fn find_next(&mut self) {
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
        let edge = if older { rows.front() } else { rows.back() };
        let is_done = if older { history.is_at_start() } else { history.is_at_end(chat.last) };
        let (place, edge) = (edge.map(Row::at), edge.map(Row::seq));
        match found {
            Some(seq) => self.found(seq),
            None if is_done => {
                self.stop_search();
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

    /// Selects a match. A match that was not on the screen is shown with the messages around it.
    fn found(&mut self, seq: Seq) {
        let was_shown = self.search.as_ref().is_some_and(|search| search.before.anchor == self.anchor);
        self.selected = Some(seq);
        self.focus = Focus::Navigate;
        if let Some(search) = &mut self.search {
            search.is_running = false;
        }
        self.note = None;
        let anchor = self.anchor;
        self.show_selected();
        if (!was_shown || self.anchor != anchor)
            && let Some(index) = self.open_state().and_then(|chat| chat.history.index_at(seq))
        {
            self.centre(index);
        }
    }

    /// Ends the search without a match: the place before it returns.
    pub(super) fn stop_search(&mut self) {
        let Some(search) = &mut self.search else { return };
        search.is_running = false;
        let Place { anchor, selected } = search.before;
        self.note = None;
        self.selected = selected;
        let Some((seq, skip)) = anchor else {
            // The newest messages, also if the search has loaded others in their place.
            self.go_to_end();
            self.selected = selected;
            return;
        };
        let is_loaded = self.open_state().is_some_and(|chat| {
            let history = &chat.history;
            history.is_loaded() && history.from() < seq && seq <= history.to()
        });
        self.anchor = Some((seq, skip));
        if !is_loaded && let Some(id) = self.open {
            self.go_to(id, selected.unwrap_or(seq));
        }
    }
}
