//! Notices that the user types while a line is edited; the text itself is not passed on.

use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};
use tokio::sync::mpsc::{Receiver, Sender, channel};

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

/// Whether the line, as typed so far, will be sent as a message.
fn is_talk(line: &str) -> bool {
    !line.trim().is_empty() && (!line.starts_with('/') || line.starts_with("//"))
}

impl Hinter for Keys {
    type Hint = String;

    fn hint(&self, line: &str, _: usize, _: &Context<'_>) -> Option<String> {
        if is_talk(line) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_signal_typing_of_messages_only() {
        for (line, talk) in [("hello", true), ("//etc", true), ("/open 1", false), ("", false), ("  ", false)]
        {
            assert_eq!(is_talk(line), talk, "{line}");
        }
    }
}
