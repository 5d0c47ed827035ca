//! The search: how a text is divided into terms, and what a query means.
//!
//! * `fold` makes texts equal that differ only in case, width, accents or composition.
//! * `tokens` divides a text into atoms, and lists the terms of a message for the index.
//! * `query` parses a query, and lists the conditions that the index can check.
//! * `matching` compares a query with the content of a message.
//! * `excerpt` cuts the part of a content that a result shows.
//! * `code` compares a query with the text of a file, `languages` with its name.
//! * `commits` compares a query with a commit.
//! * `group` decides which groups of results a query can be searched in.
//!
//! Invariant: the index only proposes candidates. A message is a hit if [`SearchQuery::highlights`]
//! accepts its current content. All functions are pure, and queries and messages are divided by the
//! same function, so an index of another [`VERSION`] is built again.

mod code;
mod commits;
mod conditions;
#[cfg(test)]
mod corpus_test;
mod excerpt;
mod fold;
mod group;
mod languages;
mod matching;
mod parse;
mod query;
mod tokens;

pub use self::code::{
    CODE_TERM_BYTES_MIN, CodeTerms, DENSE_TERM, FileMatch, MatchedLine, code_terms, repository_term,
};
pub use self::commits::{CommitAuthor, CommitText, commit_terms};
pub use self::conditions::{Candidates, Condition};
pub use self::excerpt::{EXCERPT_BYTES_MAX, Excerpt};
pub use self::group::SearchGroup;
pub use self::query::{
    ChatName, Feature, MessageTraits, PersonName, QUERY_BYTES_MAX, QUERY_ITEMS_MAX, SearchQuery,
};
pub use self::tokens::{TERM_BYTES_MAX, TERMS_PER_TEXT_MAX, chat_term, message_terms, sender_term};

/// The version of the terms. A change of the terms of any text needs another version.
pub const VERSION: i64 = 2;
