//! Matching: compares a query with the content of a message.

use std::ops::Range;

use super::query::{Feature, MessageTraits, Pattern, SearchQuery};
use super::tokens::{Atom, AtomKind, atoms};
use crate::domain::timestamp::Timestamp;

/// Matches of one pattern that are highlighted.
const HIGHLIGHTS_MAX: usize = 20;

impl SearchQuery {
    /// Returns the ranges of bytes that match, sorted and disjoint, or `None` if the message is not
    /// a hit. The list is empty if the query has filters only. Senders and chats are up to the
    /// caller.
    pub fn highlights(
        &self,
        content: &str,
        traits: MessageTraits,
        sent_at: Timestamp,
    ) -> Option<Vec<Range<usize>>> {
        let has_all = self.has.iter().all(|has| Feature::of(content, traits).any(|feature| feature == *has));
        if !has_all || !self.is_in_time(sent_at) {
            return None;
        }
        self.word_highlights(content)
    }

    /// Returns whether a time is in the time of the query.
    pub(super) fn is_in_time(&self, at: Timestamp) -> bool {
        self.after.is_none_or(|after| at >= after) && self.before.is_none_or(|before| at < before)
    }

    /// Returns the ranges of bytes that match the words and phrases, sorted and disjoint; `None` if
    /// any of them is missing or excluded.
    pub(super) fn word_highlights(&self, content: &str) -> Option<Vec<Range<usize>>> {
        let atoms = atoms(content);
        if self.excluded.iter().any(|pattern| pattern.matches(&atoms).next().is_some()) {
            return None;
        }
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for pattern in &self.wanted {
            let before = ranges.len();
            ranges.extend(pattern.matches(&atoms).take(HIGHLIGHTS_MAX));
            if ranges.len() == before {
                return None;
            }
        }
        Some(united(ranges))
    }
}

/// Sorts ranges, and unites those that overlap or touch.
fn united(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_unstable_by_key(|range| (range.start, range.end));
    let mut united: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match united.last_mut().filter(|last| range.start <= last.end) {
            Some(last) => last.end = last.end.max(range.end),
            None => united.push(range),
        }
    }
    united
}

impl Pattern {
    /// Returns the ranges of the text that match.
    pub(super) fn matches<'a>(&'a self, atoms: &'a [Atom]) -> impl Iterator<Item = Range<usize>> + 'a {
        let windows = atoms.windows(self.atoms.len().max(1)).filter(move |window| self.matches_at(window));
        windows.filter_map(|window| Some(window.first()?.at.start..window.last()?.at.end))
    }

    fn matches_at(&self, window: &[Atom]) -> bool {
        let pairs = || self.atoms.iter().zip(window).enumerate();
        pairs().all(|(at, (own, found))| {
            let is_adjacent = at == 0 || !own.joined || found.joined;
            is_adjacent && self.is_alike(at, own, found)
        })
    }

    fn is_alike(&self, at: usize, own: &Atom, found: &Atom) -> bool {
        let AtomKind::Word { text: wanted, .. } = &own.kind else { return own.kind == found.kind };
        let AtomKind::Word { text, parts } = &found.kind else { return false };
        let is_prefix = self.is_prefix(at);
        let fits = |text: &String| if is_prefix { text.starts_with(wanted) } else { text == wanted };
        fits(text) || (self.atoms.len() == 1 && parts.iter().any(fits))
    }
}
