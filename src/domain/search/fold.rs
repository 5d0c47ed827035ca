//! Folding: compatibility forms, letter case, and the accents of Latin and Greek letters.
//!
//! Each folded character carries the range of the text that it comes from, for highlights.

use std::ops::Range;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The case of the character from which a folded one was made. It shows where parts of an
/// identifier begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    Upper,
    Lower,
    None,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FoldedChar {
    pub(super) c: char,
    pub(super) case: Case,
    /// Bytes of the text.
    pub(super) at: Range<usize>,
}

/// Folds a text. Invisible characters are left out.
pub(super) fn fold(text: &str) -> Vec<FoldedChar> {
    let mut folded = Vec::with_capacity(text.len());
    let mut chars = text.char_indices().peekable();
    while let Some((from, first)) = chars.next() {
        let mut to = from + first.len_utf8();
        while let Some((at, c)) = chars.next_if(|(_, c)| continues(*c)) {
            to = at + c.len_utf8();
        }
        if first.is_ascii() && to == from + 1 {
            let case = case_of(first);
            folded.push(FoldedChar { c: first.to_ascii_lowercase(), case, at: from..to });
        } else if let Some(cluster) = text.get(from..to) {
            fold_cluster(cluster, &(from..to), &mut folded);
        }
    }
    folded
}

fn case_of(c: char) -> Case {
    if c.is_uppercase() {
        Case::Upper
    } else if c.is_lowercase() {
        Case::Lower
    } else {
        Case::None
    }
}

/// Returns whether a character belongs to the one before it: marks, the vowels and finals of
/// decomposed Hangul, and the sound marks of half-width Katakana.
fn continues(c: char) -> bool {
    !c.is_ascii()
        && (is_combining_mark(c)
            || is_ignored(c)
            || matches!(c, '\u{1160}'..='\u{11ff}' | '\u{ff9e}' | '\u{ff9f}'))
}

/// Returns whether a character is invisible or changes only the appearance of its neighbour.
fn is_ignored(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{20d0}'..='\u{20ff}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{1f3fb}'..='\u{1f3ff}' | '\u{e0000}'..='\u{e0fff}')
}

fn is_accent(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}')
}

fn loses_accents(c: char) -> bool {
    c.is_ascii_alphabetic() || matches!(c, '\u{c0}'..='\u{24f}' | '\u{370}'..='\u{3ff}')
}

fn fold_cluster(cluster: &str, at: &Range<usize>, folded: &mut Vec<FoldedChar>) {
    let mut case = cluster.chars().next().map_or(Case::None, case_of);
    let visible = || cluster.chars().filter(|c| !is_ignored(*c));
    let mut push = |c: char| {
        folded.push(FoldedChar { c, case, at: at.clone() });
        // An expansion, such as that of a ligature, begins at most one part.
        if case == Case::Upper {
            case = Case::Lower;
        }
    };
    let mut each = |c: char| match c {
        'ß' => {
            push('s');
            push('s');
        }
        'ς' => push('σ'),
        _ => push(c),
    };
    if visible().nfkd().next().is_some_and(loses_accents) {
        let bare = visible().nfkd().filter(|c| !is_accent(*c)).nfc();
        bare.flat_map(char::to_lowercase).filter(|c| !is_accent(*c)).for_each(&mut each);
    } else {
        visible().nfkc().flat_map(char::to_lowercase).for_each(&mut each);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(text: &str) -> String {
        fold(text).into_iter().map(|folded| folded.c).collect()
    }

    #[test]
    fn texts_that_mean_the_same_are_folded_alike() {
        for (text, expected) in [
            ("Straße STRASSE", "strasse strasse"),
            ("Café cafe\u{301} CAFÉ", "cafe cafe cafe"),
            ("ＦＵＬＬ　ｗｉｄｔｈ", "full width"),
            ("ﬁne ½", "fine 1\u{2044}2"),
            ("İstanbul", "istanbul"),
            ("Ὀδυσσεύς", "οδυσσευσ"),
            ("ｶﾞｷﾞ か\u{3099}", "ガギ が"),
            ("\u{1112}\u{1161}\u{11ab}", "한"),
            ("й и\u{306}", "й й"),
            ("co\u{ad}operate a\u{200d}b", "cooperate ab"),
            ("👍🏽 ❤\u{fe0f} 1\u{fe0f}\u{20e3}", "👍 ❤ 1"),
        ] {
            assert_eq!(folded(text), expected, "{text:?}");
        }
    }

    #[test]
    fn folded_character_has_the_range_of_its_source() {
        let chars = fold("aé\u{301}ﬁZ");
        let ranges: Vec<_> = chars.iter().map(|folded| (folded.c, folded.at.clone())).collect();
        assert_eq!(ranges, [('a', 0..1), ('e', 1..5), ('f', 5..8), ('i', 5..8), ('z', 8..9)]);
        assert_eq!(chars[4].case, Case::Upper);
    }
}
