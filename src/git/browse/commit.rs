//! Parses a commit from its bytes.
//!
//! libgit2 loads a commit of any size completely, and rejects the whole commit for one malformed
//! line. This module reads at most [`super::BrowseLimits::commit_bytes`]. A larger commit, stored
//! before pushes were checked, is truncated, and its ancestors stay reachable. Bytes without a tree
//! and a committer are not a commit.

use std::ops::Range;

use encoding_rs::Encoding;
use git2::{ObjectType, Oid};

use super::{BrowseError, Browser, PARENTS_MAX, text};

/// A parsed commit.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Commit {
    pub(super) oid: Oid,
    pub(super) tree: Oid,
    /// At most [`PARENTS_MAX`].
    pub(super) parents: Vec<Oid>,
    pub(super) has_more_parents: bool,
    /// The committer date, by which histories are ordered.
    pub(super) seconds: i64,
    bytes: Vec<u8>,
    author: Range<usize>,
    committer: Range<usize>,
    message: Range<usize>,
    encoding: Option<&'static Encoding>,
    is_cut: bool,
}

/// A name, an address and a date, as a commit line contains them.
pub(super) struct Signature<'c> {
    pub(super) name: &'c [u8],
    pub(super) email: &'c [u8],
    pub(super) seconds: i64,
}

impl Browser {
    pub(super) fn find_commit(&self, oid: Oid) -> Result<Commit, BrowseError> {
        let stored = self.stored(oid, ObjectType::Commit.str())?;
        if stored.kind != ObjectType::Commit {
            return Err(BrowseError::NotFound(ObjectType::Commit.str()));
        }
        let max = self.limits.commit_bytes;
        let (bytes, is_cut) = if stored.bytes <= max {
            self.charge(&stored)?;
            (self.load(oid, "commit")?, false)
        } else {
            self.charge(&stored.first(max))?;
            (self.first_bytes(oid, max)?, true)
        };
        let broken = || BrowseError::Failed(git2::Error::from_str("a commit is malformed"));
        Commit::parse(oid, bytes, is_cut).ok_or_else(broken)
    }
}

impl Commit {
    fn parse(oid: Oid, bytes: Vec<u8>, is_cut: bool) -> Option<Self> {
        let mut at = 0;
        let mut line = || {
            let rest = bytes.get(at..).filter(|rest| !rest.is_empty())?;
            let length = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
            let range = at..at.saturating_add(length);
            at = range.end.saturating_add(1);
            Some(range)
        };
        let value = |range: &Range<usize>, key: &[u8]| {
            let value = bytes.get(range.clone())?.strip_prefix(key)?.strip_prefix(b" ")?;
            Some(range.end.saturating_sub(value.len())..range.end)
        };
        let id = |range: Range<usize>| {
            let hex = std::str::from_utf8(bytes.get(range)?).ok()?;
            (hex.len() == 40).then(|| Oid::from_str(hex).ok()).flatten()
        };
        let tree = id(value(&line()?, b"tree")?)?;
        let (mut parents, mut has_more_parents) = (Vec::new(), false);
        let (mut author, mut committer, mut encoding) = (None, None, None);
        // git reads parents only directly after the tree.
        let mut among_parents = true;
        let mut message = bytes.len()..bytes.len();
        while let Some(range) = line() {
            if range.is_empty() {
                // libgit2 and git omit the empty lines before a message.
                let begin = bytes.get(range.end..)?.iter().position(|byte| *byte != b'\n');
                message = begin.map_or(bytes.len(), |begin| range.end.saturating_add(begin))..bytes.len();
                break;
            }
            let parent = value(&range, b"parent");
            among_parents &= parent.is_some();
            if let Some(parent) = parent {
                let Some(parent) = id(parent).filter(|_| among_parents) else { continue };
                if parents.len() < PARENTS_MAX {
                    parents.push(parent);
                } else {
                    has_more_parents = true;
                }
            } else if let Some(found) = value(&range, b"author") {
                author.get_or_insert(found);
            } else if let Some(found) = value(&range, b"committer") {
                committer.get_or_insert(found);
            } else if let Some(found) = value(&range, b"encoding") {
                encoding = encoding.or_else(|| text::encoding(bytes.get(found)?));
            }
        }
        let committer = committer?;
        let author = author.unwrap_or(0..0);
        let seconds = Signature::of(bytes.get(committer.clone())?).seconds;
        Some(Self {
            oid,
            tree,
            parents,
            has_more_parents,
            seconds,
            author,
            committer,
            message,
            encoding,
            is_cut,
            bytes,
        })
    }

    fn slice(&self, range: &Range<usize>) -> &[u8] {
        self.bytes.get(range.clone()).unwrap_or_default()
    }

    pub(super) fn author(&self) -> Signature<'_> {
        Signature::of(self.slice(&self.author))
    }

    pub(super) fn committer(&self) -> Signature<'_> {
        Signature::of(self.slice(&self.committer))
    }

    /// Returns the encoding of the commit's texts; `None` for UTF-8.
    pub(super) fn encoding(&self) -> Option<&'static Encoding> {
        self.encoding
    }

    /// Returns the first paragraph of the message as one line.
    pub(super) fn summary(&self) -> String {
        text::line(&text::paragraph(self.slice(&self.message)), self.encoding)
    }

    /// Returns the message and whether it was truncated.
    pub(super) fn message(&self) -> (String, bool) {
        let (message, is_cut) = text::message(self.slice(&self.message), self.encoding);
        (message, is_cut || self.is_cut)
    }
}

impl<'c> Signature<'c> {
    /// Parses `Name <address> seconds zone`. Missing parts are empty or 0.
    fn of(line: &'c [u8]) -> Self {
        let find = |byte: u8| line.iter().position(|found| *found == byte);
        let (open, last) = (find(b'<'), line.iter().rposition(|byte| *byte == b'>'));
        let name = line.get(..open.unwrap_or(line.len())).unwrap_or_default().trim_ascii();
        let address = line.get(open.map_or(line.len(), |open| open.saturating_add(1))..).unwrap_or_default();
        let email = address.split(|byte| *byte == b'>').next().unwrap_or_default().trim_ascii();
        let date = line.get(last.map_or(line.len(), |last| last.saturating_add(1))..).unwrap_or_default();
        let date = date.trim_ascii_start().split(|byte| *byte == b' ').next().unwrap_or_default();
        let seconds = std::str::from_utf8(date).ok().and_then(|date| date.parse().ok()).unwrap_or(0);
        Self { name, email, seconds }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &[u8]) -> Option<Commit> {
        Commit::parse(Oid::ZERO_SHA1, text.to_vec(), false)
    }

    const TREE: &str = "tree 1111111111111111111111111111111111111111\n";

    #[test]
    fn signature_parses_valid_parts_of_malformed_lines() {
        for (line, name, email, seconds) in [
            ("A U Thor <a@b> 12 +0100", "A U Thor", "a@b", 12),
            ("A <a@b>12 +0100", "A", "a@b", 12),
            ("<> 0 +0000", "", "", 0),
            ("A <a>b> 7 +0000", "A", "a", 7),
            ("A <a@e> 99999999999999999999 +9999", "A", "a@e", 0),
            ("x", "x", "", 0),
            ("A <a -5", "A", "a -5", 0),
        ] {
            let found = Signature::of(line.as_bytes());
            assert_eq!(
                (found.name, found.email, found.seconds),
                (name.as_bytes(), email.as_bytes(), seconds),
                "{line}"
            );
        }
    }

    #[test]
    fn commit_without_tree_or_committer_is_rejected() {
        assert!(parse(format!("{TREE}committer c <c> 5 +0000\n").as_bytes()).is_some());
        for text in ["", "tree x\n", TREE, &format!("{TREE}parent\n\n\n"), &format!("{TREE}\ncommitter c\n")]
        {
            assert!(parse(text.as_bytes()).is_none(), "{text:?}");
        }
    }

    /// `git fsck` accepts such a line, and git ignores it.
    #[test]
    fn commit_ignores_parent_after_another_header() {
        let parent = |digit: &str| format!("parent {}\n", digit.repeat(40));
        let author = "author x <a> 1 +0000\n";
        let committer = "committer c <c> 5 +0000\n";
        let (two, three) = (parent("2"), parent("3"));
        let text = format!("{TREE}{two}{author}{three}{committer}{three}\nmessage\n");
        let commit = parse(text.as_bytes()).unwrap();
        assert_eq!(commit.parents, [Oid::from_str(&"2".repeat(40)).unwrap()]);
    }

    #[test]
    fn commit_texts_are_decoded_by_the_encoding_header() {
        let commit = |encoding: &str, text: &[u8]| {
            let head = format!("{TREE}author x <a> 1 +0000\ncommitter c <c> 5 +0000\n{encoding}\n");
            let commit = parse(&[head.as_bytes(), text].concat()).unwrap();
            (commit.summary(), commit.message().0)
        };
        let both = |text: &str| (text.to_owned(), text.to_owned());
        assert_eq!(commit("encoding ISO-8859-1\n", b"caf\xe9"), both("café"));
        assert_eq!(commit("encoding CP1251\n", b"\xcf\xf0\xe8\xe2\xe5\xf2"), both("Привет"));
        assert_eq!(commit("encoding EUC-JP\n", b"\xc6\xfc\xcb\xdc"), both("日本"));
        assert_eq!(commit("encoding UTF-8\n", "é".as_bytes()), both("é"));
        assert_eq!(commit("encoding x-none\n", b"a\xff"), both("a\u{fffd}"));
        assert_eq!(commit("", b"a\xff"), both("a\u{fffd}"));
    }
}
