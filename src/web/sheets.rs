//! The style sheets, and which files of `web/css/` each of them joins, in the order of their names.
//!
//! `build.rs` includes this file.

/// Decides by the name of a file below `web/css/` whether a style sheet has it.
pub(crate) type Selection = dyn Fn(&str) -> bool + Sync;

/// The style sheets: of the pages, and of the chat. Files from `50` on belong to code and people, those
/// from `80` on to the chat, `90` to both.
pub(crate) const STYLE_SHEETS: &[(&str, &Selection)] =
    &[("app.css", &|name| !name.starts_with('8')), ("chat.css", &|name| !("50".."80").contains(&name))];

#[cfg(test)]
mod tests {
    use super::STYLE_SHEETS;

    #[test]
    fn chat_and_pages_have_their_own_style_sheets() {
        let has = |sheet: usize, name: &str| STYLE_SHEETS[sheet].1(name);
        for (name, in_pages, in_chat) in [
            ("10-tokens.css", true, true),
            ("50-code.css", true, false),
            ("80-chat.css", false, true),
            ("90-media.css", true, true),
        ] {
            assert_eq!((has(0, name), has(1, name)), (in_pages, in_chat), "{name}");
        }
    }
}
