//! Object ids and commits in the form of responses.
//!
//! The contents of a commit are untrusted: texts are truncated, times are clamped to the printable
//! range, bytes that are not UTF-8 become U+FFFD. Control characters are kept; JSON escapes them.

use encoding_rs::Encoding;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::budget::json_bytes;
use super::commit::{Commit, Signature};
use super::text;
use crate::domain::timestamp::Timestamp;

/// Maximum number of listed parents. Merges with more parents do not occur in real histories.
const PARENTS_MAX: usize = 64;

/// A full object id, in JSON as lower-case hex.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ToSchema)]
#[schema(value_type = String)]
pub struct Oid(git2::Oid);

impl Oid {
    pub(in crate::git) const DIGITS: usize = 40;

    /// Parses 40 hex digits. Shorter ids are not completed.
    pub fn parse(hex: &str) -> Option<Self> {
        let full = hex.len() == Self::DIGITS && hex.bytes().all(|b| b.is_ascii_hexdigit());
        full.then(|| git2::Oid::from_str(hex).ok()).flatten().map(Self)
    }

    pub(super) fn raw(self) -> git2::Oid {
        self.0
    }
}

impl From<git2::Oid> for Oid {
    fn from(oid: git2::Oid) -> Self {
        Self(oid)
    }
}

impl std::fmt::Display for Oid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Oid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The author, committer or tagger that a commit or a tag names. Not verified.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Person {
    pub name: String,
    pub email: String,
}

impl Person {
    /// Returns the size of the texts in memory.
    fn text_bytes(&self) -> usize {
        self.name.capacity() + self.email.capacity()
    }

    pub(super) fn of(name: &[u8], email: &[u8], encoding: Option<&'static Encoding>) -> Self {
        Self { name: text::line(name, encoding), email: text::line(email, encoding) }
    }

    fn signed(signature: &Signature<'_>, commit: &Commit) -> Self {
        Self::of(signature.name, signature.email, commit.encoding())
    }
}

/// The one-line summary of a commit.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CommitSummary {
    pub oid: Oid,
    pub summary: String,
    pub author: Person,
    #[schema(value_type = String)]
    pub committed_at: Timestamp,
}

impl CommitSummary {
    /// Returns the size of the texts in memory.
    pub(super) fn text_bytes(&self) -> usize {
        self.summary.capacity() + self.author.text_bytes()
    }

    /// Returns the size of the texts in JSON.
    pub(super) fn json_bytes(&self) -> usize {
        let texts = [&self.summary, &self.author.name, &self.author.email];
        texts.into_iter().map(|text| json_bytes(text.as_bytes())).fold(0, usize::saturating_add)
    }

    pub(super) fn of(commit: &Commit) -> Self {
        Self {
            oid: commit.oid.into(),
            summary: commit.summary(),
            author: Person::signed(&commit.author(), commit),
            committed_at: seconds(commit.seconds),
        }
    }
}

/// A commit, without its changes.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CommitView {
    pub oid: Oid,
    /// The first paragraph of the message as one line.
    pub summary: String,
    pub message: String,
    /// Whether the message was truncated: it is longer than 16 KiB, or the commit is larger than
    /// the part that is read.
    pub message_truncated: bool,
    pub author: Person,
    #[schema(value_type = String)]
    pub authored_at: Timestamp,
    pub committer: Person,
    #[schema(value_type = String)]
    pub committed_at: Timestamp,
    /// At most the first 64.
    pub parents: Vec<Oid>,
}

impl CommitView {
    /// Returns the size of the texts and of the parents' ids in memory.
    pub(super) fn text_bytes(&self) -> usize {
        let texts = self.summary.capacity() + self.message.capacity();
        let people = self.author.text_bytes() + self.committer.text_bytes();
        texts + people + self.parents.capacity() * size_of::<Oid>()
    }

    /// Returns the size of the texts in JSON.
    pub(super) fn json_bytes(&self) -> usize {
        let people = [&self.author, &self.committer];
        let people = people.into_iter().flat_map(|person| [&person.name, &person.email]);
        let texts = people.chain([&self.summary, &self.message]);
        texts.map(|text| json_bytes(text.as_bytes())).fold(0, usize::saturating_add)
    }

    pub(super) fn of(commit: &Commit) -> Self {
        let (author, committer) = (commit.author(), commit.committer());
        let (message, message_truncated) = commit.message();
        Self {
            oid: commit.oid.into(),
            summary: commit.summary(),
            message,
            message_truncated,
            author: Person::signed(&author, commit),
            authored_at: seconds(author.seconds),
            committer: Person::signed(&committer, commit),
            committed_at: seconds(committer.seconds),
            parents: commit.parents.iter().copied().take(PARENTS_MAX).map(Oid::from).collect(),
        }
    }

    /// Returns a commit whose texts are too large to be read.
    pub(super) fn without_texts(oid: git2::Oid, committed_at: i64, parents: Vec<git2::Oid>) -> Self {
        let unnamed = || Person { name: String::new(), email: String::new() };
        Self {
            oid: oid.into(),
            summary: String::new(),
            message: String::new(),
            message_truncated: true,
            author: unnamed(),
            authored_at: seconds(committed_at),
            committer: unnamed(),
            committed_at: seconds(committed_at),
            parents: parents.into_iter().take(PARENTS_MAX).map(Oid::from).collect(),
        }
    }
}

/// Converts seconds since 1970 to a timestamp, clamped to the printable range.
pub(in crate::git) fn seconds(seconds: i64) -> Timestamp {
    let (min, max) = (jiff::Timestamp::MIN.as_second(), jiff::Timestamp::MAX.as_second());
    Timestamp(seconds.clamp(min, max).saturating_mul(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oid_accepts_only_forty_hex_digits() {
        let hex = "0123456789abcdef0123456789ABCDEF01234567";
        assert_eq!(Oid::parse(hex).unwrap().to_string(), hex.to_lowercase());
        for bad in ["", "0123456", &hex[1..], &format!("{hex}0"), &hex.replace('0', "+"), "HEAD"] {
            assert_eq!(Oid::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn seconds_are_clamped_to_the_printable_range() {
        for at in [i64::MIN, i64::MAX, 0] {
            let shown = seconds(at).to_string();
            assert!(shown.parse::<jiff::Timestamp>().is_ok(), "{shown}");
        }
    }
}
