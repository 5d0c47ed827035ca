//! Lines for the screen, and how they look.
//!
//! Invariant: [`render`] cleans every text in a line. It is the only way to the screen, so nothing that a server sends
//! reaches the terminal as it came.

use super::text::{clean, clean_line, clock, date, shorten};
use crate::domain::timestamp::Timestamp;

/// Characters of a message in a notice of another chat.
const NOTICE_CHARACTERS: usize = 60;
/// Stands before the second and further lines of a message, so that they cannot pass for messages of somebody else.
const CONTINUATION: &str = "      | ";

const DIM: &str = "\u{1b}[2m";
const RED: &str = "\u{1b}[31m";
const PLAIN: &str = "\u{1b}[0m";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// A message of the open chat.
    Message { at: Timestamp, sender: String, content: String },
    /// The messages that follow are of this day.
    Day(Timestamp),
    /// A message of another chat.
    Notice { chat: String, sender: String, content: String },
    /// Something happened in a chat; `None` is the open one.
    Change { chat: Option<String>, text: String },
    /// A chat in the list.
    Entry { number: usize, title: String, kind: &'static str, unread: i64, archived: bool, open: bool },
    /// An answer to a command, or what the client itself has to say.
    Info(String),
    /// Something failed.
    Problem(String),
}

/// The line as text without a line feed at its end.
pub(super) fn render(line: &Line, colours: bool) -> String {
    let painted = |colour: &str, text: String| if colours { format!("{colour}{text}{PLAIN}") } else { text };
    match line {
        Line::Message { at, sender, content } => {
            let content = clean(content).replace('\n', &format!("\n{CONTINUATION}"));
            format!("{} {}: {content}", painted(DIM, clock(*at)), clean_line(sender))
        }
        Line::Day(at) => painted(DIM, format!("-- {} --", date(*at))),
        Line::Notice { chat, sender, content } => {
            let content = shorten(&clean_line(content), NOTICE_CHARACTERS);
            format!("[{}] {}: {content}", clean_line(chat), clean_line(sender))
        }
        Line::Change { chat: Some(chat), text } => {
            painted(DIM, format!("[{}] {}", clean_line(chat), clean_line(text)))
        }
        Line::Change { chat: None, text } => painted(DIM, format!("* {}", clean_line(text))),
        Line::Entry { number, title, kind, unread, archived, open } => {
            let mark = if *open { '>' } else { ' ' };
            let mut text = format!("{mark}{number:>3}. {} ({kind}", clean_line(title));
            if *archived {
                text.push_str(", archived");
            }
            if *unread > 0 {
                text.push_str(&format!(", {unread} unread"));
            }
            text + ")"
        }
        Line::Info(text) => clean(text),
        Line::Problem(text) => painted(RED, format!("! {}", clean_line(text))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(content: &str) -> Line {
        Line::Message { at: Timestamp(1_700_000_000_123), sender: "bob".into(), content: content.into() }
    }

    #[test]
    fn a_message_has_its_time_and_its_sender() {
        assert_eq!(render(&message("hello"), false), "22:13 bob: hello");
        assert_eq!(render(&message("hello"), true), "\u{1b}[2m22:13\u{1b}[0m bob: hello");
    }

    #[test]
    fn a_second_line_cannot_pass_for_another_message() {
        assert_eq!(
            render(&message("yes\n22:14 alice: I agree"), false),
            "22:13 bob: yes\n      | 22:14 alice: I agree"
        );
    }

    #[test]
    fn a_notice_is_one_short_line() {
        let long = "so much to say\n".repeat(20);
        let notice = Line::Notice { chat: "te\u{1b}[2Jam".into(), sender: "bob".into(), content: long };
        let text = render(&notice, true);
        assert!(text.starts_with("[team] bob: so much to say so much") && text.ends_with('…'), "{text}");
        assert!(text.chars().count() < 80 && !text.contains(['\n', '\u{1b}']));
    }

    #[test]
    fn every_text_is_cleaned() {
        let evil = || "\u{1b}[2J\u{202e}x".to_owned();
        for line in [
            Line::Message { at: Timestamp(0), sender: evil(), content: evil() },
            Line::Notice { chat: evil(), sender: evil(), content: evil() },
            Line::Change { chat: Some(evil()), text: evil() },
            Line::Change { chat: None, text: evil() },
            Line::Entry { number: 1, title: evil(), kind: "group", unread: 2, archived: true, open: true },
            Line::Info(evil()),
            Line::Problem(evil()),
        ] {
            assert!(!render(&line, false).contains(['\u{1b}', '\u{202e}']), "{line:?}");
        }
    }

    #[test]
    fn a_list_shows_what_is_unread() {
        let entry = |unread, open| Line::Entry {
            number: 2,
            title: "team".into(),
            kind: "group",
            unread,
            archived: false,
            open,
        };
        assert_eq!(render(&entry(3, false), false), "   2. team (group, 3 unread)");
        assert_eq!(render(&entry(0, true), false), ">  2. team (group)");
    }
}
