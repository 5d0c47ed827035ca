//! The search for messages: how a text is divided into terms, and what a query means.
//!
//! * `fold` makes texts equal that differ only in case, width, accents or composition.
//! * `tokens` divides a text into atoms, and lists the terms of a message for the index.
//! * `query` parses a query, and lists the conditions that the index can check.
//! * `matching` compares a query with the content of a message.
//! * `excerpt` cuts the part of a content that a result shows.
//!
//! Invariant: the index only proposes candidates. A message is a hit if [`SearchQuery::highlights`]
//! accepts its current content. All functions are pure, and queries and messages are divided by the
//! same function, so an index of another [`VERSION`] is built again.

mod conditions;
#[cfg(test)]
mod corpus_test;
mod excerpt;
mod fold;
mod matching;
mod parse;
mod query;
mod tokens;

pub use self::conditions::{Candidates, Condition};
pub use self::excerpt::{EXCERPT_BYTES_MAX, Excerpt};
pub use self::query::{ChatName, Feature, PersonName, QUERY_BYTES_MAX, QUERY_ITEMS_MAX, SearchQuery};
pub use self::tokens::{TERM_BYTES_MAX, TERMS_PER_TEXT_MAX, chat_term, message_terms, sender_term};

/// The version of the terms. A change of the terms of any text needs another version.
pub const VERSION: i64 = 1;
