//! Keys that are pressed while a line is edited: that somebody types, and nothing of what.

use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// The line editor asks for a hint with each change of the line; there is none, but somebody may want to know.
pub(super) struct Keys(Sender<()>);

impl Keys {
    /// One change that waits is as good as many.
    pub(super) fn new() -> (Self, Receiver<()>) {
        let (changed, changes) = channel(1);
        (Self(changed), changes)
    }
}

/// Whether the line will be said, as far as it goes.
fn is_talk(line: &str) -> bool {
    !line.trim().is_empty() && (!line.starts_with('/') || line.starts_with("//"))
}

impl Hinter for Keys {
    type Hint = String;

    fn hint(&self, line: &str, _: usize, _: &Context<'_>) -> Option<String> {
        if is_talk(line) {
            // A full channel tells already that somebody types.
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
    fn commands_are_no_talk() {
        for (line, talk) in [("hello", true), ("//etc", true), ("/open 1", false), ("", false), ("  ", false)]
        {
            assert_eq!(is_talk(line), talk, "{line}");
        }
    }
}
