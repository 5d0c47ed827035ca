//! Excerpts: the part of a content that a result shows.

use std::ops::Range;

/// Maximum size of an excerpt, in bytes of UTF-8.
pub const EXCERPT_BYTES_MAX: usize = 300;
/// Bytes before the first match.
const BEFORE_BYTES: usize = 80;
/// Highlighted ranges.
const HIGHLIGHTS_MAX: usize = 40;
/// Bytes of a range in an answer.
const HIGHLIGHT_BYTES: usize = 12;
const ELLIPSIS: &str = "…";

/// A part of a content, with the places that match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Excerpt {
    /// Begins or ends with an ellipsis where the content was cut.
    pub text: String,
    /// Ranges of characters (Unicode code points) of `text`, sorted and disjoint.
    pub highlights: Vec<Range<usize>>,
}

impl Excerpt {
    /// Returns the size in an answer.
    pub fn text_bytes(&self) -> usize {
        self.text.len() + self.highlights.len() * HIGHLIGHT_BYTES
    }

    /// Cuts the content around the first of `matches`, which are ranges of bytes, sorted and
    /// disjoint.
    pub fn of(content: &str, matches: &[Range<usize>]) -> Self {
        if content.len() <= EXCERPT_BYTES_MAX {
            return Self::cut(content, 0..content.len(), matches);
        }
        let room = EXCERPT_BYTES_MAX - 2 * ELLIPSIS.len();
        let first = matches.first().map_or(0, |first| first.start);
        // The end of a content is shown in full.
        let latest = content.len() - room;
        let from = first.saturating_sub(BEFORE_BYTES).min(latest);
        let from = if from == 0 { 0 } else { word_start(content, from, first) };
        let to = content.floor_char_boundary(from + room);
        Self::cut(content, from..to, matches)
    }

    fn cut(content: &str, part: Range<usize>, matches: &[Range<usize>]) -> Self {
        let Some(shown) = content.get(part.clone()) else { return Self::default() };
        let prefix = if part.start > 0 { ELLIPSIS } else { "" };
        let suffix = if part.end < content.len() { ELLIPSIS } else { "" };
        // The characters before a place of the content, which a match may have beyond the part.
        let position = |at: usize| {
            let within = at.clamp(part.start, part.end) - part.start;
            prefix.chars().count() + shown.get(..within).map_or(0, |before| before.chars().count())
        };
        let seen = matches.iter().filter(|range| range.start < part.end && range.end > part.start);
        let highlights =
            seen.take(HIGHLIGHTS_MAX).map(|range| position(range.start)..position(range.end)).collect();
        Self { text: format!("{prefix}{shown}{suffix}"), highlights }
    }
}

/// Returns the start of the first word from `from` on, but not after `first`.
fn word_start(content: &str, from: usize, first: usize) -> usize {
    let from = content.ceil_char_boundary(from);
    let before = content.get(from..first).unwrap_or_default();
    match before.find(char::is_whitespace) {
        Some(space) => {
            from + space + before.get(space..).map_or(0, |rest| rest.len() - rest.trim_start().len())
        }
        None => from,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(content: &str, matches: &[Range<usize>]) -> String {
        let Excerpt { text, highlights } = Excerpt::of(content, matches);
        assert!(text.len() <= EXCERPT_BYTES_MAX, "{}", text.len());
        let chars: Vec<char> = text.chars().collect();
        highlights.iter().map(|range| chars[range.clone()].iter().collect::<String>() + "|").collect()
    }

    fn one(range: Range<usize>) -> Vec<Range<usize>> {
        std::iter::once(range).collect()
    }

    #[test]
    fn short_content_is_shown_whole() {
        let Excerpt { text, highlights } = Excerpt::of("über bob", &one(6..9));
        assert_eq!((text.as_str(), highlights), ("über bob", one(5..8)));
    }

    #[test]
    fn long_content_is_cut_around_the_first_match() {
        let content = format!("{} needle {} needle", "wörter ".repeat(100), "後 ".repeat(200));
        let first = content.find("needle").unwrap();
        let last = content.rfind("needle").unwrap();
        let matches = [first..first + 6, last..last + 6];
        let excerpt = Excerpt::of(&content, &matches);
        assert!(excerpt.text.starts_with("…wörter") && excerpt.text.ends_with('…'), "{}", excerpt.text);
        assert_eq!(marked(&content, &matches), "needle|");
        assert_eq!(marked(&content, &matches[1..]), "needle|");
        assert_eq!(marked(&content, &[]), "");
    }

    #[test]
    fn content_without_spaces_is_cut_at_a_character() {
        let content = "語".repeat(500);
        for at in [0, 300, 1_497] {
            assert_eq!(marked(&content, &one(at..at + 3)), "語|", "{at}");
        }
    }

    #[test]
    fn match_longer_than_the_excerpt_is_cut() {
        let content = "x".repeat(1_000);
        let Excerpt { text, highlights } = Excerpt::of(&content, &one(100..900));
        let [range] = highlights.as_slice() else { panic!("{highlights:?}") };
        assert!(range.end < text.chars().count(), "not the ellipsis");
    }
}
