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

use super::model::Model;
use super::view;

pub(super) struct Terminal {
    inner: DefaultTerminal,
}

impl Terminal {
    pub(super) fn open(mouse: bool) -> io::Result<Self> {
        // Also installs a panic hook that restores the terminal.
        let inner = ratatui::try_init()?;
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            leave();
            hook(info);
        }));
        let terminal = Self { inner };
        execute!(
            stdout(),
            EnableBracketedPaste,
            EnableFocusChange,
            // Distinguishes Shift-Enter from Enter where the terminal can; others ignore it.
            PushKeyboardEnhancementFlags(KeyboardEnhancementFlags::DISAMBIGUATE_ESCAPE_CODES)
        )?;
        if mouse {
            execute!(stdout(), EnableMouseCapture)?;
        }
        Ok(terminal)
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
        leave();
        ratatui::restore();
    }
}

/// Ends the modes that `ratatui::restore` does not end. Errors cannot be reported any more.
fn leave() {
    drop(execute!(
        stdout(),
        DisableMouseCapture,
        PopKeyboardEnhancementFlags,
        DisableFocusChange,
        DisableBracketedPaste
    ));
}
