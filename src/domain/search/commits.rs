//! The search in commits: words of messages and names of authors.

use std::ops::Range;

use super::code::repository_term;
use super::conditions::{Candidates, Condition};
use super::query::{Pattern, PersonName, SearchQuery};
use super::tokens::{atoms, text_terms};
use crate::domain::ids::RepositoryId;
use crate::domain::timestamp::Timestamp;

/// The author of a commit in a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitAuthor(Vec<Pattern>);

impl CommitAuthor {
    /// Returns the author of these names, of which any may be that of the commit. Names without a
    /// word are left out.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let pattern = |name: &str| {
            let atoms = atoms(name);
            (!atoms.is_empty()).then_some(Pattern { atoms, is_open: false })
        };
        Self(names.into_iter().filter_map(pattern).collect())
    }

    /// Returns the conditions of the name for the index of commits, if there is only one name.
    pub fn conditions(&self) -> Vec<Condition> {
        match self.0.as_slice() {
            [name] => name.conditions(),
            _ => Vec::new(),
        }
    }

    fn is_in(&self, text: &CommitText<'_>) -> bool {
        let (name, address) = (atoms(text.author), atoms(text.local_part()));
        self.0.iter().any(|pattern| {
            pattern.matches(&name).next().is_some() || pattern.matches(&address).next().is_some()
        })
    }
}

/// The texts of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitText<'a> {
    pub message: &'a str,
    pub author: &'a str,
    pub email: &'a str,
    pub committed_at: Timestamp,
}

impl CommitText<'_> {
    /// Returns the part of the author's address before the `@`.
    fn local_part(&self) -> &str {
        self.email.split('@').next().unwrap_or_default()
    }

    /// Returns the text that words are found in. It begins with the message.
    fn words(&self) -> String {
        format!("{}\n\n{}\n\n{}", self.message, self.author, self.local_part())
    }
}

impl SearchQuery {
    /// Returns the conditions of the words for the index of commits.
    pub fn commit_candidates(&self) -> Candidates {
        self.candidates()
    }

    /// Returns the names of the authors in the query, with `None` for the user who searches.
    pub fn author_names(&self) -> impl Iterator<Item = Option<&str>> {
        self.from.iter().map(|name| match name {
            PersonName::Me => None,
            PersonName::Username(name) => Some(name.as_str()),
        })
    }

    /// Returns the ranges of bytes of the message that match, sorted and disjoint, or `None` if the
    /// commit is not a hit. `author` is that of the query, if it names any.
    pub fn commit_highlights(
        &self,
        text: &CommitText<'_>,
        author: Option<&CommitAuthor>,
    ) -> Option<Vec<Range<usize>>> {
        if !self.is_in_time(text.committed_at) || author.is_some_and(|author| !author.is_in(text)) {
            return None;
        }
        let mut ranges = self.word_highlights(&text.words())?;
        ranges.retain(|range| range.end <= text.message.len());
        Some(ranges)
    }
}

/// Returns the terms of a commit, sorted.
pub fn commit_terms(repository: RepositoryId, text: &CommitText<'_>) -> Vec<String> {
    let mut terms = text_terms(&text.words());
    terms.insert(repository_term(repository));
    terms.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: CommitText<'_> = CommitText {
        message: "parser: keep `sess.opts`\n\nThe cause was a race.",
        author: "Ada Lovelace",
        email: "countess@example.org",
        committed_at: Timestamp(1_000),
    };

    fn is_found(query: &str) -> bool {
        let query = SearchQuery::parse(query).unwrap();
        let names: Vec<_> = query.author_names().map(|name| name.unwrap_or("ada")).collect();
        let author = CommitAuthor::of(names.iter().copied());
        let author = (!names.is_empty()).then_some(&author);
        let terms = commit_terms(RepositoryId(3), &TEXT);
        let found = query.commit_highlights(&TEXT, author).is_some();
        for condition in query.commit_candidates().all.iter().filter(|_| found) {
            let has = match condition {
                super::super::Condition::Term(term) => terms.contains(term),
                super::super::Condition::Prefix(prefix) => terms.iter().any(|term| term.starts_with(prefix)),
                super::super::Condition::AnyOf(_) => false,
            };
            assert!(has, "{condition:?}");
        }
        found
    }

    #[test]
    fn commit_is_found_by_its_words_and_author() {
        for query in ["parser", "sess.opts", "race ada", "countess", "from:lovelace parser", "from:me race"] {
            assert!(is_found(query), "{query}");
        }
        for query in ["parser -race", "from:bob parser", "from:countes parser", "parser after:2026-01-01"] {
            assert!(!is_found(query), "{query}");
        }
    }

    #[test]
    fn highlights_are_in_the_message() {
        let query = SearchQuery::parse("race ada").unwrap();
        let ranges = query.commit_highlights(&TEXT, None).unwrap();
        assert_eq!(ranges.iter().map(|range| &TEXT.message[range.clone()]).collect::<Vec<_>>(), ["race"]);
    }
}
