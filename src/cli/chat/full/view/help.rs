//! The help: keys and commands.

use ratatui::style::Style;
use unicode_width::UnicodeWidthStr;

use super::wrap::wrap;
use crate::cli::chat::commands::HELP;

/// Keys and their effects, by the place where they work.
const KEYS: &[(&str, &[(&str, &str)])] = &[
    (
        "Everywhere",
        &[
            ("F1", "this help (also /help)"),
            ("F2", "notifications (also /inbox)"),
            ("F3", "hide or show the list of chats"),
            ("Alt-Up, Alt-Down", "previous, next chat"),
            ("Alt-1 … Alt-9", "chat with this number"),
            ("Alt-j", "chat by its number or a part of its name"),
            ("Alt-a", "next chat with unread messages, those that name you first"),
            ("Alt-n", "next unread message that names you"),
            ("PageUp, PageDown", "scroll the history"),
            ("Ctrl-Home, Ctrl-End", "first, newest message"),
            ("Ctrl-F", "search in the history of the chat (also /find)"),
            ("Alt-l", "the text without columns, to select it with the mouse"),
            ("Ctrl-L", "write the screen again"),
            ("Ctrl-R", "connect now"),
            ("Ctrl-Q", "quit; unsent messages and drafts are kept"),
        ],
    ),
    (
        "In the prompt",
        &[
            ("Enter", "send"),
            ("Alt-Enter, Shift-Enter, Ctrl-J", "new line"),
            ("Tab, Shift-Tab", "complete @user, #chat, :emoji:, /command"),
            ("Up, Down", "lines that you sent in this chat, in an empty prompt"),
            ("Esc, Shift-Up", "select a message; Esc first cancels an upload"),
            ("Ctrl-A, Ctrl-E", "beginning, end of the line"),
            ("Ctrl-W, Ctrl-U, Ctrl-K", "delete the word, to the beginning, to the end"),
            ("Alt-d, Alt-Backspace", "delete the next word, the word"),
            ("Ctrl-Z", "bring deleted text back; again: the texts before it"),
            ("Ctrl-C", "empty the prompt; quit if it is empty"),
            ("Ctrl-D in an empty prompt", "quit"),
        ],
    ),
    (
        "On a selected message",
        &[
            ("Up, Down, k, j", "older, newer message"),
            ("g, G", "first, newest message"),
            ("r", "reply"),
            ("t", "thread"),
            ("e", "edit your message"),
            ("y", "copy the text to the clipboard of the terminal"),
            ("+", "react; the same reaction again removes it"),
            ("d, Delete", "delete"),
            ("p", "pin, unpin"),
            ("u", "mark unread from here, and close the chat"),
            ("/, n, N", "search, older match, newer match"),
            ("Esc, Enter", "back to the prompt"),
        ],
    ),
    (
        "In the list of texts that were not sent",
        &[
            ("Up, Down", "other texts"),
            ("Enter", "copy into the prompt"),
            ("Delete", "remove; Ctrl-Z in the prompt brings the text back"),
        ],
    ),
    (
        "In the list of messages that were found",
        &[
            ("Up, Down", "other messages"),
            ("Enter", "go to the message"),
            ("Esc", "back; /search without words shows the list again"),
        ],
    ),
];

/// Columns of keys and commands on a wide screen.
const KEY_COLUMNS: usize = 31;

/// Returns the lines of the help for a width.
pub(in crate::cli::chat::full) fn lines(width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for (place, keys) in KEYS {
        lines.push((*place).to_owned());
        keys.iter().for_each(|(key, effect)| entry(key, effect, width, &mut lines));
        lines.push(String::new());
    }
    lines.push("Commands".to_owned());
    HELP.iter().for_each(|help| entry(help.form, help.effect, width, &mut lines));
    lines
}

/// Adds a key and its effect. Text that does not fit beside the key stands below it.
fn entry(key: &str, effect: &str, width: usize, lines: &mut Vec<String>) {
    let columns = KEY_COLUMNS.min(width / 3);
    let indent = " ".repeat(columns + 3);
    let effects = wrap(&[(effect.to_owned(), Style::new())], width.saturating_sub(columns + 3));
    let mut effects = effects.iter().map(ToString::to_string);
    if key.width() <= columns {
        let missing = " ".repeat(columns - key.width());
        lines.push(format!("  {key}{missing} {}", effects.next().unwrap_or_default()));
    } else {
        lines.push(format!("  {key}"));
    }
    lines.extend(effects.map(|effect| format!("{indent}{effect}")));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the first cells of the tables in a section of docs/CHAT.md.
    fn cells(section: &str) -> Vec<String> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/CHAT.md");
        let text = std::fs::read_to_string(path).unwrap();
        let (_, section) = text.split_once(&format!("## {section}\n")).unwrap();
        let section = section.split("\n## ").next().unwrap();
        let rows = section.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
        let rows = rows.filter(|cell| !matches!(*cell, "Key" | "Command"));
        rows.map(|cell| cell.replace('`', "")).collect()
    }

    #[test]
    fn keys_of_the_document_are_those_of_the_help() {
        let keys: Vec<_> = KEYS.iter().flat_map(|(_, keys)| keys.iter().map(|(key, _)| *key)).collect();
        assert_eq!(cells("Use the keys"), keys);
    }

    #[test]
    fn commands_of_the_document_are_those_of_the_help() {
        let names = |text: &str| -> Vec<String> {
            let forms = text.split(", ").filter_map(|form| form.split(' ').next());
            forms.filter(|form| form.starts_with('/')).map(str::to_owned).collect()
        };
        let mut documented: Vec<_> = cells("Use the commands").iter().flat_map(|cell| names(cell)).collect();
        let mut known: Vec<_> = crate::cli::chat::commands::names().map(|name| format!("/{name}")).collect();
        known.push("//TEXT".to_owned());
        for list in [&mut documented, &mut known] {
            list.sort();
            list.dedup();
        }
        assert_eq!(documented, known);
    }
}
