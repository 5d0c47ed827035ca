//! The help: keys and commands.

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
            ("Alt-a", "next chat with unread messages"),
            ("PageUp, PageDown", "scroll the history"),
            ("Ctrl-Home, Ctrl-End", "first, newest message"),
            ("Ctrl-F", "search in the history"),
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
            ("Up in an empty prompt, Esc", "select a message"),
            ("Ctrl-A, Ctrl-E", "beginning, end of the line"),
            ("Ctrl-W, Ctrl-U, Ctrl-K", "delete the word, to the beginning, to the end"),
            ("Ctrl-Z", "bring deleted text back"),
            ("Ctrl-C", "empty the prompt; quit if it is empty"),
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
            ("+", "react; the same reaction again removes it"),
            ("d, Delete", "delete"),
            ("p", "pin, unpin"),
            ("u", "mark unread from here, and close the chat"),
            ("/, n, N", "search, older match, newer match"),
            ("Esc, Enter", "back to the prompt"),
        ],
    ),
];

/// Returns the lines of the help.
pub(in crate::cli::chat::full) fn lines() -> Vec<String> {
    let mut lines = Vec::new();
    for (place, keys) in KEYS {
        lines.push((*place).to_owned());
        lines.extend(keys.iter().map(|(key, effect)| format!("  {key:<31} {effect}")));
        lines.push(String::new());
    }
    lines.push("Commands".to_owned());
    lines.extend(HELP.iter().map(|help| format!("  {:<31} {}", help.form, help.effect)));
    lines
}
