//! Text that leaves the client: the clipboard of the terminal, and a view without columns.

use super::history::Row;
use super::model::{Model, Order, Pane};
use super::view;
use crate::cli::chat::text::{clean, clean_line, clean_with_tabs};
use crate::domain::message::Message;

/// Bytes of a text that terminals accept in OSC 52: xterm and tmux take 100,000 with the encoding.
const COPY_BYTES_MAX: usize = 74_994;

impl Model {
    /// Copies the text of the selected message as it was written, without what the screen does not
    /// show: a pasted control sequence could execute a command.
    pub(super) fn copy_selected(&mut self) {
        let Some(message) = self.selected_message().filter(|message| !message.deleted) else {
            return self.problem("this message has no text to copy");
        };
        let text = clean_with_tabs(&message.content);
        if text.len() > COPY_BYTES_MAX {
            return self.problem("the text is too large for the clipboard of a terminal: Alt-l shows it");
        }
        self.info(format!("{} bytes copied, if the terminal permits OSC 52 (otherwise: Alt-l)", text.len()));
        self.orders.push_back(Order::Copy(text));
    }

    /// Shows the selected message, or the messages on the screen, without columns and without line
    /// breaks of the client.
    pub(super) fn show_bare(&mut self) {
        let mut text = match (&self.pane, self.selected_message()) {
            (Pane::Chat | Pane::Thread(_), Some(message)) => self.bare(message),
            _ => self.bare_screen(),
        };
        text.push_str("\n[any key: back to the chat]");
        self.is_bare = true;
        self.orders.push_back(Order::Bare(text));
    }

    fn bare_screen(&self) -> String {
        let (Some(chat), Some((bottom, _))) = (self.open_state(), self.bottom()) else {
            return String::new();
        };
        // The terminal shows no more lines than it has.
        let first = (bottom + 1).saturating_sub(view::timeline_size(self).1);
        let rows = chat.history.rows().range(first..=bottom);
        rows.filter_map(Row::message).map(|message| self.bare(message)).collect()
    }

    fn bare(&self, message: &Message) -> String {
        let (time, name) = (self.config.clock(message.created_at), self.store.names.of(message.sender_id));
        let text = if message.deleted { "(deleted)".to_owned() } else { clean(&message.content) };
        format!("-- {time} {}\n{text}\n", clean_line(&name))
    }

    /// Ends the bare view. Returns whether it was shown.
    pub(super) fn end_bare(&mut self) -> bool {
        let was_bare = std::mem::take(&mut self.is_bare);
        if was_bare {
            self.orders.push_back(Order::Repaint);
        }
        was_bare
    }
}
