//! Object ids and commits as people see them.
//!
//! What a commit says about itself was written by strangers: texts are cut, times are brought into the range that can
//! be printed, bytes that are not UTF-8 become U+FFFD. Control characters stay; JSON escapes them.

use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::budget::json_bytes;
use crate::domain::timestamp::Timestamp;

/// A commit message or a tag message beyond this is cut.
const MESSAGE_BYTES_MAX: usize = 16 * 1024;
/// One line of text: a summary, a name, an address.
const LINE_BYTES_MAX: usize = 1024;
/// Parents listed; a merge of more is somebody's joke.
const PARENTS_MAX: usize = 64;

/// A full object id; lower-case hex in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ToSchema)]
#[schema(value_type = String)]
pub struct Oid(git2::Oid);

impl Oid {
    /// 40 hex digits; nothing shorter is completed.
    pub fn parse(hex: &str) -> Option<Self> {
        let full = hex.len() == 40 && hex.bytes().all(|b| b.is_ascii_hexdigit());
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
    pub(super) fn of(signature: &git2::Signature<'_>) -> Self {
        Self { name: line(signature.name_bytes()), email: line(signature.email_bytes()) }
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
    /// What its texts take in JSON.
    pub(super) fn json_bytes(&self) -> usize {
        let texts = [&self.summary, &self.author.name, &self.author.email];
        texts.into_iter().map(|text| json_bytes(text.as_bytes())).fold(0, usize::saturating_add)
    }

    pub(super) fn of(commit: &git2::Commit<'_>) -> Self {
        Self {
            oid: commit.id().into(),
            summary: summary(commit),
            author: Person::of(&commit.author()),
            committed_at: time(commit.time()),
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
    /// Whether the message is longer than 16 KiB and was cut.
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
    /// What its texts take in JSON.
    pub(super) fn json_bytes(&self) -> usize {
        let people = [&self.author, &self.committer];
        let people = people.into_iter().flat_map(|person| [&person.name, &person.email]);
        let texts = people.chain([&self.summary, &self.message]);
        texts.map(|text| json_bytes(text.as_bytes())).fold(0, usize::saturating_add)
    }

    pub(super) fn of(commit: &git2::Commit<'_>) -> Self {
        let (author, committer) = (commit.author(), commit.committer());
        let (message, message_truncated) = message(commit.message_bytes());
        Self {
            oid: commit.id().into(),
            summary: summary(commit),
            message,
            message_truncated,
            author: Person::of(&author),
            authored_at: time(author.when()),
            committer: Person::of(&committer),
            committed_at: time(committer.when()),
            parents: commit.parent_ids().take(PARENTS_MAX).map(Oid::from).collect(),
        }
    }
}

pub(super) fn summary(commit: &git2::Commit<'_>) -> String {
    line(commit.summary_bytes().unwrap_or_default())
}

/// A message and whether it was cut.
pub(super) fn message(bytes: &[u8]) -> (String, bool) {
    cut(bytes, MESSAGE_BYTES_MAX)
}

/// One line of a stranger's text.
pub(in crate::git) fn line(bytes: &[u8]) -> String {
    cut(bytes, LINE_BYTES_MAX).0
}

/// The first `max` bytes as text, not ending within a character.
fn cut(bytes: &[u8], max: usize) -> (String, bool) {
    let Some(mut head) = bytes.get(..max).filter(|_| bytes.len() > max) else {
        return (String::from_utf8_lossy(bytes).into_owned(), false);
    };
    // At most three bytes of a character can be left over at the end.
    for back in 1..=3 {
        if let Some((before, rest)) = head.len().checked_sub(back).and_then(|at| head.split_at_checked(at))
            && std::str::from_utf8(rest).is_err_and(|error| error.error_len().is_none())
        {
            head = before;
            break;
        }
    }
    (String::from_utf8_lossy(head).into_owned(), true)
}

/// Git's times are any 64-bit number of seconds; ours can be printed.
pub(super) fn time(time: git2::Time) -> Timestamp {
    seconds(time.seconds())
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
    fn a_cut_does_not_fall_into_a_character() {
        assert_eq!(cut("abc".as_bytes(), 3), ("abc".to_owned(), false));
        assert_eq!(cut("aé€😀x".as_bytes(), 2), ("a".to_owned(), true));
        assert_eq!(cut("aé€😀x".as_bytes(), 5), ("aé".to_owned(), true));
        assert_eq!(cut("aé€😀x".as_bytes(), 9), ("aé€".to_owned(), true));
        assert_eq!(cut("aé€😀x".as_bytes(), 10), ("aé€😀".to_owned(), true));
        assert_eq!(cut(b"\xff\xff\xff\xff", 2).0, "\u{fffd}\u{fffd}");
    }

    #[test]
    fn an_absurd_time_is_brought_into_the_printable_range() {
        for seconds in [i64::MIN, i64::MAX, 0] {
            let shown = time(git2::Time::new(seconds, 0)).to_string();
            assert!(shown.parse::<jiff::Timestamp>().is_ok(), "{shown}");
        }
    }
}
