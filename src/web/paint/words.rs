//! Finds the words that differ between two lines.

use std::ops::Range;

use similar::{Algorithm, DiffOp, capture_diff_slices};

/// Maximum words of a line; longer lines are not compared.
pub(super) const TOKENS_MAX: usize = 200;
/// Maximum length of a line that is split into words.
const LINE_BYTES_MAX: usize = 2_000;
/// Maximum comparisons of words for one page, as the product of the words of both lines.
const COMPARISONS_MAX: usize = 4_000_000;

/// The byte ranges that differ in the old and in the new line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Differences {
    pub(super) old: Vec<Range<usize>>,
    pub(super) new: Vec<Range<usize>>,
}

/// Limits the comparisons for one page.
#[derive(Debug)]
pub(super) struct WordBudget(usize);

impl Default for WordBudget {
    fn default() -> Self {
        Self(COMPARISONS_MAX)
    }
}

impl WordBudget {
    /// Returns the words that differ. `None` if less than half of the lines is equal, so that marks
    /// would not help, or if a limit was reached.
    pub(super) fn compare(&mut self, old: &str, new: &str) -> Option<Differences> {
        let (old, new) = (tokens(old)?, tokens(new)?);
        self.0 = self.0.checked_sub(old.len().saturating_mul(new.len()))?;
        let words = |tokens: &[Token<'_>]| tokens.iter().map(|token| token.text.len()).sum::<usize>();
        let ops = capture_diff_slices(Algorithm::Myers, &old, &new);
        let (mut result, mut equal) = (Differences::default(), 0_usize);
        for op in &ops {
            if let DiffOp::Equal { old_index, len, .. } = op {
                let same = old.get(*old_index..old_index.saturating_add(*len)).unwrap_or_default();
                equal = equal.saturating_add(words(same));
                continue;
            }
            push_range(&mut result.old, &old, op.old_range());
            push_range(&mut result.new, &new, op.new_range());
        }
        let total = words(&old).saturating_add(words(&new));
        (equal.saturating_mul(4) >= total).then_some(result)
    }
}

fn push_range(ranges: &mut Vec<Range<usize>>, tokens: &[Token<'_>], of: Range<usize>) {
    let Some(changed) = tokens.get(of) else { return };
    let (Some(first), Some(last)) = (changed.first(), changed.last()) else { return };
    ranges.push(first.at..last.at.saturating_add(last.text.len()));
}

/// A word, white space, or another character.
#[derive(Debug, Clone, Copy)]
struct Token<'a> {
    at: usize,
    text: &'a str,
}

impl PartialEq for Token<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Token<'_> {}

impl std::hash::Hash for Token<'_> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl PartialOrd for Token<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Token<'_> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text.cmp(other.text)
    }
}

/// Returns the words of a line. `None` above the limits.
fn tokens(line: &str) -> Option<Vec<Token<'_>>> {
    if line.len() > LINE_BYTES_MAX {
        return None;
    }
    let (mut found, mut rest, mut at) = (Vec::new(), line, 0_usize);
    while let Some(first) = rest.chars().next() {
        if found.len() == TOKENS_MAX {
            return None;
        }
        let end = match first {
            c if is_word(c) => rest.find(|c| !is_word(c)),
            c if c.is_whitespace() => rest.find(|c: char| !c.is_whitespace()),
            c => Some(c.len_utf8()),
        };
        let (text, after) = rest.split_at_checked(end.unwrap_or(rest.len()))?;
        found.push(Token { at, text });
        at = at.saturating_add(text.len());
        rest = after;
    }
    Some(found)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(old: &str, new: &str) -> Option<(Vec<String>, Vec<String>)> {
        let found = WordBudget::default().compare(old, new)?;
        let texts = |line: &str, ranges: Vec<Range<usize>>| {
            ranges.into_iter().map(|range| line[range].to_owned()).collect()
        };
        Some((texts(old, found.old), texts(new, found.new)))
    }

    fn owned(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn changed_words_are_found() {
        let found = changed("let größe = f(1, b);", "let größe = g(1, bb, c);").unwrap();
        assert_eq!(found, (owned(&["f", "b"]), owned(&["g", "bb, c"])));
        assert_eq!(changed("a b", "a b").unwrap(), (owned(&[]), owned(&[])));
        assert_eq!(changed("a b c", "a b c d").unwrap(), (owned(&[]), owned(&[" d"])));
    }

    #[test]
    fn different_lines_have_no_marks() {
        assert_eq!(changed("return nothing;", "let x: Vec<u8>"), None);
        assert_eq!(changed("", "abc"), None);
    }

    #[test]
    fn long_lines_are_not_compared() {
        let words = "a ".repeat(TOKENS_MAX);
        assert_eq!(changed(&words, "a"), None);
        assert_eq!(changed(&"a".repeat(LINE_BYTES_MAX + 1), "a"), None);
    }

    #[test]
    fn comparisons_of_a_page_are_bounded() {
        let (line, mut budget) = ("a ".repeat(TOKENS_MAX / 2), WordBudget::default());
        let compared = (0..1_000).filter(|_| budget.compare(&line, &line).is_some()).count();
        assert_eq!(compared, COMPARISONS_MAX / TOKENS_MAX / TOKENS_MAX);
    }
}
