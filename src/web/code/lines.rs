//! The lines of a file, in chunks that a browser lays out when they are near the window.
//!
//! The style sheet numbers the lines with counters, so copied text has no numbers: the chunk at
//! index `n` begins at line `100 n`. The first chunk has no line 0.

use crate::web::paint::SafeHtml;
use crate::web::paint::code::{Budget, highlight};

/// Lines of a chunk. The style sheet depends on it.
const CHUNK_LINES: usize = 100;
/// Maximum number of shown lines of a file.
pub(super) const LINES_MAX: usize = 20_000;

/// A line with its number.
pub(in crate::web) struct Line {
    pub(in crate::web) number: usize,
    pub(in crate::web) html: SafeHtml,
}

/// The lines of a file.
pub(in crate::web) struct CodeLines {
    pub(in crate::web) chunks: Vec<Vec<Line>>,
    /// The number of lines of the whole file.
    pub(in crate::web) count: usize,
    /// The number of shown lines, if not all are shown.
    pub(in crate::web) shown: Option<usize>,
    /// The last highlighted line, if a limit was reached.
    pub(in crate::web) highlighted_to: Option<usize>,
    pub(in crate::web) language: Option<&'static str>,
    pub(in crate::web) has_hidden: bool,
}

impl CodeLines {
    /// Highlights a file. Takes up to the time of the budget.
    pub(super) fn paint(path: &str, text: &str, lines_max: usize) -> Self {
        let painted = highlight(path, text, &mut Budget::default());
        let count = painted.lines.len();
        let highlighted_to = (painted.highlighted_to < count).then_some(painted.highlighted_to);
        let mut chunks: Vec<Vec<Line>> = Vec::with_capacity(count / CHUNK_LINES + 1);
        for (index, html) in painted.lines.into_iter().take(lines_max).enumerate() {
            let number = index.saturating_add(1);
            match chunks.last_mut() {
                Some(chunk) if number % CHUNK_LINES != 0 => chunk.push(Line { number, html }),
                _ => chunks.push(vec![Line { number, html }]),
            }
        }
        Self {
            chunks,
            count,
            shown: (count > lines_max).then_some(lines_max),
            highlighted_to,
            language: painted.language,
            has_hidden: painted.has_hidden,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_begin_at_multiples_of_hundred() {
        let painted = CodeLines::paint("a.txt", &"x\n".repeat(250), 220);
        let first: Vec<_> =
            painted.chunks.iter().map(|chunk| (chunk.first().unwrap().number, chunk.len())).collect();
        assert_eq!(first, [(1, 99), (100, 100), (200, 21)]);
        assert_eq!((painted.count, painted.shown, painted.highlighted_to), (250, Some(220), None));
        assert!(CodeLines::paint("a.txt", "", 10).chunks.is_empty());
    }
    #[test]
    fn highlighting_ends_at_its_limit() {
        let text = "let x = 1;\n".repeat(60_000);
        let painted = CodeLines::paint("a.rs", &text, LINES_MAX);
        assert!(painted.highlighted_to.is_some_and(|to| to < painted.count), "{:?}", painted.highlighted_to);
        assert_eq!((painted.count, painted.shown, painted.language), (60_000, Some(LINES_MAX), Some("Rust")));
    }
}
