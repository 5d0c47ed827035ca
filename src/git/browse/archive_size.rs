//! Computes the size of an archive of a commit before `git archive` starts.
//!
//! Ten trees that each contain the next one ten times are ten thousand million files in 830 bytes
//! of a push. Each tree is read once and its totals are cached, so the work is bounded by the
//! number of stored entries.

use std::collections::HashMap;
use std::time::Instant;

use super::object::Oid;
use super::path::{DEPTH_MAX, MODE_COMMIT, MODE_TREE, PathEntry};
use super::{BrowseError, Browser};
use crate::core::saturate;

/// Limits of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchiveLimits {
    /// Number of files, folders and links.
    pub entries: u64,
    /// Total length of their paths.
    pub path_bytes: u64,
    /// Total size of the files, uncompressed.
    pub bytes: u64,
}

/// The totals of a tree, including everything below it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ArchiveSize {
    pub entries: u64,
    pub path_bytes: u64,
    pub bytes: u64,
    /// Depth of nested folders, including this one.
    pub depth: usize,
}

/// The state of counting one archive.
struct ArchiveCount<'b> {
    browser: &'b Browser,
    limits: ArchiveLimits,
    known: HashMap<git2::Oid, ArchiveSize>,
    /// Number of entries read so far.
    visited: u64,
    until: Instant,
}

impl Browser {
    /// Returns the size of an archive of the commit.
    ///
    /// # Errors
    /// [`BrowseError::TooLarge`] if the archive exceeds the limits, or if counting takes longer
    /// than a request may.
    pub fn archive_size(&self, commit: Oid, limits: ArchiveLimits) -> Result<ArchiveSize, BrowseError> {
        let tree = self.find_commit(commit.raw())?.tree;
        let until = self.budget.until();
        let mut counting = ArchiveCount { browser: self, limits, known: HashMap::new(), visited: 0, until };
        counting.tree(tree, 1)
    }
}

impl ArchiveCount<'_> {
    fn tree(&mut self, oid: git2::Oid, depth: usize) -> Result<ArchiveSize, BrowseError> {
        if let Some(known) = self.known.get(&oid) {
            return Ok(*known);
        }
        if depth > DEPTH_MAX {
            return Err(BrowseError::TooLarge("the folders are nested too deeply for an archive"));
        }
        if Instant::now() >= self.until {
            return Err(BrowseError::TooLarge(
                "the archive takes too long to be counted; clone the repository",
            ));
        }
        let (mut size, folders) = self.files(oid)?;
        for (folder, name_bytes) in folders {
            let inner = self.tree(folder, depth.saturating_add(1))?;
            size.entries = size.entries.saturating_add(inner.entries);
            let prefix = name_bytes.saturating_add(1).saturating_mul(inner.entries);
            size.path_bytes = size.path_bytes.saturating_add(inner.path_bytes).saturating_add(prefix);
            size.bytes = size.bytes.saturating_add(inner.bytes);
            size.depth = size.depth.max(inner.depth.saturating_add(1));
            self.check(&size)?;
        }
        self.known.insert(oid, size);
        Ok(size)
    }

    /// Returns the totals of a tree without the contents of its folders, and the folders with the
    /// lengths of their names. The tree itself is dropped before the folders are counted.
    fn files(&mut self, oid: git2::Oid) -> Result<(ArchiveSize, Vec<(git2::Oid, u64)>), BrowseError> {
        let tree = self.browser.find_tree(oid)?;
        let mut size = ArchiveSize { depth: 1, ..ArchiveSize::default() };
        let mut folders = Vec::new();
        for entry in tree.iter() {
            let place = PathEntry::of(&entry);
            let name_bytes = saturate::to_u64(entry.name_bytes().len());
            size.entries = size.entries.saturating_add(1);
            size.path_bytes = size.path_bytes.saturating_add(name_bytes);
            self.visited = self.visited.saturating_add(1);
            if self.visited > self.limits.entries {
                return Err(BrowseError::TooLarge(TOO_MANY));
            }
            match place.mode {
                MODE_TREE => folders.push((place.oid, name_bytes)),
                MODE_COMMIT => {}
                _ => {
                    let file = self.browser.stored(place.oid, "file")?;
                    let peak_max = self.browser.limits.archive_peak_bytes;
                    if file.deltas_of.is_some() && file.peak_bytes > peak_max {
                        return Err(BrowseError::TooLarge(
                            "a file takes too much memory for an archive; clone the repository",
                        ));
                    }
                    size.bytes = size.bytes.saturating_add(saturate::to_u64(file.bytes));
                }
            }
        }
        self.check(&size)?;
        Ok((size, folders))
    }

    fn check(&self, size: &ArchiveSize) -> Result<(), BrowseError> {
        if size.entries > self.limits.entries {
            return Err(BrowseError::TooLarge(TOO_MANY));
        }
        if size.path_bytes > self.limits.path_bytes {
            return Err(BrowseError::TooLarge(
                "the paths in the archive are too long together; clone the repository",
            ));
        }
        if size.bytes > self.limits.bytes {
            return Err(BrowseError::TooLarge(
                "the files in the archive are too large together; clone the repository",
            ));
        }
        if size.depth > DEPTH_MAX {
            return Err(BrowseError::TooLarge("the folders are nested too deeply for an archive"));
        }
        Ok(())
    }
}

const TOO_MANY: &str = "the archive would hold too many files; clone the repository";
