//! Lines for the screen, and their rendering.
//!
//! Invariant: [`render`] cleans every text in a line. It is the only way to the screen, so no text
//! of a server reaches the terminal unchanged.

use crate::cli::chat::text::{clean, clean_line, clock, date, shorten};
use crate::domain::timestamp::Timestamp;

/// Characters of a message in a notice about another chat.
const NOTICE_CHARACTERS: usize = 60;
/// Prefix of the second and further lines of a message, so that they are not mistaken for messages
/// of another sender.
const CONTINUATION: &str = "      | ";

const DIM: &str = "\u{1b}[2m";
const RED: &str = "\u{1b}[31m";
const PLAIN: &str = "\u{1b}[0m";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// Message of the open chat.
    Message { at: Timestamp, sender: String, content: String },
    /// Date of the messages that follow.
    Day(Timestamp),
    /// Message of another chat.
    Notice { chat: String, sender: String, content: String },
    /// Change in a chat; `None` is the open chat.
    Change { chat: Option<String>, text: String },
    /// Chat in the list.
    Entry { number: usize, title: String, kind: &'static str, unread: i64, archived: bool, open: bool },
    /// Message that was found.
    Hit { number: usize, chat: String, at: Timestamp, sender: String, content: String },
    /// Answer to a command, or a report of the client itself.
    Info(String),
    /// Failure.
    Problem(String),
}

/// Renders the line as text without a line feed at its end.
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
        Line::Hit { number, chat, at, sender, content } => {
            let (chat, sender, content) = (clean_line(chat), clean_line(sender), clean_line(content));
            let time = painted(DIM, format!("{} {}", date(*at), clock(*at)));
            format!("{number:>3}. [{chat}] {time} {sender}: {content}")
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
    fn message_shows_its_time_and_its_sender() {
        assert_eq!(render(&message("hello"), false), "22:13 bob: hello");
        assert_eq!(render(&message("hello"), true), "\u{1b}[2m22:13\u{1b}[0m bob: hello");
    }

    #[test]
    fn second_line_of_a_message_is_marked_as_continuation() {
        assert_eq!(
            render(&message("yes\n22:14 alice: I agree"), false),
            "22:13 bob: yes\n      | 22:14 alice: I agree"
        );
    }

    #[test]
    fn notice_is_rendered_as_one_short_line() {
        let long = "so much to say\n".repeat(20);
        let notice = Line::Notice { chat: "te\u{1b}[2Jam".into(), sender: "bob".into(), content: long };
        let text = render(&notice, true);
        assert!(text.starts_with("[team] bob: so much to say so much") && text.ends_with('…'), "{text}");
        assert!(text.chars().count() < 80 && !text.contains(['\n', '\u{1b}']));
    }

    #[test]
    fn render_cleans_every_text() {
        let evil = || "\u{1b}[2J\u{202e}x".to_owned();
        for line in [
            Line::Message { at: Timestamp(0), sender: evil(), content: evil() },
            Line::Notice { chat: evil(), sender: evil(), content: evil() },
            Line::Change { chat: Some(evil()), text: evil() },
            Line::Change { chat: None, text: evil() },
            Line::Entry { number: 1, title: evil(), kind: "group", unread: 2, archived: true, open: true },
            Line::Hit { number: 1, chat: evil(), at: Timestamp(0), sender: evil(), content: evil() },
            Line::Info(evil()),
            Line::Problem(evil()),
        ] {
            assert!(!render(&line, false).contains(['\u{1b}', '\u{202e}']), "{line:?}");
        }
    }

    #[test]
    fn list_entry_shows_unread_messages() {
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
