//! Finds the files that differ between two trees.
//!
//! This module compares the trees itself: libgit2 lists every file of a huge change before it can
//! be stopped. Files that moved unchanged are found by their ids, without a limit on their number
//! ([`super::renames`]). libgit2 detects files that were moved and changed, if few files differ.

use std::cmp::Ordering;
use std::time::Instant;

use git2::{Delta, DiffFindOptions, DiffOptions, ObjectType, Tree};
use serde::Serialize;
use utoipa::ToSchema;

use super::history::deadline;
use super::path::{DEPTH_MAX, MODE_COMMIT, PATH_BYTES_MAX, PathEntry};
use super::{BrowseError, Browser, renames};

/// The bits of a mode that hold the type of the entry.
const MODE_KIND: i32 = 0o170_000;

/// Maximum number of entries in all nested trees that are open at the same time: about 50 bytes
/// each.
const OPEN_ENTRIES_MAX: usize = 500_000;

/// The kind of a change to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeStatus {
    Added,
    Deleted,
    /// The content, the mode or both changed.
    Modified,
    Renamed,
    Copied,
    /// A file became a link or a submodule, or vice versa.
    Typechange,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Change {
    pub(super) status: ChangeStatus,
    /// The new path; for a deleted file the old one.
    pub(super) path: Vec<u8>,
    /// The old path of a rename or copy.
    pub(super) old_path: Option<Vec<u8>>,
    pub(super) old: Option<PathEntry>,
    pub(super) new: Option<PathEntry>,
}

/// The state of a comparison: the changes so far and the limits.
struct Comparing<'b> {
    browser: &'b Browser,
    until: Instant,
    found: Vec<Change>,
    open_entries: usize,
    open_bytes: usize,
    path_bytes: usize,
    truncated: bool,
}

/// The differences between two trees.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// In the order of their paths.
    pub(super) files: Vec<Change>,
    /// Whether there are more changes.
    pub(super) truncated: bool,
    /// Whether files that were moved and changed may be listed as deleted and added.
    pub(super) renames_by_content_skipped: bool,
}

impl Browser {
    /// Returns the first [`super::BrowseLimits::diff_files`] files that differ. `None` is the empty
    /// tree.
    pub(super) fn changes(
        &self,
        old: Option<git2::Oid>,
        new: Option<git2::Oid>,
    ) -> Result<Changes, BrowseError> {
        let mut changes = self.all_changes(old, new)?;
        if changes.files.len() > self.limits.diff_files {
            changes.files.truncate(self.limits.diff_files);
            changes.truncated = true;
        }
        Ok(changes)
    }

    /// Returns the files that differ, at most [`super::BrowseLimits::changed_files`].
    pub(super) fn all_changes(
        &self,
        old: Option<git2::Oid>,
        new: Option<git2::Oid>,
    ) -> Result<Changes, BrowseError> {
        let mut comparing = Comparing {
            browser: self,
            until: deadline(self.limits.time()),
            found: Vec::new(),
            open_entries: 0,
            open_bytes: 0,
            path_bytes: 0,
            truncated: false,
        };
        comparing.trees(old, new, &[], 0)?;
        let Comparing { found: mut files, truncated, .. } = comparing;
        let mut renames_by_content_skipped = false;
        if renames::may_hold(&files) {
            let is_small = files.len() <= self.limits.rename_files && !truncated && !self.budget.is_spent();
            if is_small {
                // Without rename detection, a missing file can still be listed.
                match self.with_renames(old, new, &files) {
                    Ok((renamed, exact_only)) => (files, renames_by_content_skipped) = (renamed, exact_only),
                    Err(_) => {
                        self.budget.note_missed();
                        renames_by_content_skipped = true;
                    }
                }
            } else {
                renames::join_identical(&mut files);
                renames_by_content_skipped = renames::may_hold(&files);
            }
        }
        Ok(Changes { files, truncated, renames_by_content_skipped })
    }

    /// Pairs deleted and added files of similar content as renames. Returns the changes and whether
    /// only identical files were compared although other pairs are possible.
    fn with_renames(
        &self,
        old: Option<git2::Oid>,
        new: Option<git2::Oid>,
        changes: &[Change],
    ) -> Result<(Vec<Change>, bool), BrowseError> {
        let old = old.map(|oid| self.find_tree(oid)).transpose()?;
        let new = new.map(|oid| self.find_tree(oid)).transpose()?;
        let mut options = DiffOptions::new();
        options.include_typechange(true);
        let mut diff = self.repository.diff_tree_to_tree(old.as_ref(), new.as_ref(), Some(&mut options))?;
        let mut find = DiffFindOptions::new();
        find.renames(true).rename_limit(self.limits.rename_files);
        let exact_only = !self.can_be_read(changes)?;
        find.exact_match_only(exact_only);
        diff.find_similar(Some(&mut find))?;
        let files: Vec<_> = diff.deltas().filter_map(|delta| Change::of(&delta)).collect();
        let skipped = exact_only && renames::may_hold(&files);
        Ok((files, skipped))
    }

    /// Returns whether the added and deleted files are small enough in total to be compared with
    /// each other.
    fn can_be_read(&self, changes: &[Change]) -> Result<bool, BrowseError> {
        let mut total: usize = 0;
        for change in changes {
            let place = match change.status {
                ChangeStatus::Added => change.new,
                ChangeStatus::Deleted => change.old,
                _ => continue,
            };
            // libgit2 reads these files itself.
            let Some(place) = place.filter(|place| place.mode != MODE_COMMIT) else { continue };
            match self.check_size(place.oid, ObjectType::Blob, self.limits.diff_blob_bytes) {
                Ok(stored) => total = total.saturating_add(stored.bytes),
                Err(BrowseError::NotFound(_)) => {}
                Err(_) => return Ok(false),
            }
            if total > self.limits.diff_read_bytes {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Comparing<'_> {
    /// Compares two different trees of the folder `folder`.
    fn trees(
        &mut self,
        old: Option<git2::Oid>,
        new: Option<git2::Oid>,
        folder: &[u8],
        depth: usize,
    ) -> Result<(), BrowseError> {
        if depth >= DEPTH_MAX || Instant::now() >= self.until {
            self.truncated = true;
            return Ok(());
        }
        let bytes = [old, new].into_iter().flatten().try_fold(0_usize, |sum, oid| {
            Ok::<_, BrowseError>(sum.saturating_add(self.browser.stored(oid, "tree")?.bytes))
        })?;
        let before = self.open_bytes;
        self.open_bytes = before.saturating_add(bytes);
        if self.open_bytes > self.browser.limits.open_tree_bytes {
            self.truncated = true;
            return Ok(());
        }
        let old = old.map(|oid| self.browser.find_tree(oid)).transpose()?;
        let new = new.map(|oid| self.browser.find_tree(oid)).transpose()?;
        let length = |tree: &Option<Tree<'_>>| tree.as_ref().map_or(0, Tree::len);
        let opened = length(&old).saturating_add(length(&new));
        self.open_entries = self.open_entries.saturating_add(opened);
        if self.open_entries > OPEN_ENTRIES_MAX {
            self.truncated = true;
            return Ok(());
        }
        self.side_by_side(old.as_ref(), new.as_ref(), folder, depth)?;
        self.open_entries = self.open_entries.saturating_sub(opened);
        self.open_bytes = before;
        Ok(())
    }

    /// Walks both trees in parallel; they have the same order. Entries with the same id and mode
    /// are not opened.
    fn side_by_side(
        &mut self,
        old: Option<&Tree<'_>>,
        new: Option<&Tree<'_>>,
        folder: &[u8],
        depth: usize,
    ) -> Result<(), BrowseError> {
        let (mut old_at, mut new_at) = (0_usize, 0_usize);
        while !self.truncated {
            let old_entry = old.and_then(|tree| tree.get(old_at));
            let new_entry = new.and_then(|tree| tree.get(new_at));
            let order = match (&old_entry, &new_entry) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(old), Some(new)) => tree_order(old, new),
            };
            let old_entry = old_entry.filter(|_| order.is_le());
            let new_entry = new_entry.filter(|_| order.is_ge());
            old_at = old_at.saturating_add(usize::from(old_entry.is_some()));
            new_at = new_at.saturating_add(usize::from(new_entry.is_some()));
            let places = [&old_entry, &new_entry].map(|entry| entry.as_ref().map(PathEntry::of));
            let Some(entry) = new_entry.or(old_entry) else { break };
            let [old_place, new_place] = places;
            if old_place != new_place {
                let name = entry.name_bytes();
                if folder.len().saturating_add(name.len()) >= PATH_BYTES_MAX {
                    self.truncated = true;
                    break;
                }
                let path = if folder.is_empty() { name.to_vec() } else { [folder, name].join(&b'/') };
                self.places(old_place, new_place, path, depth)?;
            }
        }
        Ok(())
    }

    /// Compares two different entries of the same name. A tree is only ever paired with a tree,
    /// because trees and files sort differently.
    fn places(
        &mut self,
        old: Option<PathEntry>,
        new: Option<PathEntry>,
        path: Vec<u8>,
        depth: usize,
    ) -> Result<(), BrowseError> {
        if [old, new].into_iter().flatten().any(PathEntry::is_tree) {
            let (old, new) = (old.map(|place| place.oid), new.map(|place| place.oid));
            return self.trees(old, new, &path, depth.saturating_add(1));
        }
        self.path_bytes = self.path_bytes.saturating_add(path.len());
        let limits = &self.browser.limits;
        if self.found.len() >= limits.changed_files || self.path_bytes > limits.answer_bytes {
            self.truncated = true;
            return Ok(());
        }
        self.found.push(Change::at(path, old, new));
        Ok(())
    }
}

/// Compares two tree entries in the order of git: bytewise, with folder names compared as if they
/// ended in `/`.
fn tree_order(one: &git2::TreeEntry<'_>, other: &git2::TreeEntry<'_>) -> Ordering {
    let slash = |entry: &git2::TreeEntry<'_>| PathEntry::of(entry).is_tree().then_some(b'/');
    let (one_slash, other_slash) = (slash(one), slash(other));
    let one = one.name_bytes().iter().copied().chain(one_slash);
    one.cmp(other.name_bytes().iter().copied().chain(other_slash))
}

impl Change {
    /// Returns the change of the file at `path` from `old` to `new`.
    pub(super) fn at(path: Vec<u8>, old: Option<PathEntry>, new: Option<PathEntry>) -> Self {
        let status = match (old, new) {
            (None, _) => ChangeStatus::Added,
            (_, None) => ChangeStatus::Deleted,
            (Some(old), Some(new)) if old.mode & MODE_KIND != new.mode & MODE_KIND => {
                ChangeStatus::Typechange
            }
            _ => ChangeStatus::Modified,
        };
        Self { status, path, old_path: None, old, new }
    }

    fn of(delta: &git2::DiffDelta<'_>) -> Option<Self> {
        let status = match delta.status() {
            Delta::Added => ChangeStatus::Added,
            Delta::Deleted => ChangeStatus::Deleted,
            Delta::Modified => ChangeStatus::Modified,
            Delta::Renamed => ChangeStatus::Renamed,
            Delta::Copied => ChangeStatus::Copied,
            Delta::Typechange => ChangeStatus::Typechange,
            _ => return None,
        };
        let place = |file: git2::DiffFile<'_>| PathEntry { oid: file.id(), mode: i32::from(file.mode()) };
        let (old, new) = (delta.old_file(), delta.new_file());
        let moved = matches!(status, ChangeStatus::Renamed | ChangeStatus::Copied);
        Some(Self {
            status,
            path: new.path_bytes().or(old.path_bytes())?.to_vec(),
            old_path: old.path_bytes().filter(|_| moved).map(<[u8]>::to_vec),
            old: (status != ChangeStatus::Added).then(|| place(old)),
            new: (status != ChangeStatus::Deleted).then(|| place(new)),
        })
    }
}
