//! Conditions: the part of a query that the index can check.

use super::query::{Pattern, SearchQuery};
use super::tokens::{Atom, AtomKind, bigram, pair};

/// Shorter beginnings are compared as whole words: too many words begin with them.
const PREFIX_CHARS_MIN: usize = 3;

/// A condition for the terms of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// The message has this term.
    Term(String),
    /// The message has a term that begins so.
    Prefix(String),
    /// The message has any of these terms. Empty: the condition is never met.
    AnyOf(Vec<String>),
}

/// Conditions that every hit of a query meets. Messages that meet them may still be no hits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Candidates {
    pub all: Vec<Condition>,
    /// Terms of which a hit has none.
    pub none: Vec<String>,
}

impl SearchQuery {
    /// Returns the conditions of the words and features. Those of senders and chats are up to the
    /// caller, who knows their ids.
    pub fn candidates(&self) -> Candidates {
        let mut candidates = Candidates::default();
        for condition in self.wanted.iter().flat_map(Pattern::conditions) {
            if !candidates.all.contains(&condition) {
                candidates.all.push(condition);
            }
        }
        candidates.all.extend(self.has.iter().map(|has| Condition::Term(has.term().to_owned())));
        for pattern in &self.excluded {
            // Terms show the order of at most two atoms: other patterns are compared with the
            // content only.
            if let [Condition::Term(term)] = pattern.conditions().as_slice()
                && pattern.atoms.len() == 1
            {
                candidates.none.push(term.clone());
            }
        }
        candidates
    }
}

impl Pattern {
    pub(super) fn conditions(&self) -> Vec<Condition> {
        let mut conditions = Vec::new();
        for (at, atom) in self.atoms.iter().enumerate() {
            let next = self.atoms.get(at + 1);
            let is_prefix = self.is_prefix(at);
            let before = at.checked_sub(1).and_then(|at| self.atoms.get(at)).filter(|_| atom.joined);
            let after = next.filter(|next| next.joined);
            match &atom.kind {
                AtomKind::Word { text, .. } => match before.and_then(Atom::word) {
                    Some(before) if is_prefix => conditions.push(Condition::Prefix(pair(before, text))),
                    Some(before) => conditions.push(Condition::Term(pair(before, text))),
                    // Implied by the pair that follows.
                    None if after.is_some_and(|after| after.word().is_some()) => {}
                    None if is_prefix => conditions.push(Condition::Prefix(text.clone())),
                    None => conditions.push(Condition::Term(text.clone())),
                },
                AtomKind::Unspaced(c) => match before.and_then(Atom::unspaced) {
                    Some(before) => conditions.push(Condition::Term(bigram(before, *c))),
                    None if after.is_some_and(|after| after.unspaced().is_some()) => {}
                    None => conditions.push(Condition::Term(String::from(*c))),
                },
                AtomKind::Symbol(c) => conditions.push(Condition::Term(String::from(*c))),
            }
        }
        conditions
    }

    /// Returns whether the atom at this position may be the beginning of a longer word.
    pub(super) fn is_prefix(&self, at: usize) -> bool {
        let Some(atom) = self.atoms.get(at).filter(|_| self.is_open && at + 1 == self.atoms.len()) else {
            return false;
        };
        let before = at.checked_sub(1).and_then(|at| self.atoms.get(at)).filter(|_| atom.joined);
        let is_in_pair = before.is_some_and(|before| before.word().is_some());
        atom.word().is_some_and(|word| is_in_pair || word.chars().count() >= PREFIX_CHARS_MIN)
    }
}
