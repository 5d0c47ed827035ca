//! The style sheets, and which files of `web/css/` each of them joins, in the order of their names.
//!
//! `build.rs` includes this file.

/// Decides by the name of a file below `web/css/` whether a style sheet has it.
pub(crate) type Selection = dyn Fn(&str) -> bool + Sync;

/// The style sheets: of the pages, of the chat, and of what the chat loads later. Files from `50`
/// on belong to code and people, those from `80` on to the chat, `90` to both.
pub(crate) const STYLE_SHEETS: &[(&str, &Selection)] = &[
    ("app.css", &|name| !name.starts_with('8')),
    ("chat.css", &|name| !("50".."80").contains(&name) && !name.starts_with("86")),
    ("chat-more.css", &|name| name.starts_with("86")),
];

#[cfg(test)]
mod tests {
    use super::STYLE_SHEETS;

    #[test]
    fn chat_and_pages_have_their_own_style_sheets() {
        let has = |sheet: usize, name: &str| STYLE_SHEETS[sheet].1(name);
        for (name, in_pages, in_chat, is_later) in [
            ("10-tokens.css", true, true, false),
            ("50-code.css", true, false, false),
            ("80-chat.css", false, true, false),
            ("86-chat-more.css", false, false, true),
            ("90-media.css", true, true, false),
        ] {
            assert_eq!((has(0, name), has(1, name), has(2, name)), (in_pages, in_chat, is_later), "{name}");
        }
    }
}
