//! Lists folders: the entries of a tree.

use std::fmt;

use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::budget::json_bytes;
use super::object::{CommitSummary, Oid};
use super::path::{MODE_COMMIT, MODE_LINK, MODE_TREE, PathEntry};
use super::{BrowseError, Browser};

/// The kind of an entry: the object types of git, and `symlink`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    Blob,
    Tree,
    /// A submodule: a commit of another repository, which this repository does not contain.
    Commit,
    /// A blob whose content is the target path of the link.
    Symlink,
}

impl EntryKind {
    fn of(place: PathEntry) -> Self {
        match place.mode {
            MODE_TREE => Self::Tree,
            MODE_COMMIT => Self::Commit,
            MODE_LINK => Self::Symlink,
            _ => Self::Blob,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct TreeEntry {
    /// The name for display: bytes that are not UTF-8 are replaced by U+FFFD.
    pub name: String,
    /// The path from the root of the repository, for requests: bytes that are not UTF-8 are written
    /// as `%` and two hex digits.
    pub path: String,
    pub kind: EntryKind,
    /// Six octal digits, such as `100644`.
    pub mode: String,
    pub oid: Oid,
    /// The size of a blob or link; absent if the object is missing.
    pub size_bytes: Option<usize>,
    /// The commit that last changed the entry, if it was requested and found.
    pub last_commit: Option<CommitSummary>,
}

/// The requested part of the entries of a folder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct TreePart {
    /// Maximum number of entries; `None`: as many as fit into one response.
    pub limit: Option<usize>,
    /// The end of the previous page.
    pub cursor: Option<TreeCursor>,
}

/// The end of a page of a folder: the number of entries before it, and their tree, which is
/// immutable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TreeCursor {
    tree: Oid,
    entries: usize,
}

impl TreeCursor {
    pub fn parse(text: &str) -> Option<Self> {
        let (tree, entries) = text.split_once('-')?;
        Some(Self { tree: Oid::parse(tree)?, entries: entries.parse().ok()? })
    }
}

impl Serialize for TreeCursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for TreeCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.tree, self.entries)
    }
}

/// A folder of a commit.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Tree {
    pub commit_oid: Oid,
    pub oid: Oid,
    /// Empty for the root.
    pub path: String,
    /// In the order of git: bytewise, with folder names compared as if they ended in `/`.
    pub entries: Vec<TreeEntry>,
    /// Whether the folder has more entries after the listed ones.
    pub truncated: bool,
    /// The `cursor` of the next page.
    #[schema(value_type = Option<String>)]
    pub next: Option<TreeCursor>,
    /// Whether the walk through the history ended before the last commit of every entry was found.
    pub history_truncated: bool,
}

impl Tree {
    /// Returns the size in memory.
    pub fn memory_bytes(&self) -> usize {
        let texts = |entry: &TreeEntry| {
            let own =
                [&entry.name, &entry.path, &entry.mode].map(String::capacity).into_iter().sum::<usize>();
            own + entry.last_commit.as_ref().map_or(0, CommitSummary::text_bytes)
        };
        let entries = self.entries.capacity() * size_of::<TreeEntry>();
        size_of::<Self>() + self.path.capacity() + entries + self.entries.iter().map(texts).sum::<usize>()
    }
}

impl Browser {
    /// Returns the folder at `path` in a commit; with `with_history`, every entry with its last
    /// commit, found in one walk.
    pub fn tree(&self, commit: Oid, path: &str, with_history: bool) -> Result<Tree, BrowseError> {
        self.tree_part(commit, path, with_history, TreePart::default())
    }

    /// Like [`Self::tree`], but returns only a part of the entries.
    pub fn tree_part(
        &self,
        commit: Oid,
        path: &str,
        with_history: bool,
        part: TreePart,
    ) -> Result<Tree, BrowseError> {
        let commit = self.find_commit(commit.raw())?;
        let (folder, place) = self.place_in(&commit, path)?;
        if !place.is_tree() {
            return Err(BrowseError::BadRequest("the path is not a folder"));
        }
        let tree = self.find_tree(place.oid)?;
        let before = match part.cursor {
            None => 0,
            Some(cursor) if cursor.tree == place.oid.into() => cursor.entries,
            Some(_) => {
                return Err(BrowseError::BadRequest(
                    "the cursor is for another folder, or the folder has changed",
                ));
            }
        };
        let count = self.listed_entries(&tree, path, before, part.limit);
        let listed = || tree.iter().skip(before).take(count);
        let mut entries: Vec<_> = listed()
            .map(|entry| {
                let place = PathEntry::of(&entry);
                let kind = EntryKind::of(place);
                let has_size = matches!(kind, EntryKind::Blob | EntryKind::Symlink);
                TreeEntry {
                    name: String::from_utf8_lossy(entry.name_bytes()).into_owned(),
                    path: folder.join(entry.name_bytes()),
                    kind,
                    mode: place.octal(),
                    oid: place.oid.into(),
                    size_bytes: has_size.then(|| self.blob_size(place.oid)).flatten(),
                    last_commit: None,
                }
            })
            .collect();
        let mut history_truncated = false;
        if with_history {
            let names = listed().map(|entry| (entry.name_bytes().to_vec(), PathEntry::of(&entry))).collect();
            let (commits, truncated) = self.last_commits(&commit, &folder, names);
            for (entry, commit) in entries.iter_mut().zip(commits) {
                entry.last_commit = commit;
            }
            history_truncated = truncated;
        }
        let end = before.saturating_add(entries.len());
        let next = (tree.len() > end).then(|| TreeCursor { tree: place.oid.into(), entries: end });
        Ok(Tree {
            commit_oid: commit.oid.into(),
            oid: place.oid.into(),
            path: folder.text(),
            truncated: next.is_some(),
            next,
            entries,
            history_truncated,
        })
    }

    /// Checks that a commit contains `folder` and all `paths` in it.
    ///
    /// # Errors
    /// [`BrowseError`] if one of the paths does not exist or `folder` is not a folder.
    pub fn check_paths(&self, commit: Oid, folder: &str, paths: &[String]) -> Result<(), BrowseError> {
        let commit = self.find_commit(commit.raw())?;
        if !self.place_in(&commit, folder)?.1.is_tree() {
            return Err(BrowseError::BadRequest("the path is not a folder"));
        }
        for path in paths {
            let whole = if folder.is_empty() { path.clone() } else { format!("{folder}/{path}") };
            self.place_in(&commit, &whole)?;
        }
        Ok(())
    }

    /// Returns how many entries after the first `before` fit into a response, at least 1. Each
    /// entry takes the size of its name and its whole path.
    fn listed_entries(
        &self,
        tree: &git2::Tree<'_>,
        folder: &str,
        before: usize,
        limit: Option<usize>,
    ) -> usize {
        let most = self.limits.tree_entries;
        let most = limit.map_or(most, |limit| limit.clamp(1, most));
        let (mut left, folder) = (self.limits.answer_bytes, json_bytes(folder.as_bytes()));
        let mut fits = |entry: &git2::TreeEntry<'_>| {
            // The name is in the response twice, and a byte that is not UTF-8 becomes three bytes.
            let name = json_bytes(entry.name_bytes()).saturating_mul(2);
            let name = if entry.name().is_ok() { name } else { name.saturating_mul(3) };
            let rest = left.checked_sub(name.saturating_add(folder));
            left = rest.unwrap_or(0);
            rest.is_some()
        };
        tree.iter().skip(before).take(most).take_while(|entry| fits(entry)).count().max(1)
    }
}
