//! Parses the output of `git blame --porcelain`: the commit of each line of a file (git-blame, "The
//! porcelain format").
//!
//! Each line has a record. Lines that git found together form a group, whose first record has their
//! number as a fourth word. The headers are in the first record of each commit.
//!
//! ```text
//! <commit> <original line> <final line> [<lines in group>]
//! author <name>, author-mail <...>, author-time <seconds>, ..., summary <text>
//! [previous <commit> <path>]
//! filename <path>
//! <tab><content of the line>
//! ```
//! `previous` is absent where the commit added the file. If the lines of a commit come from more
//! than one path, the first record of each of its groups has `previous` and `filename` again.
//!
//! Names and summaries are untrusted input: they are truncated and converted to UTF-8, as
//! everywhere in `browse`.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::browse::{Oid, Person, object, path_text, text};
use crate::domain::timestamp::Timestamp;

/// Adjacent lines that belong to the same commit.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct BlameRange {
    /// First line of the range, counted from 1.
    pub from: usize,
    /// Last line of the range, inclusive.
    pub to: usize,
    pub oid: Oid,
    pub author: Person,
    #[schema(value_type = String)]
    pub authored_at: Timestamp,
    /// The first paragraph of the commit message, joined into a single line.
    pub summary: String,
    /// The file before this commit. Absent if the commit added the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<PreviousFile>,
}

/// Maximum length of a path in the answer, as in browsing: it is repeated for each range of lines.
const PREVIOUS_PATH_BYTES_MAX: usize = 4096;

/// A file in the parent of the commit that changed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PreviousFile {
    /// The parent.
    pub oid: Oid,
    /// The path in the parent, which differs after a rename.
    pub path: String,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("git blame: line {line} of the output is malformed")]
pub struct NotBlame {
    line: usize,
}

/// The headers of a commit that were read so far.
struct LineOrigin {
    author: Person,
    authored_at: Timestamp,
    summary: String,
    /// The `previous` of the record that is being read.
    begun: Option<PreviousFile>,
    /// The `previous` of the current group of lines.
    previous: Option<PreviousFile>,
}

/// A line of the file and its origin.
struct BlamedLine {
    number: usize,
    oid: Oid,
    previous: Option<PreviousFile>,
}

/// Returns the ranges of a blame, ordered by line.
pub fn parse(output: &[u8]) -> Result<Vec<BlameRange>, NotBlame> {
    let mut origins: HashMap<Oid, LineOrigin> = HashMap::new();
    let mut lines: Vec<BlamedLine> = Vec::new();
    let mut now: Option<(usize, Oid)> = None;
    for (index, line) in output.split(|byte| *byte == b'\n').enumerate() {
        let wrong = || NotBlame { line: index.saturating_add(1) };
        match now {
            Some((number, oid)) if line.first() == Some(&b'\t') => {
                let previous = origins.get(&oid).and_then(|origin| origin.previous.clone());
                lines.push(BlamedLine { number, oid, previous });
                now = None;
            }
            Some((_, oid)) => origins.entry(oid).or_insert_with(LineOrigin::unknown).read_header(line),
            // The empty rest after the last newline.
            None if line.is_empty() => {}
            None => now = Some(head(line).ok_or_else(wrong)?),
        }
    }
    if now.is_some() {
        return Err(NotBlame { line: output.split(|byte| *byte == b'\n').count() });
    }
    Ok(ranges(lines, &origins))
}

/// Parses the first line of a record; returns the final line number and the commit.
fn head(line: &[u8]) -> Option<(usize, Oid)> {
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    let oid = Oid::parse(words.next()?)?;
    let _then = words.next()?.parse::<usize>().ok()?;
    Some((words.next()?.parse().ok()?, oid))
}

fn ranges(lines: Vec<BlamedLine>, origins: &HashMap<Oid, LineOrigin>) -> Vec<BlameRange> {
    let mut ranges: Vec<BlameRange> = Vec::new();
    for BlamedLine { number, oid, previous } in lines {
        match ranges.last_mut() {
            Some(last)
                if last.oid == oid && last.to.checked_add(1) == Some(number) && last.previous == previous =>
            {
                last.to = number;
            }
            _ => {
                let unknown = LineOrigin::unknown();
                let LineOrigin { author, authored_at, summary, .. } = origins.get(&oid).unwrap_or(&unknown);
                ranges.push(BlameRange {
                    from: number,
                    to: number,
                    oid,
                    author: author.clone(),
                    authored_at: *authored_at,
                    summary: summary.clone(),
                    previous,
                });
            }
        }
    }
    ranges
}

impl LineOrigin {
    fn unknown() -> Self {
        let author = Person { name: String::new(), email: String::new() };
        Self { author, authored_at: Timestamp(0), summary: String::new(), begun: None, previous: None }
    }

    fn read_header(&mut self, line: &[u8]) {
        let after = |key: &[u8]| line.strip_prefix(key);
        if let Some(name) = after(b"author ") {
            self.author.name = text::line(name, None);
        } else if let Some(email) = after(b"author-mail ") {
            let email = email.strip_prefix(b"<").unwrap_or(email);
            self.author.email = text::line(email.strip_suffix(b">").unwrap_or(email), None);
        } else if let Some(seconds) = after(b"author-time ") {
            let seconds = std::str::from_utf8(seconds).ok().and_then(|text| text.parse().ok());
            self.authored_at = object::seconds(seconds.unwrap_or(0));
        } else if let Some(summary) = after(b"summary ") {
            self.summary = text::line(summary, None);
        } else if let Some(previous) = after(b"previous ") {
            self.begun = PreviousFile::parse(previous);
        } else if after(b"filename ").is_some() {
            // The last header of a record that has headers.
            self.previous = self.begun.take();
        }
    }
}

impl PreviousFile {
    /// Parses `<commit> <path>`. A longer path than browsing accepts yields `None`.
    fn parse(value: &[u8]) -> Option<Self> {
        let (oid, path) = value.split_at_checked(Oid::DIGITS)?;
        let oid = Oid::parse(std::str::from_utf8(oid).ok()?)?;
        let path = unquoted(path.strip_prefix(b" ")?)?;
        if path.len() > PREVIOUS_PATH_BYTES_MAX {
            return None;
        }
        Some(Self { oid, path: path_text::escaped(&path) })
    }
}

/// Returns the bytes of a path that git may have quoted like a string in C (git-config,
/// `core.quotePath`).
fn unquoted(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    let Some(quoted) = text.strip_prefix(b"\"") else { return Some(Cow::Borrowed(text)) };
    let mut found = Vec::with_capacity(quoted.len());
    let mut bytes = quoted.strip_suffix(b"\"")?.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            found.push(byte);
            continue;
        }
        found.push(match bytes.next()? {
            b'a' => 0x07,
            b'b' => 0x08,
            b't' => b'\t',
            b'n' => b'\n',
            b'v' => 0x0b,
            b'f' => 0x0c,
            b'r' => b'\r',
            escaped @ (b'"' | b'\\') => escaped,
            first => {
                let digits = [first, bytes.next()?, bytes.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 8).ok()?
            }
        });
    }
    Some(Cow::Owned(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "1111111111111111111111111111111111111111";
    const TWO: &str = "2222222222222222222222222222222222222222";

    fn commit(name: &str, summary: &str) -> String {
        format!(
            "author {name}\nauthor-mail <{name}@x>\nauthor-time 1700000000\nauthor-tz +0100\ncommitter c\n\
             committer-mail <c@x>\ncommitter-time 1\ncommitter-tz +0000\nsummary {summary}\nfilename f\n"
        )
    }

    /// A renamed file in deep folders: its former path would be repeated for each range.
    #[test]
    fn previous_path_above_the_limit_is_left_out() {
        let previous = |bytes: usize| {
            let line = format!("{ONE} {}", "p".repeat(bytes));
            PreviousFile::parse(line.as_bytes()).map(|previous| previous.path.len())
        };
        assert_eq!(previous(PREVIOUS_PATH_BYTES_MAX), Some(PREVIOUS_PATH_BYTES_MAX));
        assert_eq!(previous(PREVIOUS_PATH_BYTES_MAX + 1), None);
    }

    #[test]
    fn blame_merges_adjacent_lines_of_a_commit() {
        let (one, two) = (commit("ann", "first: a thing"), commit("bob", "second"));
        // Lines from two positions of the old file, adjacent in the new file, and the same commit
        // again later.
        let text = format!(
            "{ONE} 1 4 1\n{one}\ta\n{ONE} 7 5 2\n\tb\n{ONE} 8 6\n\tc\n{TWO} 1 7 1\n{two}previous {ONE} f\n\td\n{ONE} 9 8 1\n\t\n"
        );
        let ranges = parse(text.as_bytes()).unwrap();
        let places: Vec<_> =
            ranges.iter().map(|range| (range.from, range.to, range.oid.to_string())).collect();
        assert_eq!(places, [(4, 6, ONE.into()), (7, 7, TWO.into()), (8, 8, ONE.into())]);
        assert_eq!(ranges[0].author, Person { name: "ann".into(), email: "ann@x".into() });
        assert_eq!(
            (ranges[2].summary.as_str(), ranges[2].authored_at),
            ("first: a thing", Timestamp(1_700_000_000_000))
        );
    }

    #[test]
    fn blame_names_previous_file_of_each_group() {
        let one = commit("ann", "x").replace("filename f\n", "");
        let (old, odd) = (format!("previous {TWO} old\n"), format!("previous {TWO} \"a\\t\\351\\\"\"\n"));
        // The commit took lines from two paths; a later line of the first group has no headers.
        let text = format!(
            "{ONE} 1 1 2\n{one}{old}filename f\n\ta\n{ONE} 2 2\n\tb\n{ONE} 1 3 1\n{odd}filename g\n\tc\n\
             {ONE} 5 4 1\nfilename h\n\td\n"
        );
        let ranges = parse(text.as_bytes()).unwrap();
        let seen: Vec<_> = ranges
            .iter()
            .map(|range| (range.from, range.to, range.previous.as_ref().map(|file| file.path.as_str())))
            .collect();
        assert_eq!(seen, [(1, 2, Some("old")), (3, 3, Some("a\t%E9\"")), (4, 4, None)]);
        assert_eq!(ranges[0].previous.as_ref().unwrap().oid.to_string(), TWO);
    }

    #[test]
    fn malformed_previous_of_blame_is_left_out() {
        for bad in ["", "x", ONE, &format!("{ONE}f"), &format!("{ONE} \"a"), &format!("{ONE} \"\\9\"")] {
            assert_eq!(PreviousFile::parse(bad.as_bytes()), None, "{bad}");
        }
        assert!(PreviousFile::parse(format!("{ONE} a b").as_bytes()).is_some());
    }

    #[test]
    fn blame_parser_never_reads_content_as_header() {
        let text = format!(
            "{ONE} 1 1 1\n{}\tauthor mallory\n{TWO} 2 2 1\n{}\t{ONE} 1 1 1\n",
            commit("ann", "x"),
            commit("bob", "y")
        );
        let names: Vec<_> =
            parse(text.as_bytes()).unwrap().into_iter().map(|range| range.author.name).collect();
        assert_eq!(names, ["ann", "bob"]);
    }

    #[test]
    fn blame_parser_accepts_empty_and_rejects_malformed_output() {
        assert_eq!(parse(b""), Ok(Vec::new()));
        for bad in [
            "hello\n",
            "1111 1 1 1\n\ta\n",
            &format!("{ONE} x 1\n\ta\n"),
            &format!("{ONE} 1 1 1\nauthor a\n"),
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn blame_text_is_truncated_and_converted_to_utf_8() {
        let text = format!(
            "{ONE} 1 1 1\nauthor \u{1}\nauthor-mail <>>\nauthor-time 99999999999999999\nsummary {}\n\ta\n",
            "s".repeat(5000)
        );
        let mut bytes = text.into_bytes();
        bytes.splice(54..54, [0xff]);
        let range = parse(&bytes).unwrap().remove(0);
        assert_eq!(range.summary.len(), 1024);
        assert_eq!((range.author.email.as_str(), range.author.name.as_str()), (">", "\u{fffd}\u{1}"));
        assert!(range.authored_at.to_string().starts_with("9999"));
    }
}
