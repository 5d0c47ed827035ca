//! The corpus of complaints about other searches, and properties of any text.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{Candidates, Condition, Excerpt, MessageTraits, SearchQuery, TERM_BYTES_MAX, message_terms};
use crate::domain::ids::{ChatId, UserId};
use crate::domain::timestamp::Timestamp;

const CORPUS: &str = include_str!("corpus.txt");

fn terms(content: &str) -> BTreeSet<String> {
    message_terms(ChatId(1), UserId(2), content, MessageTraits::default()).into_iter().collect()
}

/// Returns whether the index would propose a message with these terms.
fn is_candidate(candidates: &Candidates, terms: &BTreeSet<String>) -> bool {
    let meets = |condition: &Condition| match condition {
        Condition::Term(term) => terms.contains(term),
        Condition::Prefix(prefix) => terms.iter().any(|term| term.starts_with(prefix)),
        Condition::AnyOf(some) => some.iter().any(|term| terms.contains(term)),
    };
    candidates.all.iter().all(meets) && !candidates.none.iter().any(|term| terms.contains(term))
}

/// Returns the highlighted texts if the query finds the content, by its terms and by its text.
fn find(query: &str, content: &str) -> Option<Vec<String>> {
    let query = SearchQuery::parse(query).unwrap();
    if !is_candidate(&query.candidates(), &terms(content)) {
        return None;
    }
    let ranges = query.highlights(content, MessageTraits::default(), Timestamp(0))?;
    Some(ranges.into_iter().map(|range| content[range].to_owned()).collect())
}

#[test]
fn every_query_of_the_corpus_finds_its_content() {
    let mut checked = 0;
    for line in CORPUS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mut columns = line.split(" | ");
        let content = columns.next().unwrap().replace("\\n", "\n");
        for query in columns {
            match query.strip_prefix("! ") {
                Some(query) => assert_eq!(find(query, &content), None, "{query} finds {content}"),
                None => assert!(find(query, &content).is_some(), "{query} does not find {content}"),
            }
            checked += 1;
        }
    }
    assert!(checked > 100, "{checked}");
}

#[test]
fn highlights_are_the_words_that_match() {
    for (query, content, expected) in [
        ("opt", "set sess.opts, opts", vec!["opts", "opts"]),
        ("sess.opt", "set sess.opts", vec!["sess.opts"]),
        ("user", "getUserName and user", vec!["getUserName", "user"]),
        ("\"is full\" disk", "the disk is full", vec!["disk", "is full"]),
        ("东京 京都", "在东京都", vec!["东京都"]),
        ("muller", "Herr Mu\u{308}ller", vec!["Mu\u{308}ller"]),
        ("from:me", "anything", vec![]),
    ] {
        assert_eq!(find(query, content).unwrap(), expected, "{query}");
    }
}

#[test]
fn filters_of_time_are_half_open() {
    let query = SearchQuery::parse("x after:2026-11-24 before:2026-11-25").unwrap();
    let at = |time: &str| {
        query.highlights("x", MessageTraits::default(), Timestamp::parse(time).unwrap()).is_some()
    };
    assert!(at("2026-11-24T00:00:00Z") && at("2026-11-24T23:59:59.999Z"));
    assert!(!at("2026-11-23T23:59:59.999Z") && !at("2026-11-25T00:00:00Z"));
    let pinned = SearchQuery::parse("is:pinned").unwrap();
    assert!(pinned.highlights("x", MessageTraits { pinned: true, has_files: false }, Timestamp(0)).is_some());
    assert!(pinned.highlights("x", MessageTraits::default(), Timestamp(0)).is_none());
}

proptest! {
    #[test]
    fn terms_are_bounded_and_need_no_quoting(content in "\\PC{0,300}") {
        for term in terms(&content) {
            prop_assert!(term.len() <= 2 * TERM_BYTES_MAX + 2, "{}", term);
            let is_plain = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || c == '.' || c == '=';
            prop_assert!(!term.is_empty() && term.chars().all(is_plain), "{:?}", term);
            prop_assert!(!term.chars().any(char::is_whitespace), "{:?}", term);
        }
    }

    #[test]
    fn every_word_of_a_text_finds_it(
        content in "([a-zA-Z0-9äßé東京👍'’._:/-]{1,12}[ \n]){1,20}", pick in any::<prop::sample::Index>(),
    ) {
        let words: Vec<_> = content.split_whitespace().collect();
        let word = words[pick.index(words.len())];
        for query in [word.to_owned(), word.to_uppercase(), format!("\"{word}\"")] {
            if let Ok(query) = SearchQuery::parse(&format!("\"{}\"", query.replace('"', ""))) {
                prop_assert!(is_candidate(&query.candidates(), &terms(&content)), "{} in {}", word, content);
                prop_assert!(query.highlights(&content, MessageTraits::default(), Timestamp(0)).is_some(), "{} in {}", word, content);
            }
        }
    }

    #[test]
    fn any_query_and_content_are_handled(query in "\\PC{0,80}", content in "\\PC{0,600}") {
        if let Ok(query) = SearchQuery::parse(&query) {
            drop(query.candidates());
            if let Some(ranges) = query.highlights(&content, MessageTraits { pinned: true, has_files: false }, Timestamp(0)) {
                let excerpt = Excerpt::of(&content, &ranges);
                prop_assert!(excerpt.text.len() <= super::EXCERPT_BYTES_MAX);
                let chars = excerpt.text.chars().count();
                prop_assert!(excerpt.highlights.iter().all(|range| range.start <= range.end && range.end <= chars));
            }
        }
    }

    /// A message that matches by its text is always proposed by its terms.
    #[test]
    fn match_of_the_text_is_a_candidate(
        query in "[a-c東京.:\" -]{1,10}", content in "[a-cA-C東京.:'’ \n-]{0,40}",
    ) {
        if let Ok(query) = SearchQuery::parse(&query)
            && query.highlights(&content, MessageTraits::default(), Timestamp(0)).is_some()
        {
            prop_assert!(is_candidate(&query.candidates(), &terms(&content)));
        }
    }
}
