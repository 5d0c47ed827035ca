//! A path within a tree, and its lookup: one name after the other, nothing is a pattern.

use git2::ObjectType;

use super::commit::Commit;
use super::{BrowseError, Browser};

/// Linux's `PATH_MAX`: no checkout could hold a longer one.
pub(super) const PATH_BYTES_MAX: usize = 4096;
/// Folders within folders. It bounds every descent into trees.
pub(super) const DEPTH_MAX: usize = 128;

/// Checked segments; none for the root.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TreePath<'p>(Vec<&'p str>);

impl<'p> TreePath<'p> {
    /// Segments divided by single slashes, none of them `.` or `..`; empty for the root.
    pub(super) fn parse(path: &'p str) -> Result<Self, BrowseError> {
        if path.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let segments: Vec<_> = path.split('/').collect();
        let plain = |segment: &&str| !matches!(*segment, "" | "." | "..") && !segment.contains('\0');
        if path.len() > PATH_BYTES_MAX || segments.len() > DEPTH_MAX || !segments.iter().all(plain) {
            return Err(BrowseError::BadRequest(
                "the path must be names divided by single slashes, without a leading or trailing slash, . and ..",
            ));
        }
        Ok(Self(segments))
    }

    /// As git stores it.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.0.join("/").into_bytes()
    }

    /// The path of something within this folder. The name need not be UTF-8; the answer is.
    pub(super) fn join(&self, name: &[u8]) -> String {
        let name = String::from_utf8_lossy(name);
        if self.0.is_empty() { name.into_owned() } else { format!("{}/{name}", self.0.join("/")) }
    }
}

/// What a tree says about a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) oid: git2::Oid,
    /// As git writes it, permissions brought to 644 or 755.
    pub(super) mode: i32,
}

pub(super) const MODE_TREE: i32 = 0o040_000;
pub(super) const MODE_LINK: i32 = 0o120_000;
pub(super) const MODE_COMMIT: i32 = 0o160_000;

impl Place {
    pub(super) fn of(entry: &git2::TreeEntry<'_>) -> Self {
        Self { oid: entry.id(), mode: entry.filemode() }
    }

    pub(super) fn is_tree(self) -> bool {
        self.mode == MODE_TREE
    }

    pub(super) fn octal(self) -> String {
        format!("{:06o}", self.mode)
    }
}

impl Browser {
    /// What lies at `path` below `tree`; `None` if nothing does.
    pub(super) fn place(&self, tree: git2::Oid, path: &TreePath<'_>) -> Result<Option<Place>, BrowseError> {
        let mut place = Place { oid: tree, mode: MODE_TREE };
        for segment in &path.0 {
            if !place.is_tree() {
                return Ok(None);
            }
            let folder = self.find_tree(place.oid)?;
            match folder.get_name_bytes(segment.as_bytes()) {
                Some(entry) => place = Place::of(&entry),
                None => return Ok(None),
            }
        }
        Ok(Some(place))
    }

    /// The same in a commit.
    pub(super) fn place_in(&self, commit: &Commit, path: &TreePath<'_>) -> Result<Place, BrowseError> {
        self.place(commit.tree, path)?.ok_or(BrowseError::NotFound("path"))
    }

    /// A blob's size without reading it; `None` when it is missing or no blob.
    pub(super) fn blob_size(&self, oid: git2::Oid) -> Option<usize> {
        let stored = self.stored(oid, "file").ok()?;
        (stored.kind == ObjectType::Blob).then_some(stored.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_paths_are_accepted_whatever_characters_they_hold() {
        for path in ["", "a", "a/b c/d", ":(top)*", "-n", "a\\b", "...", "ü/\u{1}", "a:b", ".git/config"] {
            assert!(TreePath::parse(path).is_ok(), "{path}");
        }
    }

    #[test]
    fn a_path_that_climbs_or_stutters_is_refused() {
        let (long, deep) = ("x".repeat(PATH_BYTES_MAX + 1), "a/".repeat(DEPTH_MAX) + "a");
        for path in ["/", "/a", "a/", "a//b", ".", "a/./b", "..", "../a", "a/..", "a\0b", &long, &deep] {
            assert!(matches!(TreePath::parse(path), Err(BrowseError::BadRequest(_))), "{path}");
        }
    }

    #[test]
    fn a_name_is_joined_to_its_folder() {
        assert_eq!(TreePath::parse("").unwrap().join(b"x"), "x");
        assert_eq!(TreePath::parse("a/b").unwrap().join(b"\xff"), "a/b/\u{fffd}");
    }
}
