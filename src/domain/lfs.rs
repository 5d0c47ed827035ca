//! Git LFS: large files of a repository outside of git, and locks of paths.
//!
//! A commit holds a *pointer* in place of such a file: its hash (`oid`) and its size. The bytes are
//! an *object* of the repository.

use super::file::BlobHash;
use super::ids::{LfsLockId, LfsObjectId, RepositoryId, UserId};
use super::text::{Invalid, misleads};
use super::timestamp::Timestamp;

/// The first line of a pointer (specification, version 1).
const POINTER_START: &str = "version https://git-lfs.github.com/spec/v1\n";
/// The specification limits pointers to fewer bytes.
pub const POINTER_BYTES_MAX: usize = 1024;
/// Maximum length of the path of a lock. PostgreSQL indexes texts of some 2,700 bytes.
const PATH_BYTES_MAX: usize = 1024;

/// An object of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LfsObject {
    pub id: LfsObjectId,
    pub repository_id: RepositoryId,
    pub oid: BlobHash,
    pub size: i64,
    /// The type that the content has.
    pub media_type: String,
}

impl LfsObject {
    pub fn bytes(&self) -> u64 {
        u64::try_from(self.size).unwrap_or(0)
    }
}

/// A lock: other users of the Git LFS client do not change the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LfsLock {
    pub id: LfsLockId,
    pub path: String,
    pub user_id: UserId,
    pub username: String,
    pub created_at: Timestamp,
}

/// The path of a lock: relative to the root of the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockPath(String);

impl LockPath {
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() || text.len() > PATH_BYTES_MAX {
            return Err(Invalid("must be a path of 1 to 1024 bytes"));
        }
        if text.chars().any(misleads) {
            return Err(Invalid("must not contain control characters or invisible characters"));
        }
        if text.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(Invalid("must be relative to the repository, without empty parts, \".\" and \"..\""));
        }
        Ok(Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The file that a commit holds in place of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LfsPointer {
    pub oid: BlobHash,
    pub size: u64,
}

impl LfsPointer {
    /// Returns the pointer that a file is, or `None` for any other file.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(POINTER_START).filter(|_| text.len() <= POINTER_BYTES_MAX)?;
        let value = |key: &str| rest.lines().find_map(|line| line.strip_prefix(key));
        let size = value("size ").filter(|size| size.bytes().all(|byte| byte.is_ascii_digit()))?;
        Some(Self { oid: BlobHash::parse(value("oid sha256:")?)?, size: size.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointer_has_version_hash_and_size() {
        let oid = BlobHash([0x4d; 32]);
        let pointer = format!("{POINTER_START}oid sha256:{oid}\nsize 12345\n");
        assert_eq!(LfsPointer::parse(&pointer), Some(LfsPointer { oid, size: 12345 }));
        let extended = format!("{POINTER_START}ext-0-a sha256:{oid}\noid sha256:{oid}\nsize 0\n");
        assert_eq!(LfsPointer::parse(&extended), Some(LfsPointer { oid, size: 0 }));
        for text in [
            POINTER_START,
            "version 1\nsize 3\n",
            &format!("{POINTER_START}oid sha256:4d7a\nsize 3\n"),
            &format!("{POINTER_START}oid sha256:{oid}\nsize +3\n"),
            &format!("{POINTER_START}oid sha256:{oid}\n"),
            &format!("{pointer}{}", " ".repeat(POINTER_BYTES_MAX)),
        ] {
            assert_eq!(LfsPointer::parse(text), None, "{text}");
        }
    }

    #[test]
    fn path_of_a_lock_stays_in_the_repository() {
        for path in ["a.psd", "art/Ünïcode 1.psd", "a\\b", ".hidden", "..a/b..", &"x".repeat(1024)] {
            assert!(LockPath::parse(path).is_ok(), "{path}");
        }
        let long = "x".repeat(1025);
        for path in [
            "",
            "/etc/passwd",
            "../a",
            "a/../b",
            "a//b",
            "./a",
            "a/",
            "a\nb",
            "a\u{1b}[2J",
            "\u{202e}a",
            &long,
        ] {
            assert!(LockPath::parse(path).is_err(), "{path:?}");
        }
    }
}
