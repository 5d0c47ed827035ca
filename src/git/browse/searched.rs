//! Reads for the search of code and commits: the changed files of a branch, their texts, and the
//! newest commits.
//!
//! Links and submodules are not files of the search. Objects that are too large or malformed are
//! left out. Any other failure ends the read, which the caller repeats later: a list of files
//! without some of them would remove those from the index.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashSet};

use super::path::{DEPTH_MAX, MODE_COMMIT, MODE_LINK, PATH_BYTES_MAX, PathEntry, TreePath};
use super::{BrowseError, Browser, CommitSummary, Oid, blob};
use crate::domain::timestamp::Timestamp;

/// Bytes of the paths of changed files and folders: 50,000 paths of 320 bytes.
const PATHS_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Average number of parents of the commits of a walk that are in memory.
const PARENTS_EACH: usize = 64;

/// A file that differs between two commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedFile {
    pub path: Vec<u8>,
    /// `None`: the file was removed.
    pub oid: Option<Oid>,
}

/// The files that differ.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChangedFiles {
    pub files: Vec<ChangedFile>,
    /// Whether a limit, or an object that cannot be read, left out some.
    pub is_cut: bool,
}

/// The newest commits that lead to another.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewestCommits {
    pub commits: Vec<Oid>,
    /// Commits of the list that ends the walk.
    pub met: HashSet<Oid>,
    /// Whether there are more commits than wanted.
    pub is_full: bool,
    /// Whether the budget, or a commit that does not exist, left out some of the newest.
    pub is_cut: bool,
}

/// The texts of a commit.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchedCommit {
    pub summary: CommitSummary,
    pub message: String,
}

/// The entries of a folder, by name.
type Entries = BTreeMap<Vec<u8>, PathEntry>;

/// A folder of two trees.
struct Folder {
    path: Vec<u8>,
    depth: usize,
    old: Option<git2::Oid>,
    new: Option<git2::Oid>,
}

/// The files in which a commit differs from another, as far as their folders were read.
pub struct ChangesListing {
    old: Option<Oid>,
    new: Oid,
    pub changed: ChangedFiles,
    /// Folders that were read.
    pub folders_read: usize,
    has_begun: bool,
    waiting: Vec<Folder>,
    files_left: usize,
    folders_left: usize,
    paths_left: usize,
}

impl ChangesListing {
    /// Begins to list the files in which `new` differs from `old`, or all files of `new`. At most
    /// `files_max` are added or changed, and as many folders read.
    pub fn new(old: Option<Oid>, new: Oid, files_max: usize) -> Self {
        Self {
            old,
            new,
            changed: ChangedFiles::default(),
            folders_read: 0,
            has_begun: false,
            waiting: Vec::new(),
            files_left: files_max,
            folders_left: files_max,
            paths_left: PATHS_BYTES_MAX,
        }
    }

    /// Adds the files of a folder, and the folders in it to those that wait.
    fn compare(&mut self, folder: &Folder, old: &Entries, new: &Entries) {
        let names: std::collections::BTreeSet<&Vec<u8>> = old.keys().chain(new.keys()).collect();
        let mut folders = Vec::new();
        for name in names {
            let (before, after) = (old.get(name), new.get(name));
            if before == after {
                continue;
            }
            let path = if folder.path.is_empty() {
                name.clone()
            } else {
                [&folder.path, name.as_slice()].join(&b'/')
            };
            let Some(left) = self.paths_left.checked_sub(path.len()) else {
                self.changed.is_cut = true;
                self.paths_left = 0;
                continue;
            };
            self.paths_left = left;
            let trees =
                [before, after].map(|entry| entry.filter(|entry| entry.is_tree()).map(|entry| entry.oid));
            let files =
                [before, after].map(|entry| entry.filter(|entry| is_file(entry)).map(|entry| entry.oid));
            if files[0] != files[1] {
                if files[1].is_some() && self.files_left == 0 {
                    self.changed.is_cut = true;
                    continue;
                }
                self.files_left = self.files_left.saturating_sub(usize::from(files[1].is_some()));
                self.changed.files.push(ChangedFile { path: path.clone(), oid: files[1].map(Oid::from) });
            }
            if trees[0] != trees[1] {
                if self.folders_left == 0 || folder.depth >= DEPTH_MAX || path.len() >= PATH_BYTES_MAX {
                    self.changed.is_cut = true;
                    continue;
                }
                self.folders_left = self.folders_left.saturating_sub(1);
                folders.push(Folder { path, depth: folder.depth + 1, old: trees[0], new: trees[1] });
            }
        }
        self.waiting.extend(folders.into_iter().rev());
    }
}

/// Returns whether an entry is a file of the search.
fn is_file(entry: &PathEntry) -> bool {
    !entry.is_tree() && entry.mode != MODE_COMMIT && entry.mode != MODE_LINK
}

impl Browser {
    /// Reads further folders of a listing, until all are read.
    ///
    /// # Errors
    /// If a commit or a folder does not exist, which may be so after the repository was packed; if
    /// the disk fails; or if the budget of the browser is exhausted. Another browser may continue.
    pub fn list_changes(&self, listing: &mut ChangesListing) -> Result<(), BrowseError> {
        if !listing.has_begun {
            let old = listing.old.map(|old| self.find_commit(old.raw())).transpose()?;
            let new = Some(self.find_commit(listing.new.raw())?.tree);
            let root = Folder { path: Vec::new(), depth: 0, old: old.map(|commit| commit.tree), new };
            listing.waiting.push(root);
            listing.has_begun = true;
        }
        while let Some(folder) = listing.waiting.pop() {
            // Without an older commit, further folders can add nothing.
            if listing.old.is_none() && (listing.files_left == 0 || listing.paths_left == 0) {
                listing.changed.is_cut = true;
                listing.waiting.clear();
                return Ok(());
            }
            match (self.entries(folder.old), self.entries(folder.new)) {
                (Ok(old), Ok(new)) => {
                    listing.compare(&folder, &old, &new);
                    listing.folders_read += 1;
                }
                (Err(error), _) | (_, Err(error)) if folder.depth == 0 || self.may_end(&error) => {
                    listing.waiting.push(folder);
                    return Err(error);
                }
                _ => listing.changed.is_cut = true,
            }
        }
        Ok(())
    }

    /// Returns the files in which `new` differs from `old`, or all files of `new`.
    #[cfg(test)]
    fn searched_changes(
        &self,
        old: Option<Oid>,
        new: Oid,
        files_max: usize,
    ) -> Result<ChangedFiles, BrowseError> {
        let mut listing = ChangesListing::new(old, new, files_max);
        self.list_changes(&mut listing)?;
        Ok(listing.changed)
    }

    /// Returns the entries of a tree by name; none without a tree.
    fn entries(&self, tree: Option<git2::Oid>) -> Result<Entries, BrowseError> {
        let Some(tree) = tree else { return Ok(BTreeMap::new()) };
        let tree = self.find_tree(tree)?;
        Ok(tree.iter().map(|entry| (entry.name_bytes().to_vec(), PathEntry::of(&entry))).collect())
    }

    /// Returns whether another read may find a folder that this one did not.
    fn may_end(&self, error: &BrowseError) -> bool {
        self.budget.is_spent() || !error.is_lasting() || matches!(error, BrowseError::NotFound(_))
    }

    /// Returns whether a walk continues without an object after this error. It also ends a walk
    /// that the budget has ended.
    fn is_left_out(&self, error: &BrowseError) -> bool {
        error.is_lasting() || self.budget.is_spent()
    }

    /// Returns a text file, as git defines it; `None` for a binary file, a file of more than
    /// `bytes_max` bytes, and one that takes too much memory.
    ///
    /// # Errors
    /// If the file does not exist, which may be so after the repository was packed; if it cannot be
    /// read; or if the budget of the browser is exhausted.
    pub fn searched_text(&self, oid: Oid, bytes_max: usize) -> Result<Option<Vec<u8>>, BrowseError> {
        match self.read_blob(oid.raw(), bytes_max) {
            Ok(text) => Ok(Some(text).filter(|text| !blob::is_binary(text))),
            Err(BrowseError::TooLarge(_)) if !self.budget.is_spent() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns the size of a file, without reading it.
    pub fn searched_bytes(&self, oid: Oid) -> Result<usize, BrowseError> {
        let stored = self.stored(oid.raw(), "blob")?;
        if stored.kind != git2::ObjectType::Blob {
            return Err(BrowseError::NotFound("blob"));
        }
        Ok(stored.bytes)
    }

    /// Returns whether the budget of the browser is exhausted.
    pub fn is_exhausted(&self) -> bool {
        self.budget.is_spent()
    }

    /// Returns the file at a path of a commit; `None` if there is none.
    pub fn searched_file(&self, commit: Oid, path: &[u8]) -> Result<Option<Oid>, BrowseError> {
        let tree = self.find_commit(commit.raw())?.tree;
        let place = self.place(tree, &TreePath::of(path)?)?;
        Ok(place.filter(is_file).map(|entry| entry.oid.into()))
    }

    /// Returns the newest commits that lead to `head`, at most `limit`, without those of `known`
    /// and the ones that only they lead to.
    pub fn searched_commits(
        &self,
        head: Oid,
        known: &HashSet<Oid>,
        limit: usize,
    ) -> Result<NewestCommits, BrowseError> {
        let mut newest = NewestCommits::default();
        if known.contains(&head) {
            newest.met.insert(head);
            return Ok(newest);
        }
        let mut seen = HashSet::from([head]);
        let first = self.find_commit(head.raw())?;
        let mut waiting = BinaryHeap::from([(first.seconds, Reverse(head))]);
        let mut parents_of = BTreeMap::from([(head, first.parents)]);
        let mut parents_left = limit.saturating_mul(PARENTS_EACH);
        while let Some((_, Reverse(oid))) = waiting.pop() {
            newest.is_full = newest.commits.len() >= limit;
            newest.is_cut |= self.budget.is_spent();
            if newest.is_full || self.budget.is_spent() {
                break;
            }
            newest.commits.push(oid);
            let parents = parents_of.remove(&oid).unwrap_or_default();
            parents_left = parents_left.saturating_add(parents.len());
            for parent in parents {
                let parent = Oid::from(parent);
                if known.contains(&parent) {
                    newest.met.insert(parent);
                } else if seen.insert(parent) {
                    let found = match self.find_commit(parent.raw()) {
                        Err(error) if !self.is_left_out(&error) => return Err(error),
                        found => found.ok(),
                    };
                    let found = found.filter(|found| found.parents.len() < parents_left);
                    let Some(found) = found else {
                        newest.is_cut = true;
                        continue;
                    };
                    parents_left = parents_left.saturating_sub(found.parents.len());
                    waiting.push((found.seconds, Reverse(parent)));
                    parents_of.insert(parent, found.parents);
                }
            }
        }
        Ok(newest)
    }

    /// Returns the texts of a commit.
    pub fn searched_commit(&self, oid: Oid) -> Result<SearchedCommit, BrowseError> {
        let commit = self.find_commit(oid.raw())?;
        Ok(SearchedCommit { summary: CommitSummary::of(&commit), message: commit.message().0 })
    }

    /// Returns whether `commit` is among the newest `limit` commits that lead to `head`.
    pub fn is_among_newest(&self, head: Oid, commit: Oid, limit: usize) -> bool {
        let known = HashSet::from([commit]);
        self.searched_commits(head, &known, limit).is_ok_and(|newest| newest.met.contains(&commit))
    }
}

impl SearchedCommit {
    pub fn committed_at(&self) -> Timestamp {
        self.summary.committed_at
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{FILE, Files, LINK, SUBMODULE, SampleRepository, files};
    use super::*;
    use crate::git::browse::BrowseLimits;

    fn changes(browser: &Browser, old: Option<Oid>, new: Oid) -> Vec<(String, bool)> {
        let changed = browser.searched_changes(old, new, 100).unwrap();
        assert!(!changed.is_cut);
        let text = |file: &ChangedFile| String::from_utf8(file.path.clone()).unwrap();
        changed.files.iter().map(|file| (text(file), file.oid.is_some())).collect()
    }

    fn change(path: &str, is_there: bool) -> (String, bool) {
        (path.to_owned(), is_there)
    }

    #[test]
    fn changes_are_those_of_files() {
        let sample = SampleRepository::new();
        let first = sample.commit(&[], &files(&[("a/b/c", "1"), ("a/d", "2"), ("e", "3"), ("f", "4")]));
        let mut next = files(&[("a/b", "a file"), ("a/d", "2"), ("e/x", "3"), ("g", "5")]);
        next.insert("link".into(), (LINK, b"g".to_vec()));
        next.insert("sub".into(), (SUBMODULE, b"1111111111111111111111111111111111111111".to_vec()));
        let second = sample.commit(&[first], &next);
        let browser = sample.browser();
        let expected = [
            change("e", false),
            change("f", false),
            change("g", true),
            change("a/b", true),
            change("a/b/c", false),
            change("e/x", true),
        ];
        assert_eq!(changes(&browser, Some(first), second), expected);
        assert_eq!(changes(&browser, Some(second), second), []);
        let all = changes(&browser, None, second);
        assert_eq!(all, [change("g", true), change("a/b", true), change("a/d", true), change("e/x", true)]);
        assert!(browser.searched_changes(None, second, 2).unwrap().is_cut);
    }

    /// A list that a limit ended was taken as complete: the other files were removed.
    #[test]
    fn list_of_files_without_some_folders_is_an_error() {
        let sample = SampleRepository::new();
        let commit = sample.commit(&[], &files(&[("a/b", "1"), ("c/d", "2"), ("e", "3")]));
        let mut refused = 0;
        for read_bytes in (0..1_000).step_by(10) {
            let limits = BrowseLimits { read_bytes, ..BrowseLimits::default() };
            let browser = Browser::open(sample.path(), "main", limits).unwrap();
            match browser.searched_changes(None, commit, 100) {
                Ok(all) => assert!(all.files.len() == 3 && !all.is_cut, "{read_bytes}: {all:?}"),
                Err(_) => refused += 1,
            }
        }
        assert!((10..90).contains(&refused), "{refused} refused");
        // Browsers that are exhausted continue for each other.
        let (mut listing, mut browsers) = (ChangesListing::new(None, commit, 100), 0);
        loop {
            let limits = BrowseLimits { read_bytes: (refused - 1) * 10, ..BrowseLimits::default() };
            let browser = Browser::open(sample.path(), "main", limits).unwrap();
            browsers += 1;
            match browser.list_changes(&mut listing) {
                Ok(()) => break,
                Err(error) => assert!(browser.is_exhausted() && browsers < 10, "{error:?}"),
            }
        }
        assert!(browsers > 1 && listing.changed.files.len() == 3, "{browsers} browsers");
        let all = sample.browser().searched_changes(None, commit, 100).unwrap();
        assert!(all.files.len() == 3 && !all.is_cut);
        let folder = sample.browser().find_commit(commit.raw()).unwrap().tree;
        let browser = sample.browser();
        let oid = browser.entries(Some(folder)).unwrap()[b"a".as_slice()].oid.to_string();
        std::fs::remove_file(sample.path().join("objects").join(&oid[..2]).join(&oid[2..])).unwrap();
        let missing = sample.browser().searched_changes(None, commit, 100);
        assert_eq!(missing, Err(BrowseError::NotFound("tree")));
    }

    #[test]
    fn text_is_what_git_calls_text() {
        let sample = SampleRepository::new();
        let late = [vec![b'x'; 8_000], vec![0]].concat();
        let oids = [b"text".to_vec(), b"a\0b".to_vec(), late.clone()].map(|text| sample.blob(&text).into());
        let browser = sample.browser();
        let texts = oids.map(|oid| browser.searched_text(oid, 8_001).unwrap());
        assert_eq!(texts, [Some(b"text".to_vec()), None, Some(late)]);
        assert_eq!(browser.searched_text(oids[2], 8_000).unwrap(), None, "too large");
    }

    /// A failure of the disk was taken as a file without text, and never read again.
    #[test]
    fn file_that_cannot_be_read_is_not_taken_as_binary() {
        let sample = SampleRepository::new();
        let oid = sample.blob(b"text");
        let hex = oid.to_string();
        let object = sample.path().join("objects").join(&hex[..2]).join(&hex[2..]);
        let intact = std::fs::read(&object).unwrap();
        std::fs::remove_file(&object).unwrap();
        std::fs::write(&object, b"garbage").unwrap();
        let failed = sample.browser().searched_text(oid.into(), 100).unwrap_err();
        assert!(!failed.is_lasting(), "{failed:?}");
        std::fs::remove_file(&object).unwrap();
        let missing = sample.browser().searched_text(oid.into(), 100);
        assert_eq!(missing, Err(BrowseError::NotFound("blob")));
        std::fs::write(&object, intact).unwrap();
        assert_eq!(sample.browser().searched_text(oid.into(), 100), Ok(Some(b"text".to_vec())));
    }

    #[test]
    fn walk_ends_at_known_commits() {
        let sample = SampleRepository::new();
        let mut commits: Vec<Oid> = Vec::new();
        for number in 0..6 {
            let content: Files = std::iter::once(("n".to_owned(), (FILE, vec![number]))).collect();
            commits
                .push(sample.commit(commits.last().map(std::slice::from_ref).unwrap_or_default(), &content));
        }
        let browser = sample.browser();
        let all = browser.searched_commits(commits[5], &HashSet::new(), 100).unwrap();
        assert_eq!(all.commits, commits.iter().rev().copied().collect::<Vec<_>>());
        let known = HashSet::from([commits[2], commits[1]]);
        let new = browser.searched_commits(commits[5], &known, 100).unwrap();
        assert_eq!(new.commits, [commits[5], commits[4], commits[3]]);
        assert_eq!(new.met, HashSet::from([commits[2]]));
        let newest = browser.searched_commits(commits[5], &HashSet::new(), 3).unwrap();
        assert!(newest.is_full && !newest.is_cut);
        assert!(browser.is_among_newest(commits[5], commits[0], 10));
        assert!(!browser.is_among_newest(commits[5], commits[0], 3));
        assert!(!browser.is_among_newest(commits[0], commits[5], 10));
    }
}
