//! Marks characters that readers do not see, or that change the order of the text around them.
//!
//! A text with such characters can read differently from the text that a compiler reads (CVE
//! 2021-42574). A mark shows the code point in place of the character, and its name as `title`.

use std::ops::Range;

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

use super::safe_html::push_char;

/// Maximum marks in a text. A mark is up to 90 bytes; without this limit a file of control
/// characters becomes 70 times larger. Further hidden characters become U+FFFD.
pub const MARKS_MAX: usize = 2_000;

/// Counts the marks of a text that is written in pieces.
#[derive(Debug)]
pub(super) struct Marks {
    left: usize,
    /// Whether the text has a hidden character.
    pub(super) found: bool,
}

impl Default for Marks {
    fn default() -> Self {
        Self { left: MARKS_MAX, found: false }
    }
}

/// Appends a text, escaped, with marks. Returns whether there was a hidden character.
///
/// Tab and line feed are kept.
pub fn push_text(html: &mut String, text: &str) -> bool {
    let mut marks = Marks::default();
    marks.push(html, text, 0..text.len());
    marks.found
}

impl Marks {
    /// Appends a part of a line. The characters around it decide whether a joiner is a mark.
    /// Appends nothing if the range is not on character boundaries.
    pub(super) fn push(&mut self, html: &mut String, line: &str, range: Range<usize>) {
        let Some(piece) = line.get(range.clone()) else { return };
        let before = || line.get(..range.start)?.chars().next_back();
        let after = || line.get(range.end..)?.chars().next();
        let mut previous = None;
        let mut rest = piece.chars();
        while let Some(c) = rest.next() {
            let hidden = match c {
                ' '..='~' | '\t' | '\n' => false,
                c => {
                    let next = rest.clone().next().or_else(after);
                    is_hidden(c) && !belongs(c, previous.or_else(before), next)
                }
            };
            match hidden {
                true if self.left > 0 => {
                    self.left = self.left.saturating_sub(1);
                    push_mark(html, c);
                }
                true => html.push(char::REPLACEMENT_CHARACTER),
                false => push_char(html, c),
            }
            self.found |= hidden;
            previous = Some(c);
        }
    }

    /// Appends a text of a document. Marks only characters that change the direction of the text
    /// around them; the others occur in prose of many languages.
    pub(super) fn push_prose(&mut self, html: &mut String, text: &str) {
        for c in text.chars() {
            let reorders = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            match c {
                '\n' | '\t' => html.push(c),
                c if reorders && self.left > 0 => {
                    self.left = self.left.saturating_sub(1);
                    push_mark(html, c);
                }
                c if reorders || c.is_control() => html.push(char::REPLACEMENT_CHARACTER),
                c => push_char(html, c),
            }
            self.found |= reorders;
        }
    }
}

fn push_mark(html: &mut String, c: char) {
    let point = u32::from(c);
    html.push_str(&format!(
        "<span class=\"hidden-char\" title=\"U+{point:04X} {}\">U+{point:04X}</span>",
        name(c)
    ));
}

/// Returns whether a character has no glyph of its own or controls other characters.
fn is_hidden(c: char) -> bool {
    let category = c.general_category();
    // These are in category `Format`, but have a glyph.
    let visible = matches!(c, '\u{600}'..='\u{605}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}' | '\u{8e2}')
        || matches!(c, '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}');
    let control = matches!(
        category,
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
    );
    // Letters, marks and symbols without ink, and variation selectors.
    let blank = matches!(c, '\u{34f}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}')
        || matches!(c, '\u{2800}' | '\u{3164}' | '\u{ffa0}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}');
    (control && !visible) || blank
}

/// Returns whether a hidden character has a use between its neighbours: a joiner between
/// characters of a script or of an emoji, a selector of the emoji form.
fn belongs(c: char, previous: Option<char>, next: Option<char>) -> bool {
    let is_joined = |c: Option<char>| c.is_some_and(|c| !c.is_ascii() && (!is_hidden(c) || c == '\u{fe0f}'));
    match c {
        '\u{200c}' | '\u{200d}' => is_joined(previous) && is_joined(next),
        '\u{fe0e}' | '\u{fe0f}' => previous
            .is_some_and(|c| matches!(c, '#' | '*' | '0'..='9') || is_joined(Some(c)) && c != '\u{fe0f}'),
        _ => false,
    }
}

fn name(c: char) -> &'static str {
    match c {
        '\0' => "null",
        '\u{8}' => "backspace",
        '\r' => "carriage return",
        '\u{1b}' => "escape",
        '\u{7f}' => "delete",
        '\u{ad}' => "soft hyphen",
        '\u{61c}' => "Arabic letter mark",
        '\u{180e}' => "Mongolian vowel separator",
        '\u{200b}' => "zero width space",
        '\u{200c}' => "zero width non-joiner",
        '\u{200d}' => "zero width joiner",
        '\u{200e}' => "left-to-right mark",
        '\u{200f}' => "right-to-left mark",
        '\u{2028}' => "line separator",
        '\u{2029}' => "paragraph separator",
        '\u{202a}' => "left-to-right embedding",
        '\u{202b}' => "right-to-left embedding",
        '\u{202c}' => "pop directional formatting",
        '\u{202d}' => "left-to-right override",
        '\u{202e}' => "right-to-left override",
        '\u{2060}' => "word joiner",
        '\u{2066}' => "left-to-right isolate",
        '\u{2067}' => "right-to-left isolate",
        '\u{2068}' => "first strong isolate",
        '\u{2069}' => "pop directional isolate",
        '\u{feff}' => "zero width no-break space",
        '\u{e0000}'..='\u{e007f}' => "tag character",
        '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' => "variation selector",
        c if c.is_control() => "control character",
        _ => "invisible character",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> (String, bool) {
        let mut html = String::new();
        let found = push_text(&mut html, text);
        (html, found)
    }

    #[test]
    fn hidden_characters_are_marked() {
        let table = [
            '\0',
            '\u{1}',
            '\u{8}',
            '\u{b}',
            '\u{c}',
            '\r',
            '\u{1b}',
            '\u{7f}',
            '\u{85}',
            '\u{9b}',
            '\u{ad}',
            '\u{34f}',
            '\u{61c}',
            '\u{115f}',
            '\u{180e}',
            '\u{200b}',
            '\u{200c}',
            '\u{200d}',
            '\u{200e}',
            '\u{200f}',
            '\u{2028}',
            '\u{2029}',
            '\u{202a}',
            '\u{202b}',
            '\u{202c}',
            '\u{202d}',
            '\u{202e}',
            '\u{2060}',
            '\u{2061}',
            '\u{2064}',
            '\u{2066}',
            '\u{2067}',
            '\u{2068}',
            '\u{2069}',
            '\u{206a}',
            '\u{2800}',
            '\u{3164}',
            '\u{fe00}',
            '\u{fe0f}',
            '\u{feff}',
            '\u{ffa0}',
            '\u{fff9}',
            '\u{1d173}',
            '\u{e0001}',
            '\u{e0041}',
            '\u{e007f}',
            '\u{e0100}',
        ];
        for c in table {
            let (html, found) = shown(&format!("a{c}b"));
            let point = format!(">U+{:04X}</span>b", u32::from(c));
            assert!(found && html.contains(&point) && !html.contains(c), "{c:?}: {html}");
        }
    }

    #[test]
    fn visible_text_is_kept() {
        for text in [
            "fn main() {\n\t}",
            "Größe",
            "שלום",
            "क्‍ष",
            "می‌خواهم",
            "👩‍💻",
            "❤️",
            "🏳️‍🌈",
            "1️⃣",
            "日本語\u{3000}",
            "\u{6dd}",
        ] {
            assert_eq!(shown(text), (text.to_owned(), false));
        }
    }

    #[test]
    fn joiner_beside_ascii_is_marked() {
        for text in ["a\u{200d}b", "é\u{200d}b", "é\u{200d}", "\u{200c}", "é\u{200d}\u{200d}é"] {
            assert!(shown(text).1, "{text:?}");
        }
        let (html, _) = shown("\u{202e}");
        assert_eq!(html, "<span class=\"hidden-char\" title=\"U+202E right-to-left override\">U+202E</span>");
    }

    #[test]
    fn markup_is_escaped() {
        assert_eq!(shown("<a href=\"x\" b='y'>&").0, "&lt;a href=&quot;x&quot; b=&#39;y&#39;&gt;&amp;");
    }

    #[test]
    fn marks_are_bounded() {
        let (html, found) = shown(&"\u{1}".repeat(MARKS_MAX + 3));
        assert!(found && html.ends_with("\u{fffd}\u{fffd}\u{fffd}"));
        assert_eq!(html.matches("<span").count(), MARKS_MAX);
    }

    #[test]
    fn prose_marks_overrides_only() {
        let mut html = String::new();
        Marks::default().push_prose(&mut html, "a\u{200b}\u{202e}\0");
        assert!(html.starts_with("a\u{200b}<span") && html.ends_with("</span>\u{fffd}"), "{html}");
    }
}
