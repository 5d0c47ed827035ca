//! Files in chats: a user uploads bytes to a chat, and a message shows them.
//!
//! A file is *unbound* until a message has it, and *bound* afterwards. It is *released* when that
//! message is deleted, or when its uploader drops it: no user can read it any more, and its bytes
//! are removed.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ids::{ChatId, FileId, MessageId, UserId};
use super::node::NodeName;
use super::text::{Invalid, parse_line};
use super::timestamp::Timestamp;

/// Maximum length of a file name, as on most file systems.
const NAME_CHARACTERS_MAX: usize = 255;
/// The smallest size that a file counts with: a block on disk.
const BLOCK_BYTES: i64 = 4096;

/// The name of a file: one line without control characters, bidirectional controls and path
/// separators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileName(String);

impl FileName {
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let name = parse_line(text, NAME_CHARACTERS_MAX)
            .ok_or(Invalid("must be one line of 1 to 255 visible characters"))?;
        if name.contains(['/', '\\']) || name == "." || name == ".." {
            return Err(Invalid("must not be a path"));
        }
        Ok(Self(name))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The SHA-256 of the bytes of a file, which names them in the store.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobHash(pub [u8; 32]);

impl BlobHash {
    /// Parses 64 hexadecimal digits in lower case.
    pub fn parse(text: &str) -> Option<Self> {
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let mut hash = [0; 32];
        if pairs.len() != hash.len() || !rest.is_empty() || text.bytes().any(|b| b.is_ascii_uppercase()) {
            return None;
        }
        for (byte, pair) in hash.iter_mut().zip(pairs) {
            let digits = std::str::from_utf8(pair).ok().filter(|_| pair.iter().all(u8::is_ascii_hexdigit))?;
            *byte = u8::from_str_radix(digits, 16).ok()?;
        }
        Some(Self(hash))
    }
}

impl fmt::Display for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A file of a message, as clients receive it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachedFile {
    pub id: FileId,
    pub name: String,
    pub size: i64,
    #[serde(rename = "type")]
    pub media_type: String,
    /// Width in pixels, of an image whose beginning states it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub w: Option<i64>,
    /// Height in pixels, present with the width.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub h: Option<i64>,
}

impl AttachedFile {
    /// Returns the memory that the file takes in a cache, in bytes.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.name.len() + self.media_type.len()
    }
}

/// The bytes of a complete upload, as the server found them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    pub hash: BlobHash,
    pub media_type: String,
    pub pixels: Option<(i64, i64)>,
}

/// The name of a staged upload. The time is that of the row: a database that was restored assigns
/// ids again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UploadKey {
    pub id: FileId,
    pub announced_at: Timestamp,
}

impl UploadKey {
    /// Parses what [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        let (id, announced_at) = text.split_once('-')?;
        let key = Self { id: FileId(id.parse().ok()?), announced_at: Timestamp(announced_at.parse().ok()?) };
        (key.to_string() == text).then_some(key)
    }
}

impl fmt::Display for UploadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.id, self.announced_at.0)
    }
}

/// A file as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFile {
    pub id: FileId,
    pub chat_id: ChatId,
    pub uploader_id: UserId,
    /// The message that shows the file.
    pub message_id: Option<MessageId>,
    pub name: String,
    pub size: i64,
    /// `None`: not all bytes have arrived.
    pub contents: Option<Contents>,
    /// The node that receives and stores the bytes. `None`: the only node.
    pub node: Option<NodeName>,
    pub created_at: Timestamp,
    /// Whether a message has or had the file, or its uploader dropped it.
    pub was_bound: bool,
}

impl StoredFile {
    /// Returns the file as messages show it, if all its bytes have arrived.
    pub fn attached(&self) -> Option<AttachedFile> {
        let contents = self.contents.as_ref()?;
        Some(AttachedFile {
            id: self.id,
            name: self.name.clone(),
            size: self.size,
            media_type: contents.media_type.clone(),
            w: contents.pixels.map(|(width, _)| width),
            h: contents.pixels.map(|(_, height)| height),
        })
    }

    pub fn upload_key(&self) -> UploadKey {
        UploadKey { id: self.id, announced_at: self.created_at }
    }

    /// Returns whether the message that had the file was deleted, or the uploader dropped it.
    pub fn is_released(&self) -> bool {
        self.was_bound && self.message_id.is_none()
    }
}

/// Returns the bytes that a file of this size counts with in quotas.
pub fn charged_bytes(size: i64) -> i64 {
    size.max(BLOCK_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_name_is_one_visible_line_and_no_path() {
        for name in ["a.png", "Übersicht 2026.pdf", ".profile", "a\u{301}.txt", &"x".repeat(255)] {
            assert!(FileName::parse(name).is_ok(), "{name}");
        }
        let long = "x".repeat(256);
        for name in ["", " ", "a\nb", "a\0", "evil\u{202e}gnp.exe", "a/b", "a\\b", ".", "..", &long] {
            assert!(FileName::parse(name).is_err(), "{name:?}");
        }
    }

    /// The page replaces what the server refuses: both read the same table.
    #[test]
    fn file_names_of_pages_are_accepted() {
        #[derive(Deserialize)]
        struct Table {
            replaced: Vec<(u32, u32)>,
            blank: Vec<(u32, u32)>,
            names: Vec<(String, String)>,
        }
        let table = include_str!("../../tests/web/file_names.json");
        let table: Table = serde_json::from_str(table).unwrap();
        let has =
            |ranges: &[(u32, u32)], c: char| ranges.iter().any(|(a, b)| (*a..=*b).contains(&u32::from(c)));
        for c in '\0'..=char::MAX {
            assert_eq!(FileName::parse(&format!("a{c}b")).is_err(), has(&table.replaced, c), "{c:?}");
            let is_refused = FileName::parse(&c.to_string()).is_err() && c != '.';
            assert_eq!(is_refused, has(&table.replaced, c) || has(&table.blank, c), "{c:?}");
        }
        for (name, sent) in &table.names {
            assert_eq!(FileName::parse(sent).unwrap().as_str(), sent);
            // A name is changed only if the server refuses it, or changes it itself.
            let accepted = FileName::parse(name);
            assert!(accepted.is_err() || accepted.unwrap().as_str() == sent, "{name:?}");
        }
    }

    #[test]
    fn key_of_an_upload_is_parsed_strictly() {
        let key = UploadKey { id: FileId(7), announced_at: Timestamp(1_000) };
        assert_eq!((key.to_string().as_str(), UploadKey::parse("7-1000")), ("7-1000", Some(key)));
        for text in ["", "7", "7-", "-7", "+7-1000", "7-01000", "7-1000.blob"] {
            assert_eq!(UploadKey::parse(text), None, "{text}");
        }
    }

    #[test]
    fn hash_is_64_digits_in_lower_case() {
        let hash = BlobHash([0xab; 32]);
        assert_eq!(BlobHash::parse(&hash.to_string()), Some(hash));
        for text in ["", "ab", &"AB".repeat(32), &"ab".repeat(33), &"zz".repeat(32), &"+1".repeat(32)] {
            assert_eq!(BlobHash::parse(text), None, "{text}");
        }
    }
}
