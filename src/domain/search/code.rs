//! The search in the texts of files: literals of bytes, and their trigrams for the index.
//!
//! A file is a hit if it has all wanted literals and no excluded one. Smart case, as that of
//! `rg -S --no-unicode`: a literal without an upper-case letter ignores the case of ASCII letters,
//! any other literal is exact. Files that are not UTF-8 are compared byte by byte.
//!
//! The index has the trigrams of bytes of each file, with ASCII letters in lower case. A file that
//! has a literal has all trigrams of the literal, so the index proposes every hit. Of a file with
//! too many different trigrams, it has a term that is proposed for every query.

use std::collections::BTreeSet;
use std::ops::Range;

use memchr::memmem;

use super::conditions::{Candidates, Condition};
use super::excerpt::Excerpt;
use super::query::SearchQuery;
use crate::domain::ids::RepositoryId;

/// Shorter literals have no trigram: they are only compared with files that a longer one found.
pub const CODE_TERM_BYTES_MIN: usize = 3;
/// Trigrams of one literal that the index is asked for. Others would exclude few files.
const TRIGRAMS_PER_LITERAL_MAX: usize = 24;
/// Matches of a line that are highlighted.
const HIGHLIGHTS_MAX: usize = 20;
/// Part of a longer line that is cut to an excerpt.
const LINE_BYTES_MAX: usize = 1_200;
/// Bytes of this part before the first match.
const BEFORE_BYTES: usize = 200;

/// Bytes to find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Literal {
    /// In lower case if the case is ignored.
    bytes: Vec<u8>,
    ignores_case: bool,
}

impl Literal {
    pub(super) fn of(text: &str) -> Self {
        let ignores_case = !text.chars().any(char::is_uppercase);
        let bytes = if ignores_case { text.to_ascii_lowercase() } else { text.to_owned() };
        Self { bytes: bytes.into_bytes(), ignores_case }
    }

    pub(super) fn is_long(&self) -> bool {
        self.bytes.len() >= CODE_TERM_BYTES_MIN
    }

    /// Returns the positions in a text; `lower` is the same text in lower case.
    fn positions<'a>(&'a self, text: &'a [u8], lower: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
        memmem::find_iter(if self.ignores_case { lower } else { text }, &self.bytes)
    }

    /// Returns some of the trigrams, from all parts of the literal.
    fn trigrams(&self) -> impl Iterator<Item = String> {
        let all: BTreeSet<String> = trigrams(&self.bytes.to_ascii_lowercase()).collect();
        let step = all.len().div_ceil(TRIGRAMS_PER_LITERAL_MAX).max(1);
        all.into_iter().step_by(step)
    }
}

/// A file name or a path in a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PathFilter {
    /// The path begins so.
    Prefix(Vec<u8>),
    /// `*` is any number of characters and `?` any character, both also `/`. Without `/`, the
    /// pattern is compared with the name of the file.
    Pattern(Vec<u8>),
}

impl PathFilter {
    pub(super) fn of(text: &str) -> Self {
        let text = text.trim_start_matches('/');
        let bytes = text.as_bytes().to_vec();
        if text.contains(['*', '?']) { Self::Pattern(bytes) } else { Self::Prefix(bytes) }
    }

    fn accepts(&self, path: &[u8]) -> bool {
        match self {
            Self::Prefix(prefix) => path.starts_with(prefix),
            Self::Pattern(pattern) if pattern.contains(&b'/') => fits(pattern, path),
            Self::Pattern(pattern) => fits(pattern, name_of(path)),
        }
    }
}

/// Returns the name of the file at a path.
pub(super) fn name_of(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

/// Returns whether a text fits a pattern with `*` and `?`. Takes at most the product of both
/// lengths.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut place) = (0, 0);
    // The last `*`, and the place in the text up to which it reaches.
    let mut star: Option<(usize, usize)> = None;
    while place < text.len() {
        match (pattern.get(at), star) {
            (Some(b'*'), _) => {
                star = Some((at, place));
                at += 1;
            }
            (Some(byte), _) if *byte == b'?' || text.get(place) == Some(byte) => {
                at += 1;
                place += 1;
            }
            (_, Some((after, reached))) => {
                star = Some((after, reached + 1));
                (at, place) = (after + 1, reached + 1);
            }
            (_, None) => return false,
        }
    }
    pattern.get(at..).unwrap_or_default().iter().all(|byte| *byte == b'*')
}

/// The lines of a file that match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileMatch {
    /// The first lines with any wanted literal.
    pub lines: Vec<MatchedLine>,
    /// The number of all such lines.
    pub line_count: usize,
}

/// A line that matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatchedLine {
    /// From 1 on.
    pub number: usize,
    pub excerpt: Excerpt,
}

impl SearchQuery {
    /// Returns the conditions of the literals for the index of files.
    pub fn code_candidates(&self) -> Candidates {
        let trigrams: BTreeSet<String> = self.literals.iter().flat_map(Literal::trigrams).collect();
        Candidates { all: trigrams.into_iter().map(Condition::Term).collect(), none: Vec::new() }
    }

    /// Returns whether the filters for paths and languages accept the path of a file.
    pub fn accepts_path(&self, path: &[u8]) -> bool {
        let is_at = self.paths.is_empty() || self.paths.iter().any(|filter| filter.accepts(path));
        is_at
            && (self.languages.is_empty()
                || self.languages.iter().any(|language| language.has(name_of(path))))
    }

    /// Returns the lines of a file that match, at most `lines_max` of them, or `None` if the file
    /// is not a hit.
    pub fn file_match(&self, text: &[u8], lines_max: usize) -> Option<FileMatch> {
        let lower = text.to_ascii_lowercase();
        let has = |literal: &Literal| literal.positions(text, &lower).next().is_some();
        if self.literals.is_empty()
            || !self.literals.iter().all(has)
            || self.excluded_literals.iter().any(has)
        {
            return None;
        }
        let mut found = FileMatch::default();
        // Each literal is searched for once, whatever the others are.
        let positions = self.literals.iter().map(|literal| literal.positions(text, &lower).peekable());
        let mut positions: Vec<_> = positions.collect();
        let (mut start, mut number) = (0, 1);
        while let Some(first) = positions.iter_mut().filter_map(|places| places.peek().copied()).min() {
            let before = text.get(start..first).unwrap_or_default();
            number += memchr::memchr_iter(b'\n', before).count();
            let line = line_at(text, start, first);
            found.line_count += 1;
            if found.lines.len() < lines_max {
                found.lines.push(self.matched_line(number, text, &lower, line.clone()));
            }
            number += 1;
            start = line.end + 1;
            for places in &mut positions {
                while places.next_if(|place| *place < start).is_some() {}
            }
        }
        Some(found)
    }

    fn matched_line(&self, number: usize, text: &[u8], lower: &[u8], line: Range<usize>) -> MatchedLine {
        let (bytes, lower) =
            (text.get(line.clone()).unwrap_or_default(), lower.get(line).unwrap_or_default());
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        let positions = |literal: &Literal| {
            let end = literal.bytes.len();
            let found = literal.positions(bytes, lower).take(HIGHLIGHTS_MAX);
            found.map(|at| at..at + end).collect::<Vec<_>>()
        };
        let mut ranges: Vec<_> = self.literals.iter().flat_map(positions).collect();
        ranges.sort_unstable_by_key(|range| (range.start, range.end));
        let part = part_of(bytes, ranges.first().map_or(0, |range| range.start));
        let shown = bytes.get(part.clone()).unwrap_or_default();
        let place = |at: usize| {
            let within = at.clamp(part.start, part.end) - part.start;
            String::from_utf8_lossy(shown.get(..within).unwrap_or_default()).len()
        };
        let mut end = 0;
        let mut seen: Vec<Range<usize>> = Vec::new();
        for range in ranges {
            let range = place(range.start).max(end)..place(range.end);
            if range.start < range.end {
                end = range.end;
                seen.push(range);
            }
        }
        MatchedLine { number, excerpt: Excerpt::of(&String::from_utf8_lossy(shown), &seen) }
    }
}

/// Returns the line around a place; `start` is the beginning of this or an earlier line.
fn line_at(text: &[u8], start: usize, place: usize) -> Range<usize> {
    let before = text.get(start..place).unwrap_or_default();
    let from = memchr::memrchr(b'\n', before).map_or(start, |at| start + at + 1);
    let end = memchr::memchr(b'\n', text.get(place..).unwrap_or_default());
    from..end.map_or(text.len(), |length| place + length)
}

/// Returns the part of a long line that is shown, around its first match.
fn part_of(line: &[u8], first: usize) -> Range<usize> {
    if line.len() <= LINE_BYTES_MAX {
        return 0..line.len();
    }
    let mut from = first.saturating_sub(BEFORE_BYTES).min(line.len() - LINE_BYTES_MAX);
    // A character has at most three continuation bytes.
    for _ in 0..3 {
        if line.get(from).is_some_and(|byte| byte & 0xc0 == 0x80) {
            from = from.saturating_sub(1);
        }
    }
    from..(from + LINE_BYTES_MAX).min(line.len())
}

/// Returns the trigrams of bytes as terms of the index. They may repeat.
fn trigrams(folded: &[u8]) -> impl Iterator<Item = String> {
    folded.windows(3).filter_map(|window| match window {
        [first, second, third] => Some(trigram_term([*first, *second, *third])),
        _ => None,
    })
}

/// Returns a trigram as five ASCII characters, which the index does not fold.
fn trigram_term(bytes: [u8; 3]) -> String {
    const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz012345";
    let [first, second, third] = bytes.map(u32::from);
    let number = (first << 16) | (second << 8) | third;
    let digit = |shift: u32| {
        let at = usize::try_from((number >> shift) & 31).unwrap_or_default();
        char::from(DIGITS.get(at).copied().unwrap_or_default())
    };
    [20, 15, 10, 5, 0].into_iter().map(digit).collect()
}

/// The term of files whose trigrams are not in the index. Each of them may be a hit.
pub const DENSE_TERM: &str = "=dense";

/// The terms of the text of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeTerms {
    /// Sorted.
    pub terms: Vec<String>,
    /// Whether they are [`DENSE_TERM`] instead of the trigrams.
    pub is_dense: bool,
}

/// Returns the terms of the text of a file. A text with more than `trigrams_max` different
/// trigrams, such as random bytes, is dense. The cost in the index depends on them, not on the
/// bytes.
pub fn code_terms(repository: RepositoryId, text: &[u8], trigrams_max: usize) -> CodeTerms {
    let folded = text.to_ascii_lowercase();
    let mut numbers: Vec<[u8; 3]> =
        folded.windows(3).filter_map(|window| window.first_chunk::<3>().copied()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let is_dense = numbers.len() > trigrams_max;
    let mut terms: Vec<String> =
        if is_dense { vec![DENSE_TERM.to_owned()] } else { numbers.into_iter().map(trigram_term).collect() };
    terms.push(repository_term(repository));
    terms.sort_unstable();
    CodeTerms { terms, is_dense }
}

/// Returns the term that all files and commits of a repository have.
pub fn repository_term(repository: RepositoryId) -> String {
    format!("=r{repository}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(query: &str, text: &[u8]) -> Vec<(usize, String)> {
        let found = SearchQuery::parse(query).unwrap().file_match(text, 100);
        let lines = found.map(|found| found.lines).unwrap_or_default();
        lines.into_iter().map(|line| (line.number, line.excerpt.text)).collect()
    }

    fn line(number: usize, text: &str) -> (usize, String) {
        (number, text.to_owned())
    }

    #[test]
    fn lines_with_a_literal_are_numbered() {
        let text = b"use std::fs;\r\n\nfn main() {}\n// FN main of std::fs";
        assert_eq!(lines("std::fs", text), [line(1, "use std::fs;"), line(4, "// FN main of std::fs")]);
        assert_eq!(lines("\"fn main\"", text), [line(3, "fn main() {}"), line(4, "// FN main of std::fs")]);
        assert_eq!(lines("\"FN main\"", text), [line(4, "// FN main of std::fs")]);
        assert_eq!(lines("main() fs;", text), [line(1, "use std::fs;"), line(3, "fn main() {}")]);
        assert_eq!(lines("main -crate", text).len(), 2);
        assert_eq!(lines("main -FN", text), []);
        assert_eq!(lines("absent", text), []);
    }

    #[test]
    fn bytes_that_are_not_text_are_compared_and_shown_lossily() {
        assert_eq!(lines("caf", b"\xff\xfe caf\xe9 x"), [line(1, "\u{fffd}\u{fffd} caf\u{fffd} x")]);
        let found = SearchQuery::parse("caf").unwrap().file_match(b"\xff caf\xe9", 1).unwrap();
        assert_eq!(found.lines[0].excerpt.highlights, vec![2..5]);
    }

    #[test]
    fn long_line_is_cut_around_its_match() {
        let text = format!("{}needle{}", "é".repeat(300_000), "ü".repeat(300_000));
        let found = SearchQuery::parse("needle").unwrap().file_match(text.as_bytes(), 1).unwrap();
        let excerpt = &found.lines[0].excerpt;
        let shown: String = excerpt
            .text
            .chars()
            .skip(excerpt.highlights[0].start)
            .take(excerpt.highlights[0].len())
            .collect();
        assert!(shown == "needle" && excerpt.text.len() <= 300, "{excerpt:?}");
    }

    #[test]
    fn path_filters_are_beginnings_and_patterns() {
        for (filter, path, expected) in [
            ("path:src/", "src/main.rs", true),
            ("path:/src", "src/main.rs", true),
            ("path:src/", "lib/src/x", false),
            ("path:/src", "lib/src/x", false),
            ("path:*.rs", "a/b/main.rs", true),
            ("path:*.rs", "a.rs/b.c", false),
            ("path:a/*/c?d", "a/x/y/c1d", true),
            ("path:a/*/c?d", "a/x/y/c12d", false),
            ("path:*a*a*a*a*b", &"a".repeat(2_000), false),
            ("lang:rust", "src/x.rs", true),
            ("lang:Rust", "src/x.c", false),
            ("lang:make", "sub/Makefile", true),
            ("lang:c lang:rust", "x.rs", true),
        ] {
            let query = SearchQuery::parse(&format!("word {filter}")).unwrap();
            assert_eq!(query.accepts_path(path.as_bytes()), expected, "{filter} {path}");
        }
    }

    #[test]
    fn text_with_too_many_different_trigrams_is_dense() {
        let text = b"abcabcabd";
        // abc, bca, cab and abd, and the term of the repository.
        let CodeTerms { terms, is_dense } = code_terms(RepositoryId(1), text, 4);
        assert_eq!((terms.len(), is_dense), (5, false));
        let terms = vec!["=dense".to_owned(), "=r1".to_owned()];
        assert_eq!(code_terms(RepositoryId(1), text, 3), CodeTerms { terms, is_dense: true });
    }

    proptest! {
        /// The index proposes every file that matches.
        #[test]
        fn match_has_all_trigrams(text in "[a-cA-C \n:é]{0,60}", term in "[a-cA-C:é]{2,6}") {
            prop_assume!(term.len() >= CODE_TERM_BYTES_MIN);
            let query = SearchQuery::parse(&format!("\"{term}\"")).unwrap();
            let exact = term.chars().any(char::is_uppercase);
            let holds = |line: &str| {
                if exact { line.contains(&term) } else { line.to_ascii_lowercase().contains(&term) }
            };
            let expected: Vec<_> = text.split('\n').enumerate().filter(|(_, line)| holds(line)).collect();
            let numbers: Vec<_> = expected.iter().map(|(at, _)| at + 1).collect();
            let found = query.file_match(text.as_bytes(), 100);
            let lines = found.map(|found| found.lines).unwrap_or_default();
            prop_assert_eq!(lines.iter().map(|line| line.number).collect::<Vec<_>>(), numbers.clone());
            let terms: BTreeSet<_> = code_terms(RepositoryId(1), text.as_bytes(), 100).terms.into_iter().collect();
            let all = query.code_candidates().all.into_iter().all(|condition| match condition {
                Condition::Term(term) => terms.contains(&term),
                _ => false,
            });
            prop_assert!(all || numbers.is_empty());
        }
    }
}
