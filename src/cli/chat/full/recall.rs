//! Lines that were sent, brought back by Up in an empty prompt, as in a shell.

use std::collections::VecDeque;

use super::draft::Purpose;
use super::model::Model;
use super::switch::NO_CHAT;
use super::view;
use crate::domain::ids::ChatId;

/// Lines that are kept, of all chats.
const LINES_MAX: usize = 200;
/// Bytes of these lines. They are in the file of this client, which is written often.
const BYTES_MAX: usize = 64 << 10;

#[derive(Debug, Default)]
pub(super) struct Recall {
    /// The newest line is the last one.
    lines: VecDeque<(ChatId, String)>,
    /// Number of lines of the chat between the line in the prompt and the end.
    place: Option<usize>,
}

impl Recall {
    pub(super) fn of(lines: Vec<(ChatId, String)>) -> Self {
        let mut recall = Self::default();
        lines.into_iter().for_each(|(chat, line)| recall.keep(chat, line));
        recall
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = &(ChatId, String)> {
        self.lines.iter()
    }

    /// Keeps a line that was sent. A line that repeats the last one of its chat is kept once.
    pub(super) fn keep(&mut self, chat: ChatId, line: String) {
        self.place = None;
        if line.trim().is_empty() || line.len() > BYTES_MAX || self.at(chat, 0) == Some(&line) {
            return;
        }
        self.lines.push_back((chat, line));
        let mut bytes: usize = self.lines.iter().map(|(_, line)| line.len()).sum();
        while self.lines.len() > LINES_MAX || bytes > BYTES_MAX {
            bytes -= self.lines.pop_front().map_or(bytes, |(_, line)| line.len());
        }
    }

    /// Returns the line of a chat before so many later ones.
    fn at(&self, chat: ChatId, place: usize) -> Option<&String> {
        self.lines.iter().rev().filter(|(other, _)| *other == chat).nth(place).map(|(_, line)| line)
    }
}

impl Model {
    /// Handles Up or Down in the prompt: moves the cursor by a row, and at the first or last row to
    /// an earlier or later line that was sent. A text that was not sent stays.
    pub(super) fn prompt_vertical(&mut self, down: bool) {
        let width = view::prompt_width(self);
        if !self.editor.is_empty() && self.editor.vertical(down, width) {
            return;
        }
        let chat = self.open.unwrap_or(NO_CHAT);
        let shown = self
            .recall
            .place
            .filter(|place| self.recall.at(chat, *place).is_some_and(|line| line == self.editor.text()));
        if matches!(self.purpose, Purpose::Edit(_)) || (shown.is_none() && !self.editor.is_empty()) {
            return;
        }
        let place = match (shown, down) {
            (None, true) => return,
            (None, false) => Some(0),
            (Some(place), false) => Some(place + 1),
            (Some(place), true) => place.checked_sub(1),
        };
        match place {
            Some(place) => {
                // At the oldest line, the line stays.
                if let Some(line) = self.recall.at(chat, place).cloned() {
                    self.editor.show(line);
                    self.recall.place = Some(place);
                } else if shown.is_none() {
                    self.info("nothing was sent in this chat yet; Esc selects a message");
                }
            }
            None => {
                self.editor.show(String::new());
                self.recall.place = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sent_lines_are_bounded() {
        let mut recall = Recall::default();
        (0..3 * LINES_MAX).for_each(|line| recall.keep(ChatId(1), format!("line {line}")));
        assert_eq!(recall.lines.len(), LINES_MAX);
        (0..9).for_each(|line| recall.keep(ChatId(2), line.to_string().repeat(16 << 10)));
        assert!(recall.lines.iter().map(|(_, line)| line.len()).sum::<usize>() <= BYTES_MAX);
        recall.keep(ChatId(2), "x".repeat(BYTES_MAX + 1));
        recall.keep(ChatId(2), "again".to_owned());
        recall.keep(ChatId(2), "again".to_owned());
        assert_eq!(recall.lines.iter().filter(|(_, line)| line == "again").count(), 1);
    }
}
