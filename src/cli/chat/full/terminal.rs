//! The terminal: raw mode, alternate screen, pastes, mouse and focus.
//!
//! Invariant: however the client ends (return, error, panic), the terminal is in its former state.
//! Signals end the client by a return.
//!
//! A terminal may draw a cluster of several characters, such as a family emoji, in more columns
//! than this client counts. Rows that hold or held such a cluster are therefore erased before they
//! are written, and written whole.

use std::io::{self, Write, stdout};

use base64::Engine;
use ratatui::DefaultTerminal;
use ratatui::backend::Backend;
use ratatui::buffer::{Buffer, Cell};
use ratatui::crossterm::cursor::MoveTo;
use ratatui::crossterm::event::{
    DisableBracketedPaste, DisableFocusChange, DisableMouseCapture, EnableBracketedPaste, EnableFocusChange,
    EnableMouseCapture, KeyboardEnhancementFlags, PopKeyboardEnhancementFlags, PushKeyboardEnhancementFlags,
};
use ratatui::crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::crossterm::{execute, queue};
use ratatui::layout::Position;
use unicode_width::UnicodeWidthStr;

use super::model::Model;
use super::view;

pub(super) struct Terminal {
    inner: DefaultTerminal,
    mouse: bool,
    /// Content of the terminal. `None`: unknown, so that everything is written.
    shown: Option<(Buffer, Option<Position>)>,
}

impl Terminal {
    pub(super) fn open(mouse: bool) -> io::Result<Self> {
        // Also installs a panic hook that restores the terminal.
        let inner = ratatui::try_init()?;
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            leave_modes();
            hook(info);
        }));
        let terminal = Self { inner, mouse, shown: None };
        terminal.set_modes()?;
        Ok(terminal)
    }

    fn set_modes(&self) -> io::Result<()> {
        execute!(
            stdout(),
            EnableBracketedPaste,
            EnableFocusChange,
            // Distinguishes Shift-Enter from Enter where the terminal can; others ignore it.
            PushKeyboardEnhancementFlags(KeyboardEnhancementFlags::DISAMBIGUATE_ESCAPE_CODES)
        )?;
        if self.mouse {
            execute!(stdout(), EnableMouseCapture)?;
        }
        Ok(())
    }

    /// Takes the terminal again after another program has used it. The next drawing is complete.
    pub(super) fn enter(&mut self) -> io::Result<()> {
        leave_modes();
        // crossterm sets the modes only once if it is not reset.
        disable_raw_mode()?;
        enable_raw_mode()?;
        execute!(stdout(), EnterAlternateScreen)?;
        self.set_modes()?;
        self.repaint()
    }

    /// Clears the terminal. The next drawing writes everything. Does not ask the terminal for the
    /// place of its cursor: another thread reads the answer.
    pub(super) fn repaint(&mut self) -> io::Result<()> {
        self.shown = None;
        let size = self.inner.size()?;
        self.inner.resize((Position::ORIGIN, size).into())
    }

    /// Shows a text without the screen of the client, so that the terminal wraps its lines and can
    /// select them. [`Terminal::enter`] ends it.
    pub(super) fn show_bare(&mut self, text: &str) -> io::Result<()> {
        if self.mouse {
            // The terminal selects text.
            execute!(stdout(), DisableMouseCapture)?;
        }
        execute!(stdout(), LeaveAlternateScreen, Clear(ClearType::All), MoveTo(0, 0))?;
        // In raw mode, a line feed does not return to the first column.
        stdout().write_all(text.replace('\n', "\r\n").as_bytes())?;
        stdout().flush()
    }

    /// Begins or ends the reports of the mouse.
    pub(super) fn set_mouse(&mut self, on: bool) -> io::Result<()> {
        self.mouse = on;
        if on { execute!(stdout(), EnableMouseCapture) } else { execute!(stdout(), DisableMouseCapture) }
    }

    /// Copies a text to the clipboard of the terminal (OSC 52).
    pub(super) fn copy(&self, text: &str) -> io::Result<()> {
        let encoded = base64::engine::general_purpose::STANDARD.encode(text);
        write!(stdout(), "\x1b]52;c;{encoded}\x07")?;
        stdout().flush()
    }

    /// Leaves the terminal to another program.
    pub(super) fn leave(&self) {
        leave_modes();
        ratatui::restore();
    }

    pub(super) fn size(&self) -> io::Result<(u16, u16)> {
        let size = self.inner.size()?;
        Ok((size.width, size.height))
    }

    pub(super) fn draw(&mut self, model: &Model) -> io::Result<()> {
        let size = self.inner.size()?;
        self.inner.autoresize()?;
        let mut frame = self.inner.get_frame();
        let cursor = view::draw(model, &mut frame);
        let buffer = frame.buffer_mut().clone();
        let before = self.shown.take().filter(|(before, _)| before.area.as_size() == size);
        if before.as_ref() == Some(&(buffer.clone(), cursor)) {
            // Nothing changed: nothing is written.
            self.inner.current_buffer_mut().reset();
            self.shown = before;
            return Ok(());
        }
        self.inner.flush()?;
        for row in rows_to_erase(before.as_ref().map(|(before, _)| before), &buffer) {
            queue!(stdout(), MoveTo(0, row), Clear(ClearType::CurrentLine))?;
            self.inner.backend_mut().draw(cells(&buffer, row).into_iter())?;
        }
        match cursor {
            Some(place) => {
                self.inner.set_cursor_position(place)?;
                if before.as_ref().is_none_or(|(_, before)| before.is_none()) {
                    self.inner.show_cursor()?;
                }
            }
            None => self.inner.hide_cursor()?,
        }
        self.inner.swap_buffers();
        Backend::flush(self.inner.backend_mut())?;
        self.shown = Some((buffer, cursor));
        Ok(())
    }

    pub(super) fn bell(&self) -> io::Result<()> {
        stdout().write_all(b"\x07")?;
        stdout().flush()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Returns the rows that changed and that hold or held a cluster of several characters.
fn rows_to_erase(before: Option<&Buffer>, now: &Buffer) -> Vec<u16> {
    let is_wide = |cells: &[Cell]| cells.iter().any(|cell| cell.symbol().chars().nth(1).is_some());
    let width = usize::from(now.area.width).max(1);
    let rows = now.content.chunks(width).enumerate().filter(|(row, cells)| {
        let earlier = before.and_then(|before| before.content.chunks(width).nth(*row)).unwrap_or_default();
        (is_wide(cells) || is_wide(earlier)) && *cells != earlier
    });
    rows.filter_map(|(row, _)| u16::try_from(row).ok()).collect()
}

/// Returns the cells of a row with their places, without those that a wide character covers.
fn cells(buffer: &Buffer, row: u16) -> Vec<(u16, u16, &Cell)> {
    let (mut cells, mut column) = (Vec::new(), 0);
    while let Some(cell) = buffer.cell((column, row)).filter(|_| column < buffer.area.width) {
        cells.push((column, row, cell));
        column += u16::try_from(cell.symbol().width()).unwrap_or(1).max(1);
    }
    cells
}

/// Ends the modes that `ratatui::restore` does not end. Errors cannot be reported any more.
fn leave_modes() {
    drop(execute!(
        stdout(),
        DisableMouseCapture,
        PopKeyboardEnhancementFlags,
        DisableFocusChange,
        DisableBracketedPaste
    ));
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    use super::*;

    fn buffer(lines: &[&str]) -> Buffer {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 8, u16::try_from(lines.len()).unwrap()));
        for (row, line) in (0..).zip(lines) {
            buffer.set_string(0, row, line, Style::new());
        }
        buffer
    }

    /// Halves of emoji stayed on the screen.
    #[test]
    fn rows_with_clusters_are_erased_when_they_change() {
        let before = buffer(&["plain", "x \u{1f44d}\u{1f3fd} y", "a", "\u{1f44d}\u{1f3fd}"]);
        let now = buffer(&["other", "x", "\u{1f1e9}\u{1f1ea} b", "\u{1f44d}\u{1f3fd}"]);
        assert_eq!(rows_to_erase(Some(&before), &now), [1, 2]);
        assert_eq!(rows_to_erase(None, &now), [2, 3]);
        let places: Vec<_> = cells(&now, 2).into_iter().map(|(column, ..)| column).collect();
        assert_eq!(places, [0, 2, 3, 4, 5, 6, 7]);
    }
}
