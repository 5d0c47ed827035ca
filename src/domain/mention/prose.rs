//! Finds the parts of a text that can mention users: code, quotes and links cannot.
//!
//! Implements a small part of Markdown, chosen so that clients can implement it too. Blocks consist
//! of lines, and each paragraph is scanned once from the left. A backslash escapes nothing.

use std::collections::HashMap;

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

/// Calls `found` with each name after an `@`, from the left. The name is passed as written and
/// extends over letters, digits and marks of any script, `.`, `_` and `-`.
pub(super) fn each_name<'t>(text: &'t str, mut found: impl FnMut(&'t str)) {
    for paragraph in paragraphs(text) {
        Paragraph::new(paragraph).each_name(&mut found);
    }
}

/// Returns whether `c` is a letter, digit or mark of any script. No name begins after one, and no
/// name ends before one.
fn is_word(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric();
    }
    let group = c.general_category_group();
    matches!(group, GeneralCategoryGroup::Letter | GeneralCategoryGroup::Number | GeneralCategoryGroup::Mark)
}

fn is_name(c: char) -> bool {
    is_word(c) || matches!(c, '.' | '_' | '-')
}

/// A fence: its character, and the number of repetitions.
type Fence = (char, usize);

/// Returns the runs of consecutive lines that are neither blank, nor a quote, nor in a fence.
fn paragraphs(text: &str) -> Vec<&str> {
    let (mut found, mut fence): (_, Option<Fence>) = (Vec::new(), None);
    let (mut from, mut at) = (0, 0);
    let mut end_before = |from: &mut usize, at: usize, next: usize| {
        found.extend(text.get(*from..at).filter(|lines| !lines.is_empty()));
        *from = next;
    };
    for line in text.split_inclusive('\n') {
        let next = at + line.len();
        let trimmed = line.trim();
        if let Some((c, count)) = fence {
            if run_of(trimmed, c) >= count && trimmed.trim_start_matches(c).is_empty() {
                fence = None;
            }
            from = next;
        } else if let Some(opened) = fence_of(trimmed) {
            end_before(&mut from, at, next);
            fence = Some(opened);
        } else if trimmed.is_empty() || trimmed.starts_with('>') {
            end_before(&mut from, at, next);
        }
        at = next;
    }
    end_before(&mut from, at, at);
    found
}

/// Returns the fence that a line opens: at least three backticks or tildes. Further backticks in
/// the line make backticks a code span.
fn fence_of(line: &str) -> Option<Fence> {
    let c = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let count = run_of(line, c);
    let is_span = c == '`' && line.trim_start_matches(c).contains(c);
    (count >= 3 && !is_span).then_some((c, count))
}

/// Returns how often `text` repeats `c` at its start.
fn run_of(text: &str, c: char) -> usize {
    text.chars().take_while(|other| *other == c).count()
}

/// A paragraph and the position of the scan.
struct Paragraph<'t> {
    text: &'t str,
    at: usize,
    /// The preceding character.
    before: char,
    /// The end of the code span that each run of backticks opens, by the position of the run.
    spans: HashMap<usize, usize>,
    /// A range that contains no `)`, so that it is searched only once.
    unclosed: std::ops::Range<usize>,
}

impl<'t> Paragraph<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, at: 0, before: ' ', spans: spans(text), unclosed: 0..0 }
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip(&mut self, bytes: usize, last: char) {
        self.at += bytes.max(1);
        self.before = last;
    }

    fn each_name(mut self, found: &mut impl FnMut(&'t str)) {
        while let Some(c) = self.rest().chars().next() {
            let rest = self.rest();
            match c {
                '`' => {
                    let run = run_of(rest, '`');
                    let end = self.spans.get(&self.at).copied().unwrap_or(self.at + run);
                    self.skip(end - self.at, '`');
                }
                '[' => match self.link() {
                    Some(bytes) => self.skip(bytes, ')'),
                    None => self.skip(1, '['),
                },
                '@' if !is_word(self.before) => {
                    let name = leading(rest.get(1..).unwrap_or_default(), is_name);
                    if !name.is_empty() {
                        found(name);
                    }
                    self.skip(1 + name.len(), name.chars().next_back().unwrap_or('@'));
                }
                c if is_word(c) => {
                    let word = leading(rest, |c| is_name(c) || c == '+');
                    let behind = rest.get(word.len()..).unwrap_or_default();
                    if is_address(word, behind) {
                        let link = leading(rest, |c| !c.is_whitespace() && !matches!(c, '<' | '>'));
                        self.skip(link.len(), ' ');
                    } else {
                        self.skip(word.len(), word.chars().next_back().unwrap_or(c));
                    }
                }
                c => self.skip(c.len_utf8(), c),
            }
        }
    }

    /// Returns the length of the link `[text](target)` that begins here, in one line and without
    /// brackets in its text.
    fn link(&mut self) -> Option<usize> {
        let inner = self.rest().get(1..)?;
        let text = leading(inner, |c| !matches!(c, '[' | ']' | '\n'));
        let target = inner.get(text.len()..)?.strip_prefix("](")?;
        let from = self.text.len() - target.len();
        if self.unclosed.contains(&from) {
            return None;
        }
        let line = leading(target, |c| !matches!(c, ')' | '\n'));
        let end = from + line.len();
        if !target.get(line.len()..)?.starts_with(')') {
            self.unclosed = from..end + 1;
            return None;
        }
        Some(end + 1 - self.at)
    }
}

/// Returns the longest prefix of `text` whose characters all satisfy `is_like`.
fn leading(text: &str, is_like: impl Fn(char) -> bool) -> &str {
    let end = text.find(|c| !is_like(c)).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

/// Returns whether a word begins a link: `scheme://`, or `host.name/`.
fn is_address(word: &str, behind: &str) -> bool {
    if behind.starts_with("://") {
        return word.ends_with(|c: char| c.is_ascii_alphanumeric());
    }
    let (host, last) = word.rsplit_once('.').unwrap_or_default();
    behind.starts_with('/') && !host.is_empty() && last.starts_with(|c: char| c.is_ascii_alphanumeric())
}

/// Returns the end of the code span that begins at each run of backticks: after the next run of the
/// same length.
fn spans(text: &str) -> HashMap<usize, usize> {
    let (mut runs, mut at) = (Vec::new(), 0);
    while let Some(found) = text.get(at..).and_then(|rest| rest.find('`')) {
        let from = at + found;
        let length = run_of(text.get(from..).unwrap_or_default(), '`');
        runs.push((from, length));
        at = from + length;
    }
    let (mut spans, mut next_of_length) = (HashMap::new(), HashMap::new());
    for (from, length) in runs.into_iter().rev() {
        if let Some(closing) = next_of_length.insert(length, from) {
            spans.insert(from, closing + length);
        }
    }
    spans
}
