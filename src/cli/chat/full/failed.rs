//! The list of texts that were not sent: messages that the server refused, and drafts of chats that
//! the user is not in any more. Their chat may not exist, so no timeline shows them.

use ratatui::crossterm::event::{KeyCode, KeyEvent};

use super::draft::Purpose;
use super::model::{Model, Pane};

impl Model {
    /// Handles a key in the list. Letters go to the prompt.
    pub(super) fn failed_key(&mut self, key: KeyEvent) {
        let last = self.sending.failed().saturating_sub(1);
        let Pane::Failed(selected) = &mut self.pane else { return };
        *selected = (*selected).min(last);
        match key.code {
            KeyCode::Down => *selected = (*selected + 1).min(last),
            KeyCode::Up => *selected = selected.saturating_sub(1),
            KeyCode::PageDown => *selected = (*selected + 10).min(last),
            KeyCode::PageUp => *selected = selected.saturating_sub(10),
            KeyCode::Enter => self.copy_failed(),
            KeyCode::Delete => self.discard_failed(),
            _ => self.back_to_chat(key),
        }
    }

    /// Copies the selected text into the prompt. The text that is being written returns after it.
    fn copy_failed(&mut self) {
        let Pane::Failed(selected) = self.pane else { return };
        let found = self.sending.failures().nth(selected).map(|(unsent, _)| unsent.content.clone());
        if let Some(text) = found {
            self.return_to_prompt();
            self.begin_draft(text, Purpose::Message);
            self.info("copied into the prompt; /failed and Delete remove the original");
        }
    }

    fn discard_failed(&mut self) {
        let Pane::Failed(selected) = self.pane else { return };
        if let Some(text) = self.sending.discard_at(selected) {
            self.editor.remember(text);
            self.is_unsaved = true;
            self.info("removed; Ctrl-Z in the prompt brings the text back");
        }
    }
}
