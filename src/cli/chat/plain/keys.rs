//! Notices that the user types while a line is edited; the text itself is not passed on.

use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::cli::chat::commands::is_message;

/// Hinter of the line editor, which asks it at each change of the line. It never returns a hint; it
/// only signals that the user types.
pub(super) struct Keys(Sender<()>);

impl Keys {
    /// One pending signal is enough.
    pub(super) fn new() -> (Self, Receiver<()>) {
        let (changed, changes) = channel(1);
        (Self(changed), changes)
    }
}

impl Hinter for Keys {
    type Hint = String;

    fn hint(&self, line: &str, _: usize, _: &Context<'_>) -> Option<String> {
        if is_message(line) {
            // A full channel already signals that the user types.
            self.0.try_send(()).ok();
        }
        None
    }
}

impl Completer for Keys {
    type Candidate = String;
}

impl Highlighter for Keys {}
impl Validator for Keys {}
impl Helper for Keys {}
