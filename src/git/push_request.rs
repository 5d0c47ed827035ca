//! The head of a push: commands and options, read before git receives anything (gitprotocol-pack,
//! "Reference Update Request").
//!
//! Invariant: the bytes forwarded to git are exactly the bytes read here, except for the declined
//! commands ([`PushRequest::decline`]): git and the server see the same commands.

mod deletion;
mod reader;
mod ref_name;

use std::ops::Range;

use bytes::{Bytes, BytesMut};

pub use reader::PushRequestReader;
pub use ref_name::{check_name, check_update_name};

use super::pkt_line;
use crate::domain::push::RefUpdate;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PushRequestError {
    #[error("the push is not in pkt-line format")]
    Malformed,
    #[error("a push may name at most {0} refs; push some of them, then the others")]
    TooManyRefs(usize),
    #[error("a push may have at most {0} options")]
    TooManyOptions(usize),
    #[error(
        "the names of the refs of a push may have at most {0} bytes together; push some of them, then the others"
    )]
    TooLarge(usize),
    #[error("signed pushes are not supported")]
    Signed,
}

/// The parsed head of a push, and its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PushRequest {
    pub updates: Vec<RefUpdate>,
    pub options: Vec<String>,
    capabilities: Vec<String>,
    /// Commands that are not forwarded to git.
    pub declined: Vec<Declined>,
    /// The bytes to forward to git before the rest of the body.
    pub bytes: Bytes,
    /// The client sends a pack.
    has_pack: bool,
    /// Positions in the received bytes: of the lines before the flush that are not commands, and of
    /// each update without its capabilities.
    shallow_lines: Vec<Range<usize>>,
    command_lines: Vec<Range<usize>>,
    capability_bytes: Range<usize>,
    /// Position of the bytes after the commands and their flush.
    option_bytes: Range<usize>,
}

/// A command that the server refuses while git processes the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declined {
    /// The name of the ref as the client wrote it, which need not be UTF-8.
    pub name: Bytes,
    pub why: String,
}

impl PushRequest {
    /// Whether the client supports progress and error text in addition to the report.
    pub fn has_side_band(&self) -> bool {
        self.has("side-band-64k")
    }

    /// Whether either all refs are updated or none.
    pub fn is_atomic(&self) -> bool {
        self.has("atomic")
    }

    pub fn wants_report(&self) -> bool {
        self.has("report-status") || self.has("report-status-v2")
    }

    fn has(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|known| known == capability)
    }

    /// Whether the head is empty: clients send an empty head to check their credentials.
    pub fn is_probe(&self) -> bool {
        self.updates.is_empty() && self.declined.is_empty()
    }

    /// Whether a pack follows: not if the push only deletes refs.
    pub fn has_pack(&self) -> bool {
        self.has_pack
    }

    /// Returns the length in bytes of an object id in this push: 20, or 32 in SHA-256 repositories.
    pub fn hash_bytes(&self) -> usize {
        let hex = self.updates.iter().find_map(|update| update.new.as_deref().or(update.old.as_deref()));
        hex.map_or(32, |hex| hex.len() / 2)
    }

    /// Declines the commands for which `reason` returns a reason, in addition to those whose names
    /// are not UTF-8.
    ///
    /// `reason` is called with each command, in order.
    pub fn decline(&mut self, mut reason: impl FnMut(&RefUpdate) -> Option<String>) {
        let (updates, lines) = (std::mem::take(&mut self.updates), std::mem::take(&mut self.command_lines));
        for (update, line) in updates.into_iter().zip(lines) {
            match reason(&update) {
                Some(why) => self.declined.push(Declined { name: update.name.into(), why }),
                None => {
                    self.updates.push(update);
                    self.command_lines.push(line);
                }
            }
        }
        self.forward();
    }

    /// Builds the bytes that are forwarded to git from the remaining commands.
    ///
    /// Must only be called once: the positions refer to the bytes as received.
    fn forward(&mut self) {
        let sent = std::mem::take(&mut self.bytes);
        let line = |range: &Range<usize>| sent.get(range.clone()).unwrap_or_default();
        let mut bytes = BytesMut::with_capacity(sent.len());
        self.shallow_lines.iter().for_each(|range| pkt_line::put(&mut bytes, line(range)));
        for (at, range) in self.command_lines.iter().enumerate() {
            if at == 0 {
                pkt_line::put(&mut bytes, &[line(range), b"\0", line(&self.capability_bytes)].concat());
            } else {
                pkt_line::put(&mut bytes, line(range));
            }
        }
        bytes.extend_from_slice(pkt_line::FLUSH);
        bytes.extend_from_slice(line(&self.option_bytes));
        self.bytes = bytes.freeze();
    }

    /// Returns the value of the last option `name=value`.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().rev().find_map(|option| option.strip_prefix(name)?.strip_prefix('='))
    }
}

#[cfg(test)]
mod tests {
    use super::reader::OPTIONS_MAX;
    use super::*;
    use proptest::prelude::*;

    const A: &str = "1111111111111111111111111111111111111111";
    const ZERO: &str = "0000000000000000000000000000000000000000";

    fn lines(lines: &[&str]) -> Vec<u8> {
        let mut bytes = BytesMut::new();
        for line in lines {
            if line.is_empty() {
                bytes.extend_from_slice(pkt_line::FLUSH);
            } else {
                pkt_line::put(&mut bytes, line.as_bytes());
            }
        }
        bytes.to_vec()
    }

    fn read(bytes: &[u8]) -> Result<(PushRequest, Bytes), PushRequestError> {
        let mut reader = PushRequestReader::new(3, 4096);
        // Byte by byte: the network may split the input anywhere.
        let mut done = false;
        for (at, byte) in bytes.iter().enumerate() {
            if reader.feed(std::slice::from_ref(byte))? {
                done = true;
                reader.feed(&bytes[at + 1..])?;
                break;
            }
        }
        assert!(done, "the head is incomplete");
        Ok(reader.finish())
    }

    #[test]
    fn push_head_parses_commands_options_and_rest() {
        let first = format!("{ZERO} {A} refs/heads/main\0report-status side-band-64k push-options agent=x");
        let second = format!("{A} {ZERO} refs/tags/old tag");
        let mut bytes = lines(&[&first, &second, "", "chat=hello", "x", ""]);
        let head_bytes = bytes.len();
        bytes.extend_from_slice(b"PACK...");
        let (head, rest) = read(&bytes).unwrap();
        assert_eq!(head.updates.len(), 2);
        assert_eq!((&head.updates[0].old, head.updates[0].new.as_deref()), (&None, Some(A)));
        assert_eq!((head.updates[1].name.as_str(), &head.updates[1].new), ("refs/tags/old tag", &None));
        assert_eq!((head.option("chat"), head.option("cha")), (Some("hello"), None));
        assert!(head.has_side_band() && head.wants_report() && head.has_pack());
        assert_eq!((&rest[..], &head.bytes[..]), (&b"PACK..."[..], &bytes[..head_bytes]));
        assert_eq!(head.hash_bytes(), 20);
    }

    #[test]
    fn push_head_accepts_empty_head_as_probe() {
        let (head, rest) = read(b"0000").unwrap();
        assert!(head.updates.is_empty() && rest.is_empty());
    }

    #[test]
    fn push_head_parses_deletions_without_pack_and_shallow_lines() {
        let (head, _) =
            read(&lines(&[&format!("shallow {A}"), &format!("{A} {ZERO} refs/heads/x\0"), ""])).unwrap();
        assert_eq!(head.updates.len(), 1);
        assert!(!head.has_pack() && !head.has_side_band());
    }

    #[test]
    fn push_head_rejects_oversized_or_malformed_commands() {
        let line = format!("{ZERO} {A} refs/heads/x");
        assert_eq!(read(&lines(&[&line, &line, &line, &line, ""])), Err(PushRequestError::TooManyRefs(3)));
        let long = format!("{ZERO} {A} refs/heads/{}", "x".repeat(5000));
        assert_eq!(read(&lines(&[&long, ""])), Err(PushRequestError::TooLarge(4096)));
        for bad in
            ["x", "a b c", &format!("{A} {A}"), &format!("{A} {} r", A.to_uppercase().replace('1', "A"))]
        {
            assert_eq!(read(&lines(&[bad, ""])), Err(PushRequestError::Malformed), "{bad}");
        }
        assert_eq!(read(&lines(&["push-cert x", ""])), Err(PushRequestError::Signed));
    }

    #[test]
    fn push_head_limits_number_of_options() {
        let first = format!("{ZERO} {A} refs/heads/main\0push-options");
        let many = |count: usize| {
            let mut text = vec![first.as_str(), ""];
            text.resize(2 + count, "x");
            text.push("");
            read(&lines(&text)).map(|(head, _)| head.options.len())
        };
        assert_eq!((many(OPTIONS_MAX), many(101)), (Ok(100), Err(PushRequestError::TooManyOptions(100))));
    }

    #[test]
    fn push_head_declines_non_utf_8_name_and_forwards_others() {
        let mut bytes = BytesMut::new();
        pkt_line::put(
            &mut bytes,
            &[ZERO.as_bytes(), b" ", A.as_bytes(), b" refs/heads/\xe9\0atomic a=b"].concat(),
        );
        pkt_line::put(&mut bytes, format!("{A} {ZERO} refs/heads/x\n").as_bytes());
        bytes.extend_from_slice(pkt_line::FLUSH);
        let (mut head, _) = read(&bytes).unwrap();
        assert_eq!((head.updates.len(), head.declined.len()), (1, 1));
        assert_eq!(&head.declined[0].name[..], b"refs/heads/\xe9");
        assert!(head.is_atomic() && head.has_pack() && !head.is_probe());
        head.decline(|_| None);
        assert_eq!(head.bytes, lines(&[&format!("{A} {ZERO} refs/heads/x\0atomic a=b"), ""]));
    }

    #[test]
    fn check_name_rejects_foreign_namespaces_and_misleading_names() {
        for good in ["refs/heads/main", "refs/heads/feature/x", "refs/tags/v1.0", "refs/notes/commits"] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        let hex = format!("refs/heads/{A}");
        for bad in [
            "HEAD",
            "refs/replace/x",
            "refs/netbit/x",
            "refs/pull/1/head",
            "refs/heads/",
            "refs/heads/HEAD",
            "refs/heads/-x",
            "refs/heads/a..b",
            "refs/heads/a b",
            "refs/headsx/y",
            "refs/stash",
            "main",
            "refs/heads/refs/heads/main",
            "refs/tags/refs/x",
            "refs/tags/v1\u{202e}",
            "refs/notes/a\u{200b}",
            &hex,
        ] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ref_with_a_refused_name_can_only_be_deleted() {
        for name in ["refs/heads/refs/heads/main", "refs/heads/a\u{202e}b", "refs/tags/HEAD"] {
            let update = |old: Option<&str>, new: Option<&str>| {
                let (old, new) = (old.map(str::to_owned), new.map(str::to_owned));
                check_update_name(&RefUpdate { name: name.to_owned(), old, new })
            };
            assert_eq!(update(Some(A), None), Ok(()), "{name}");
            assert!(update(None, Some(A)).is_err() && update(Some(A), Some(A)).is_err(), "{name}");
            assert!(update(None, None).is_err(), "{name}");
        }
        let hidden = RefUpdate { name: "refs/netbit/x".to_owned(), old: Some(A.to_owned()), new: None };
        assert!(check_update_name(&hidden).is_err());
    }

    proptest! {
        #[test]
        fn push_head_never_panics_on_arbitrary_bytes(data in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut reader = PushRequestReader::new(3, 4096);
            let whole = reader.feed(&data);
            prop_assert!(whole != Ok(true) || data.len() >= 4, "a head contains at least a flush");
        }
    }
}
