//! Queries: the words to find, and the filters.

use super::code::{Literal, PathFilter};
use super::languages::Language;
use super::tokens::Atom;
use crate::domain::ids::ChatId;
use crate::domain::timestamp::Timestamp;

/// Maximum size of a query, in bytes of UTF-8.
pub const QUERY_BYTES_MAX: usize = 256;
/// Maximum number of words, phrases and filters of a query.
pub const QUERY_ITEMS_MAX: usize = 16;
/// Maximum number of words, characters and symbols in all words and phrases together: each place of
/// a content is compared with them.
pub(super) const QUERY_ATOMS_MAX: usize = 96;

/// A parsed query.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SearchQuery {
    /// All of them must match.
    pub(super) wanted: Vec<Pattern>,
    /// None of them may match.
    pub(super) excluded: Vec<Pattern>,
    /// The sender is any of these users; empty: any user.
    pub from: Vec<PersonName>,
    /// The message is in any of these chats; empty: in any chat.
    pub chats: Vec<ChatName>,
    pub before: Option<Timestamp>,
    pub after: Option<Timestamp>,
    pub(super) has: Vec<Feature>,
    /// The repositories are any of these, in lower case: `user/project/name`, or the end of it.
    pub repositories: Vec<String>,
    /// The path of the file is any of these.
    pub(super) paths: Vec<PathFilter>,
    /// The language of the file is any of these.
    pub(super) languages: Vec<&'static Language>,
    /// The words and phrases as they are written, for files.
    pub(super) literals: Vec<Literal>,
    pub(super) excluded_literals: Vec<Literal>,
    /// The words as text, if the query has nothing but plain words: the beginning of a user's name.
    pub plain: Option<String>,
}

/// Atoms that must follow each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    /// At least one. `joined` of the first atom of a word has no meaning and is `false`.
    pub(super) atoms: Vec<Atom>,
    /// The last atom may be the beginning of a word: the user may still be typing it.
    pub(super) is_open: bool,
}

/// A user in a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PersonName {
    /// The user who searches.
    Me,
    Username(String),
}

/// A chat in a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChatName {
    Id(ChatId),
    /// The [key](crate::domain::chat::channel_key) of the name of a group or channel.
    Named(String),
    /// The direct chat with this user.
    With(String),
}

/// Properties of a message beside its content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MessageTraits {
    pub pinned: bool,
    pub has_files: bool,
}

/// A property of messages that the index knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    Link,
    Code,
    File,
    Pinned,
}

impl Feature {
    /// Returns the features of a message.
    pub fn of(content: &str, traits: MessageTraits) -> impl Iterator<Item = Self> {
        let features = [
            (Self::Link, content.contains("https://") || content.contains("http://")),
            (Self::Code, content.contains('`')),
            (Self::File, traits.has_files),
            (Self::Pinned, traits.pinned),
        ];
        features.into_iter().filter_map(|(feature, is_there)| is_there.then_some(feature))
    }

    /// Returns the term that all messages with the feature have.
    pub fn term(self) -> &'static str {
        match self {
            Self::Link => "=link",
            Self::Code => "=code",
            Self::File => "=file",
            Self::Pinned => "=pinned",
        }
    }
}
