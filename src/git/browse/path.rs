//! A path within a tree and its lookup, name by name. Patterns are not supported.

use git2::ObjectType;

use super::commit::Commit;
use super::{BrowseError, Browser, path_text};

/// `PATH_MAX` of Linux: a checkout cannot contain a longer path.
pub(super) const PATH_BYTES_MAX: usize = 4096;
/// Maximum depth of nested folders. It limits every descent into trees.
pub(super) const DEPTH_MAX: usize = 128;

/// The validated segments of a path; empty for the root.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TreePath(Vec<Vec<u8>>);

impl TreePath {
    /// Parses the text of a path ([`path_text`]): segments separated by single slashes, none of
    /// them `.` or `..`; empty for the root.
    pub(super) fn parse(path: &str) -> Result<Self, BrowseError> {
        Self::of(&path_text::unescaped(path))
    }

    /// Parses the bytes of a path, as git stores them.
    pub(super) fn of(path: &[u8]) -> Result<Self, BrowseError> {
        if path.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let segments: Vec<_> = path.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect();
        let plain =
            |segment: &Vec<u8>| !matches!(segment.as_slice(), b"" | b"." | b"..") && !segment.contains(&0);
        if path.len() > PATH_BYTES_MAX || segments.len() > DEPTH_MAX || !segments.iter().all(plain) {
            return Err(BrowseError::BadRequest(
                "the path must be names separated by single slashes, without a leading or trailing slash, . and ..",
            ));
        }
        Ok(Self(segments))
    }

    /// Returns the path as git stores it.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.0.join(&b'/')
    }

    /// Returns the path as responses contain it.
    pub(super) fn text(&self) -> String {
        path_text::escaped(&self.bytes())
    }

    /// Returns the path of an entry of this folder.
    pub(super) fn join(&self, name: &[u8]) -> String {
        let folder = self.bytes();
        path_text::escaped(&if folder.is_empty() { name.to_vec() } else { [&folder, name].join(&b'/') })
    }
}

/// The id and mode of a tree entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PathEntry {
    pub(super) oid: git2::Oid,
    /// The mode as git writes it, with permissions normalized to 644 or 755.
    pub(super) mode: i32,
}

pub(super) const MODE_TREE: i32 = 0o040_000;
pub(super) const MODE_LINK: i32 = 0o120_000;
pub(super) const MODE_COMMIT: i32 = 0o160_000;
/// `4b825dc642cb6eb9a060e54bf8d69288fbee4904`.
const EMPTY_TREE: [u8; 20] = [
    0x4b, 0x82, 0x5d, 0xc6, 0x42, 0xcb, 0x6e, 0xb9, 0xa0, 0x60, 0xe5, 0x4b, 0xf8, 0xd6, 0x92, 0x88, 0xfb,
    0xee, 0x49, 0x04,
];

impl PathEntry {
    pub(super) fn of(entry: &git2::TreeEntry<'_>) -> Self {
        Self { oid: entry.id(), mode: entry.filemode() }
    }

    pub(super) fn is_tree(self) -> bool {
        self.mode == MODE_TREE
    }

    /// Returns `None` for the empty tree. It holds no file, so `git log` and the filters of a
    /// commit-graph treat it as absent.
    pub(super) fn filled(self) -> Option<Self> {
        (!self.is_tree() || self.oid.as_bytes() != EMPTY_TREE).then_some(self)
    }

    pub(super) fn octal(self) -> String {
        format!("{:06o}", self.mode)
    }
}

impl Browser {
    /// Returns the entry at `path` below `tree`; `None` if there is none.
    pub(super) fn place(&self, tree: git2::Oid, path: &TreePath) -> Result<Option<PathEntry>, BrowseError> {
        let mut place = PathEntry { oid: tree, mode: MODE_TREE };
        for segment in &path.0 {
            if !place.is_tree() {
                return Ok(None);
            }
            let folder = self.find_tree(place.oid)?;
            match folder.get_name_bytes(segment) {
                Some(entry) => place = PathEntry::of(&entry),
                None => return Ok(None),
            }
        }
        Ok(Some(place))
    }

    /// Resolves the text of a path in a commit to the path and its entry. A client without support
    /// for escapes may request a name that contains a literal escape sequence: where the unescaped
    /// name does not exist, the literal name is tried.
    pub(super) fn find_path(
        &self,
        commit: &Commit,
        text: &str,
    ) -> Result<(TreePath, Option<PathEntry>), BrowseError> {
        let path = TreePath::parse(text)?;
        let place = self.place(commit.tree, &path)?;
        if place.is_some() || path.bytes() == text.as_bytes() {
            return Ok((path, place));
        }
        let (mut names, mut here) = (Vec::new(), PathEntry { oid: commit.tree, mode: MODE_TREE });
        for (text, name) in text.split('/').zip(&path.0) {
            if !here.is_tree() {
                return Ok((path, None));
            }
            let folder = self.find_tree(here.oid)?;
            let found = [name.as_slice(), text.as_bytes()].into_iter().find_map(|name| {
                folder.get_name_bytes(name).map(|entry| (name.to_vec(), PathEntry::of(&entry)))
            });
            let Some((name, place)) = found else { return Ok((path, None)) };
            names.push(name);
            here = place;
        }
        Ok((TreePath(names), Some(here)))
    }

    /// Like [`Self::find_path`], but returns an error for a missing entry.
    pub(super) fn place_in(&self, commit: &Commit, text: &str) -> Result<(TreePath, PathEntry), BrowseError> {
        let (path, place) = self.find_path(commit, text)?;
        Ok((path, place.ok_or(BrowseError::NotFound("path"))?))
    }

    /// Returns the size of a blob without reading it; `None` if it is missing or not a blob.
    pub(super) fn blob_size(&self, oid: git2::Oid) -> Option<usize> {
        let stored = self.stored(oid, "file").ok()?;
        (stored.kind == ObjectType::Blob).then_some(stored.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tree_path_accepts_any_characters_in_names() {
        for path in ["", "a", "a/b c/d", ":(top)*", "-n", "a\\b", "...", "ü/\u{1}", "a:b", ".git/config"] {
            assert!(TreePath::parse(path).is_ok(), "{path}");
        }
    }

    #[test]
    fn tree_path_rejects_dot_segments_and_extra_slashes() {
        let (long, deep) = ("x".repeat(PATH_BYTES_MAX + 1), "a/".repeat(DEPTH_MAX) + "a");
        for path in ["/", "/a", "a/", "a//b", ".", "a/./b", "..", "../a", "a/..", "a\0b", &long, &deep] {
            assert!(matches!(TreePath::parse(path), Err(BrowseError::BadRequest(_))), "{path}");
        }
    }

    #[test]
    fn tree_path_joins_name_to_folder() {
        assert_eq!(TreePath::parse("").unwrap().join(b"x"), "x");
        assert_eq!(TreePath::parse("a/b").unwrap().join(b"\xff"), "a/b/%FF");
    }
}
