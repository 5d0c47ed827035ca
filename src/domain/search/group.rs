//! The groups of results, and the queries that each of them can answer.

use super::query::SearchQuery;

/// A group of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SearchGroup {
    Messages,
    Code,
    Commits,
    People,
}

impl SearchGroup {
    pub const ALL: [Self; 4] = [Self::Messages, Self::Code, Self::Commits, Self::People];

    /// Returns the name in addresses and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Code => "code",
            Self::Commits => "commits",
            Self::People => "people",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|group| group.name() == name)
    }
}

impl SearchQuery {
    /// Returns the reason why the query cannot be searched in a group; `None`: it can.
    pub fn refusal(&self, group: SearchGroup) -> Option<&'static str> {
        let is_about_chats = !self.chats.is_empty() || !self.has.is_empty();
        let is_about_files = !self.paths.is_empty() || !self.languages.is_empty();
        let is_about_time = self.before.is_some() || self.after.is_some();
        let is_about_repositories = !self.repositories.is_empty();
        match group {
            SearchGroup::Messages if is_about_files || is_about_repositories => {
                Some("cannot have repo:, path: or lang: in messages, only in code and commits")
            }
            SearchGroup::Messages if self.wanted.is_empty() && self.from.is_empty() && !is_about_chats => {
                Some("must have a word to search for, or a filter: from:, in:, has: or is:")
            }
            SearchGroup::Code if is_about_chats || is_about_time || !self.from.is_empty() => {
                Some("cannot have from:, in:, before:, after:, has: or is: in code")
            }
            SearchGroup::Code if !self.literals.iter().any(super::code::Literal::is_long) => {
                Some("must have a word of at least 3 characters to search for in code")
            }
            SearchGroup::Commits if is_about_chats || is_about_files => {
                Some("cannot have in:, has:, is:, path: or lang: in commits")
            }
            SearchGroup::Commits
                if self.wanted.is_empty() && self.from.is_empty() && !is_about_repositories =>
            {
                Some("must have a word to search for in commits, or a filter: from: or repo:")
            }
            SearchGroup::Messages | SearchGroup::Code | SearchGroup::Commits | SearchGroup::People => None,
        }
    }

    /// Returns why no group but that of users can be searched; `None`: at least one can.
    pub(super) fn refusal_everywhere(&self) -> Option<&'static str> {
        let groups = [SearchGroup::Code, SearchGroup::Commits, SearchGroup::Messages];
        let mut refusals = groups.into_iter().map(|group| self.refusal(group));
        let (code, commits, _) = (refusals.next()??, refusals.next()??, refusals.next()??);
        let is_about_files = !self.paths.is_empty() || !self.languages.is_empty();
        Some(if is_about_files {
            code
        } else if self.repositories.is_empty() {
            "must have a word to search for, or a filter: from:, in:, has:, is: or repo:"
        } else {
            commits
        })
    }
}
