//! Text for users: Unicode normalization and invisible characters.

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use super::user::misleads;

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
