//! The text that the user writes: several lines, with a cursor between grapheme clusters.

use unicode_segmentation::{GraphemeCursor, UnicodeSegmentation};
use unicode_width::UnicodeWidthStr;

/// Bytes of a text: two of the largest pastes.
const TEXT_BYTES_MAX: usize = 2 << 20;
/// Texts that a later key can bring back.
const UNDO_MAX: usize = 100;
/// Bytes of these texts; at least the last one is kept.
const UNDO_BYTES_MAX: usize = 4 << 20;
/// Replacement of a tab in the displayed text.
const TAB: &str = "    ";

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Editor {
    text: String,
    /// Byte position of the cursor; always at the boundary of a grapheme cluster.
    cursor: usize,
    undo: Vec<(String, usize)>,
}

/// The text in rows of a given width.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) rows: Vec<String>,
    /// Column and row of the cursor.
    pub(super) cursor: (usize, usize),
}

impl Editor {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Replaces the text; the cursor is at its end.
    pub(super) fn set(&mut self, text: String) {
        self.keep_undo();
        self.cursor = text.len();
        self.text = text;
    }

    /// Replaces a text that is kept elsewhere; the cursor is at the end.
    pub(super) fn show(&mut self, text: String) {
        self.cursor = text.len();
        self.text = text;
    }

    /// Keeps a text that [`Editor::undo`] can bring back.
    pub(super) fn remember(&mut self, text: String) {
        let cursor = text.len();
        self.undo.push((text, cursor));
        self.limit_undo();
    }

    /// Removes and returns the text.
    pub(super) fn take(&mut self) -> String {
        self.cursor = 0;
        std::mem::take(&mut self.text)
    }

    /// Returns the text before the cursor.
    pub(super) fn before(&self) -> &str {
        self.text.get(..self.cursor).unwrap_or_default()
    }

    fn after(&self) -> &str {
        self.text.get(self.cursor..).unwrap_or_default()
    }

    /// Inserts text at the cursor. Returns `false` if the text would become too long: then nothing
    /// is inserted.
    pub(super) fn insert(&mut self, text: &str) -> bool {
        if self.text.len() + text.len() > TEXT_BYTES_MAX {
            return false;
        }
        if text.chars().nth(1).is_some() {
            self.keep_undo();
        }
        self.text.insert_str(self.cursor, text);
        self.cursor += text.len();
        self.settle();
        true
    }

    /// Replaces the bytes from `start` to the cursor.
    pub(super) fn replace_back_to(&mut self, start: usize, text: &str) {
        if start <= self.cursor && self.text.is_char_boundary(start) {
            self.text.replace_range(start..self.cursor, text);
            self.cursor = start + text.len();
            self.settle();
        }
    }

    pub(super) fn backspace(&mut self) {
        let start = self.previous();
        self.remove(start, self.cursor);
    }

    pub(super) fn delete(&mut self) {
        let end = self.next();
        self.remove(self.cursor, end);
    }

    pub(super) fn delete_word(&mut self) {
        let start = self.word_start();
        self.keep_undo();
        self.remove(start, self.cursor);
    }

    pub(super) fn delete_next_word(&mut self) {
        let end = self.word_end();
        self.keep_undo();
        self.remove(self.cursor, end);
    }

    /// Removes the rest of the line, or the line end.
    pub(super) fn delete_to_line_end(&mut self) {
        let end = self.line_end();
        self.keep_undo();
        if end == self.cursor { self.delete() } else { self.remove(self.cursor, end) }
    }

    pub(super) fn delete_to_line_start(&mut self) {
        let start = self.line_start();
        self.keep_undo();
        self.remove(start, self.cursor);
    }

    /// Brings back the text before the last large change. The present text is brought back after
    /// the oldest one.
    pub(super) fn undo(&mut self) {
        if let Some(earlier) = self.undo.pop() {
            let (text, cursor) = (std::mem::replace(&mut self.text, earlier.0), self.cursor);
            self.cursor = earlier.1;
            if !text.is_empty() {
                self.undo.insert(0, (text, cursor));
            }
            self.settle();
        }
    }

    fn keep_undo(&mut self) {
        if !self.text.is_empty() {
            self.undo.push((self.text.clone(), self.cursor));
            self.limit_undo();
        }
    }

    fn limit_undo(&mut self) {
        let mut bytes: usize = self.undo.iter().map(|(text, _)| text.len()).sum();
        while self.undo.len() > UNDO_MAX || (bytes > UNDO_BYTES_MAX && self.undo.len() > 1) {
            bytes -= self.undo.remove(0).0.len();
        }
    }

    fn remove(&mut self, start: usize, end: usize) {
        if start < end && self.text.is_char_boundary(start) && self.text.is_char_boundary(end) {
            self.text.replace_range(start..end, "");
            self.cursor = start;
            self.settle();
        }
    }

    /// Moves the cursor to a boundary: two clusters may have become one.
    fn settle(&mut self) {
        self.cursor = self.cursor.min(self.text.len());
        let mut cursor = GraphemeCursor::new(self.cursor, self.text.len(), true);
        if !matches!(cursor.is_boundary(&self.text, 0), Ok(true)) {
            self.cursor = self.next();
        }
    }

    fn previous(&self) -> usize {
        let mut cursor = GraphemeCursor::new(self.cursor, self.text.len(), true);
        cursor.prev_boundary(&self.text, 0).ok().flatten().unwrap_or(0)
    }

    fn next(&self) -> usize {
        let mut cursor = GraphemeCursor::new(self.cursor, self.text.len(), true);
        cursor.next_boundary(&self.text, 0).ok().flatten().unwrap_or(self.text.len())
    }

    fn word_start(&self) -> usize {
        let trimmed = self.before().trim_end();
        trimmed.unicode_word_indices().next_back().map_or(0, |(at, _)| at)
    }

    fn word_end(&self) -> usize {
        let next = self.after().unicode_word_indices().next();
        next.map_or(self.text.len(), |(at, word)| self.cursor + at + word.len())
    }

    fn line_start(&self) -> usize {
        self.before().rfind('\n').map_or(0, |at| at + 1)
    }

    fn line_end(&self) -> usize {
        self.after().find('\n').map_or(self.text.len(), |at| self.cursor + at)
    }

    pub(super) fn left(&mut self) {
        self.cursor = self.previous();
    }

    pub(super) fn right(&mut self) {
        self.cursor = self.next();
    }

    pub(super) fn word_left(&mut self) {
        self.cursor = self.word_start();
    }

    pub(super) fn word_right(&mut self) {
        self.cursor = self.word_end();
    }

    pub(super) fn home(&mut self) {
        self.cursor = self.line_start();
    }

    pub(super) fn end(&mut self) {
        self.cursor = self.line_end();
    }

    /// Moves up or down by a displayed row. Returns `false` at the first or last row.
    pub(super) fn vertical(&mut self, down: bool, width: usize) -> bool {
        let rows = self.row_ranges(width);
        let here = rows.iter().rposition(|(start, _)| *start <= self.cursor).unwrap_or(0);
        let target = if down { here.checked_add(1) } else { here.checked_sub(1) };
        let (Some((start, _)), Some((to, end))) = (rows.get(here), target.and_then(|row| rows.get(row)))
        else {
            return false;
        };
        let column = shown(self.text.get(*start..self.cursor).unwrap_or_default()).width();
        let (mut position, mut used) = (*to, 0);
        for (at, cluster) in self.text.get(*to..*end).unwrap_or_default().grapheme_indices(true) {
            used += shown(cluster).width();
            if used > column {
                break;
            }
            position = to + at + cluster.len();
        }
        self.cursor = position;
        // The end of a wrapped row is the beginning of the next one.
        if position == *end && rows.iter().any(|(start, _)| *start == position && position != *to) {
            self.left();
        }
        true
    }

    /// Returns the byte ranges of the displayed rows, without line ends.
    fn row_ranges(&self, width: usize) -> Vec<(usize, usize)> {
        let width = width.max(2);
        let (mut rows, mut start) = (Vec::new(), 0);
        for line in self.text.split('\n') {
            let (mut row, mut used) = (start, 0);
            for (at, cluster) in line.grapheme_indices(true) {
                let columns = shown(cluster).width();
                // A column is kept for the cursor behind the last character.
                if used + columns >= width {
                    rows.push((row, start + at));
                    (row, used) = (start + at, 0);
                }
                used += columns;
            }
            rows.push((row, start + line.len()));
            start += line.len() + 1;
        }
        rows
    }

    pub(super) fn layout(&self, width: usize) -> Layout {
        let ranges = self.row_ranges(width);
        let row = ranges.iter().rposition(|(start, _)| *start <= self.cursor).unwrap_or(0);
        let start = ranges.get(row).map_or(0, |(start, _)| *start);
        let column = shown(self.text.get(start..self.cursor).unwrap_or_default()).width();
        let rows = ranges.iter().map(|(start, end)| shown(self.text.get(*start..*end).unwrap_or_default()));
        Layout { rows: rows.collect(), cursor: (column, row) }
    }
}

/// Returns the text as it is displayed: pasted control characters must not reach the terminal.
fn shown(text: &str) -> String {
    let visible = |c: char| match c {
        '\t' => TAB.to_owned(),
        c if c.is_control() => "\u{fffd}".to_owned(),
        c => c.to_string(),
    };
    text.chars().map(visible).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn with(text: &str) -> Editor {
        let mut editor = Editor::default();
        editor.set(text.to_owned());
        editor
    }

    #[test]
    fn cursor_moves_by_grapheme_cluster() {
        let mut editor = with("a👩‍💻é");
        editor.left();
        editor.left();
        assert_eq!(editor.before(), "a");
        editor.delete();
        assert_eq!(editor.text(), "aé");
        editor.backspace();
        assert_eq!((editor.text(), editor.cursor), ("é", 0));
    }

    #[test]
    fn words_and_lines_are_deleted_and_brought_back() {
        let mut editor = with("one two\nthree four");
        editor.delete_word();
        assert_eq!(editor.text(), "one two\nthree ");
        editor.delete_to_line_start();
        assert_eq!(editor.text(), "one two\n");
        editor.undo();
        assert_eq!(editor.text(), "one two\nthree ");
        editor.home();
        editor.delete_to_line_end();
        assert_eq!(editor.text(), "one two\n");
        editor.undo();
        editor.undo();
        assert_eq!(editor.text(), "one two\nthree four");
        editor.word_left();
        editor.word_left();
        assert_eq!(editor.before(), "one two\n");
        editor.word_right();
        assert_eq!(editor.before(), "one two\nthree");
        editor.delete_next_word();
        assert_eq!(editor.text(), "one two\nthree");
        editor.undo();
        assert_eq!(editor.text(), "one two\nthree four");
    }

    #[test]
    fn text_and_undo_are_bounded() {
        let mut editor = with("");
        let part = "x".repeat(TEXT_BYTES_MAX / 4);
        assert_eq!((0..5).map(|_| editor.insert(&part)).collect::<Vec<_>>(), [true, true, true, true, false]);
        (0..2 * UNDO_MAX).for_each(|_| editor.set(part.clone()));
        assert!(editor.undo.iter().map(|(text, _)| text.len()).sum::<usize>() <= UNDO_BYTES_MAX);
        (0..2 * UNDO_MAX).for_each(|_| editor.set("short".to_owned()));
        assert_eq!(editor.undo.len(), UNDO_MAX);
    }

    #[test]
    fn undo_does_not_lose_the_present_text() {
        let mut editor = with("first");
        editor.set("second".to_owned());
        editor.undo();
        assert_eq!(editor.text(), "first");
        editor.undo();
        assert_eq!(editor.text(), "second");
        editor.remember("removed".to_owned());
        editor.undo();
        assert_eq!(editor.text(), "removed");
    }

    #[test]
    fn layout_wraps_rows_and_places_the_cursor() {
        let editor = with("abcdef\n你好吗");
        let layout = editor.layout(4);
        assert_eq!(layout.rows, ["abc", "def", "你", "好", "吗"]);
        assert_eq!(layout.cursor, (2, 4));
        let mut editor = with("abcdef\nab");
        assert!(editor.vertical(false, 4));
        assert_eq!(editor.before(), "abcde");
        assert!(editor.vertical(false, 4) && !editor.vertical(false, 4));
        assert_eq!(editor.before(), "ab");
        editor.right();
        editor.right();
        editor.end();
        assert!(editor.vertical(false, 4));
        assert_eq!(editor.before(), "ab", "the end of the first row is the beginning of the second");
    }

    #[test]
    fn pasted_control_characters_are_not_displayed() {
        assert_eq!(with("a\u{1b}[2J\tb").layout(40).rows, ["a\u{fffd}[2J    b"]);
    }

    proptest! {
        #[test]
        fn every_key_leaves_the_cursor_at_a_boundary(
            keys in prop::collection::vec((0u8..16, any::<char>()), 0..80), width in 1usize..30
        ) {
            let mut editor = Editor::default();
            for (key, character) in keys {
                match key {
                    0 => editor.left(),
                    1 => editor.right(),
                    2 => editor.backspace(),
                    3 => editor.delete(),
                    4 => editor.word_left(),
                    5 => editor.word_right(),
                    6 => editor.home(),
                    7 => editor.end(),
                    8 => editor.delete_word(),
                    9 => drop(editor.vertical(true, width)),
                    10 => drop(editor.vertical(false, width)),
                    11 => drop(editor.insert("\n")),
                    12 => editor.undo(),
                    _ => drop(editor.insert(&character.to_string())),
                }
                let layout = editor.layout(width);
                prop_assert!(editor.text().is_char_boundary(editor.cursor));
                prop_assert!(layout.cursor.1 < layout.rows.len());
            }
        }
    }
}
