//! The terminal: raw mode, alternate screen, pastes, mouse and focus.
//!
//! Invariant: however the client ends (return, error, panic), the terminal is in its former state.
//! Signals end the client by a return.

use std::io::{self, Write, stdout};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{
    DisableBracketedPaste, DisableFocusChange, DisableMouseCapture, EnableBracketedPaste, EnableFocusChange,
    EnableMouseCapture, KeyboardEnhancementFlags, PopKeyboardEnhancementFlags, PushKeyboardEnhancementFlags,
};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, disable_raw_mode, enable_raw_mode,
};

use super::model::Model;
use super::view;

pub(super) struct Terminal {
    inner: DefaultTerminal,
    mouse: bool,
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
        let terminal = Self { inner, mouse };
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
        // An empty frame: the next one differs from it everywhere. `Terminal::clear` would wait for
        // the position of the cursor, which the reader of the keys receives.
        execute!(stdout(), Clear(ClearType::All))?;
        self.inner.draw(|_| {})?;
        Ok(())
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
        self.inner.draw(|frame| view::draw(model, frame))?;
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
