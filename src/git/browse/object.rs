//! Object ids and commits as people see them.
//!
//! What a commit says about itself was written by strangers: texts are cut, times are brought into the range that can
//! be printed, bytes that are not UTF-8 become U+FFFD. Control characters stay; JSON escapes them.

use encoding_rs::Encoding;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::budget::json_bytes;
use super::commit::{Commit, Signature};
use super::text;
use crate::domain::timestamp::Timestamp;

/// Parents listed; a merge of more is somebody's joke.
const PARENTS_MAX: usize = 64;

/// A full object id; lower-case hex in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ToSchema)]
#[schema(value_type = String)]
pub struct Oid(git2::Oid);

impl Oid {
    pub(super) const DIGITS: usize = 40;

    /// 40 hex digits; nothing shorter is completed.
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

/// Who a commit or a tag says it is from. Nobody has proved it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Person {
    pub name: String,
    pub email: String,
}

impl Person {
    /// What its texts take in memory.
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

/// A commit in one line.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CommitSummary {
    pub oid: Oid,
    pub summary: String,
    pub author: Person,
    #[schema(value_type = String)]
    pub committed_at: Timestamp,
}

impl CommitSummary {
    /// What its texts take in memory.
    pub(super) fn text_bytes(&self) -> usize {
        self.summary.capacity() + self.author.text_bytes()
    }

    /// What its texts take in JSON.
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

/// A commit without its changes.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CommitView {
    pub oid: Oid,
    /// The first paragraph of the message in one line.
    pub summary: String,
    pub message: String,
    /// Whether the message is longer than 16 KiB, or the commit than what is read of it, and was cut.
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
    /// What its texts and the ids of its parents take in memory.
    pub(super) fn text_bytes(&self) -> usize {
        let texts = self.summary.capacity() + self.message.capacity();
        let people = self.author.text_bytes() + self.committer.text_bytes();
        texts + people + self.parents.capacity() * size_of::<Oid>()
    }

    /// What its texts take in JSON.
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

    /// A commit whose texts take too much to be read.
    pub(super) fn without_texts(oid: git2::Oid, committed_at: i64, parents: Vec<git2::Oid>) -> Self {
        let nobody = || Person { name: String::new(), email: String::new() };
        Self {
            oid: oid.into(),
            summary: String::new(),
            message: String::new(),
            message_truncated: true,
            author: nobody(),
            authored_at: seconds(committed_at),
            committer: nobody(),
            committed_at: seconds(committed_at),
            parents: parents.into_iter().take(PARENTS_MAX).map(Oid::from).collect(),
        }
    }
}

/// Seconds since 1970, brought into the range that can be printed.
pub(in crate::git) fn seconds(seconds: i64) -> Timestamp {
    let (min, max) = (jiff::Timestamp::MIN.as_second(), jiff::Timestamp::MAX.as_second());
    Timestamp(seconds.clamp(min, max).saturating_mul(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_forty_hex_digits_and_nothing_else() {
        let hex = "0123456789abcdef0123456789ABCDEF01234567";
        assert_eq!(Oid::parse(hex).unwrap().to_string(), hex.to_lowercase());
        for bad in ["", "0123456", &hex[1..], &format!("{hex}0"), &hex.replace('0', "+"), "HEAD"] {
            assert_eq!(Oid::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_absurd_time_is_brought_into_the_printable_range() {
        for at in [i64::MIN, i64::MAX, 0] {
            let shown = seconds(at).to_string();
            assert!(shown.parse::<jiff::Timestamp>().is_ok(), "{shown}");
        }
    }
}
