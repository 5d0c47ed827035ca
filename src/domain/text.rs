//! Text for users: validation, Unicode normalization and invisible characters.

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// Validation error; the message states the accepted format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub &'static str);

/// Normalizes text to form C: keyboards and file systems write `é` as one character or as two.
pub fn nfc(text: &str) -> String {
    match is_nfc_quick(text.chars()) {
        IsNormalized::Yes => text.to_owned(),
        IsNormalized::No | IsNormalized::Maybe => text.nfc().collect(),
    }
}

/// Returns the decomposed form of a text in form C, under which an earlier version may have stored
/// it, if it differs.
pub fn other_form(nfc: &str) -> Option<String> {
    Some(nfc.nfd().collect::<String>()).filter(|decomposed| decomposed != nfc)
}

/// Parses one line of 1 to `max` characters for display. Control characters, bidirectional controls
/// (Unicode Annex 9) and invisible characters are refused. Surrounding white space is removed. The
/// result is in normalization form C and not blank.
pub(super) fn parse_line(text: &str, max: usize) -> Option<String> {
    let text = nfc(text.trim());
    (!is_blank(&text) && text.chars().count() <= max && !text.chars().any(misleads)).then_some(text)
}

/// Returns whether a character is a control character, changes the direction of the text around it,
/// or is invisible. The two joiners are allowed, because scripts and emoji need them.
pub(super) fn misleads(c: char) -> bool {
    const BIDI: [std::ops::RangeInclusive<char>; 4] =
        ['\u{61c}'..='\u{61c}', '\u{200e}'..='\u{200f}', '\u{202a}'..='\u{202e}', '\u{2066}'..='\u{2069}'];
    let unseen = matches!(c, '\u{ad}' | '\u{180e}' | '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{feff}');
    c.is_control() || unseen || BIDI.iter().any(|range| range.contains(&c))
}

/// Returns whether a text is invisible: it has only white space, joiners, fillers and the like.
pub(super) fn is_blank(text: &str) -> bool {
    text.chars().all(|c| c.is_whitespace() || misleads(c) || is_invisible(c))
}

/// Returns whether a character has no visible glyph. These include characters that [`misleads`]
/// allows: joiners, fillers, variation selectors, tags, annotations, and those with a blank glyph.
pub(super) fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{34f}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202f}' | '\u{205f}'..='\u{206f}' | '\u{2800}'
        | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{fff0}'..='\u{ffff}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d159}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_normalized_to_form_c() {
        assert_eq!(nfc("cafe\u{301}"), "caf\u{e9}");
        assert_eq!(nfc("caf\u{e9}"), "caf\u{e9}");
        assert_eq!(other_form("caf\u{e9}").as_deref(), Some("cafe\u{301}"));
        assert_eq!(other_form("cafe"), None);
    }

    #[test]
    fn text_without_a_glyph_is_blank() {
        for blank in
            ["", " ", "\u{3164}", "\u{200d}", "\u{115f}\u{1160}", "\u{2800} \u{ffa0}", "\u{fe0f}", "\u{3000}"]
        {
            assert!(is_blank(blank), "{blank:?}");
        }
        for seen in ["a", "\u{3164}a", "\u{2764}\u{fe0f}", "\u{1f469}\u{200d}\u{1f680}", "."] {
            assert!(!is_blank(seen), "{seen:?}");
        }
    }
}
