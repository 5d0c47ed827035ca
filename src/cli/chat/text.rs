//! Cleaning of untrusted text for the terminal.
//!
//! Invariant: the result of [`clean`] holds no control character but the line feed, no escape
//! sequence, and no character that reorders or hides the text around it. All text of a server is
//! printed through it: a name or a message must not move the cursor, change the terminal's settings
//! or imitate another line.

use crate::domain::timestamp::Timestamp;

/// Replacement of a tab: the width of a real tab would depend on the text before it.
const TAB: &str = "    ";

/// Returns the text without control characters and escape sequences; keeps line feeds.
pub(super) fn clean(text: &str) -> String {
    cleaned(text, TAB)
}

/// Returns the text like [`clean`], with its tabs. For the clipboard, not for the terminal.
pub(super) fn clean_with_tabs(text: &str) -> String {
    cleaned(text, "\t")
}

fn cleaned(text: &str, tab: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = split_first(rest) {
        rest = tail;
        match first {
            '\u{1b}' => rest = behind_escape(tail),
            '\u{9b}' => rest = behind_control_sequence(tail),
            '\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}' => rest = behind_string(tail),
            '\n' | '\u{85}' | '\u{2028}' | '\u{2029}' => clean.push('\n'),
            '\t' => clean.push_str(tab),
            hidden if is_hidden(hidden) => {}
            visible => clean.push(visible),
        }
    }
    clean
}

/// Returns the text as one line.
pub(super) fn clean_line(text: &str) -> String {
    clean(text).replace('\n', " ")
}

/// Returns at most `characters_max` characters; an ellipsis at the end marks cut text.
pub(super) fn shorten(text: &str, characters_max: usize) -> String {
    if text.chars().count() <= characters_max {
        return text.to_owned();
    }
    let kept: String = text.chars().take(characters_max.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// Returns hours and minutes in UTC: the same on every machine.
pub(super) fn clock(time: Timestamp) -> String {
    let minutes = time.0.div_euclid(60_000).rem_euclid(24 * 60);
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

/// Returns the days since 1970-01-01 in UTC.
pub(super) fn day(time: Timestamp) -> i64 {
    time.0.div_euclid(24 * 3_600_000)
}

/// Returns the date in UTC.
pub(super) fn date(time: Timestamp) -> String {
    let text = time.to_string();
    text.split('T').next().unwrap_or_default().to_owned()
}

fn split_first(text: &str) -> Option<(char, &str)> {
    let mut characters = text.chars();
    let first = characters.next()?;
    Some((first, characters.as_str()))
}

fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            // Marks, embeddings, overrides and isolates of the bidirectional algorithm (UAX #9).
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // Characters without width and without meaning in chat; the joiners of emoji and
            // scripts are kept.
            | '\u{200b}' | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// Returns the text after an escape sequence, given the text after its ESC (ECMA-48 section 5.3 and
/// ECMA-35 section 13.2).
fn behind_escape(text: &str) -> &str {
    match split_first(text) {
        Some(('[', tail)) => behind_control_sequence(tail),
        Some((']' | 'P' | 'X' | '^' | '_', tail)) => behind_string(tail),
        _ => {
            let behind = text.trim_start_matches(|character| matches!(character, ' '..='/'));
            without_first(behind, |last| matches!(last, '0'..='~'))
        }
    }
}

/// Returns the text after the parameters, intermediates and final byte of a control sequence
/// (ECMA-48 section 5.4).
fn behind_control_sequence(text: &str) -> &str {
    let behind = text.trim_start_matches(|character| matches!(character, ' '..='?'));
    without_first(behind, |last| matches!(last, '@'..='~'))
}

/// Returns the text after a control string (ECMA-48 section 5.6). An unterminated string counts as
/// text: it must not hide the rest of the message.
fn behind_string(text: &str) -> &str {
    let end = text.find(char::is_control).unwrap_or(text.len());
    let terminator = text.get(end..).unwrap_or_default();
    let behind = ["\u{7}", "\u{1b}\\", "\u{9c}"].iter().find_map(|one| terminator.strip_prefix(one));
    behind.unwrap_or(text)
}

fn without_first(text: &str, is_part: impl Fn(char) -> bool) -> &str {
    match split_first(text) {
        Some((first, tail)) if is_part(first) => tail,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn clipboard_keeps_tabs_and_no_control_sequence() {
        assert_eq!(clean_with_tabs("a\tb\u{1b}]0;x\u{7}c\u{1b}[201~\r"), "a\tbc");
    }

    #[test]
    fn clean_removes_escape_sequences() {
        for (hostile, harmless) in [
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("a\u{1b}[2J\u{1b}[1;1Hb", "ab"),
            ("\u{1b}]0;title\u{7}text", "text"),
            ("\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link"),
            ("\u{1b}P1$r0m\u{1b}\\x", "x"),
            ("\u{1b}(Bx\u{1b}cy", "xy"),
            ("\u{9b}31mred\u{9d}0;title\u{9c}!", "red!"),
            ("\u{1b}]0;without an end", "0;without an end"),
            ("\u{1b}\u{1b}[31mx\u{1b}", "x"),
            ("\u{1b}[\u{1b}[31mx", "x"),
        ] {
            assert_eq!(clean(hostile), harmless, "{hostile:?}");
        }
    }

    #[test]
    fn clean_drops_controls_and_reordering_characters() {
        assert_eq!(clean("a\u{0}b\u{7}c\u{8}d\re\u{7f}f\u{84}g"), "abcdefg");
        assert_eq!(clean("user\u{202e}nimda\u{202c}\u{2066}x\u{2069}\u{200f}"), "usernimdax");
        assert_eq!(clean("one\r\ntwo\u{2028}three\tfour"), "one\ntwo\nthree    four");
        assert_eq!(clean_line("one\ntwo"), "one two");
        assert_eq!(clean("Grüße, 你好, שלום, 👩‍💻"), "Grüße, 你好, שלום, 👩‍💻");
    }

    #[test]
    fn shorten_marks_cut_text_with_an_ellipsis() {
        assert_eq!(shorten("hello", 5), "hello");
        assert_eq!(shorten("hello world", 7), "hello…");
        assert_eq!(shorten("ééé", 2), "é…");
    }

    #[test]
    fn times_are_shown_in_utc() {
        let time = Timestamp(1_700_000_000_123);
        assert_eq!((clock(time), date(time), day(time)), ("22:13".into(), "2023-11-14".into(), 19_675));
        assert_eq!((clock(Timestamp(0)), clock(Timestamp(-1))), ("00:00".into(), "23:59".into()));
    }

    proptest! {
        #[test]
        fn clean_never_lets_a_control_character_through(
            text in prop::collection::vec(prop_oneof![
                any::<char>(), Just('\u{1b}'), Just('\u{9b}'), Just('['), Just(']'), Just('\u{202e}'), Just('m')
            ], 0..60)
        ) {
            let text: String = text.into_iter().collect();
            let cleaned = clean(&text);
            prop_assert!(!cleaned.chars().any(|c| c != '\n' && is_hidden(c)), "{:?}", cleaned);
            prop_assert_eq!(clean(&cleaned), cleaned);
        }
    }
}
