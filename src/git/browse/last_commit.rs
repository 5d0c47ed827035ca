//! Finds the last commit of every entry of a folder, in one walk.
//!
//! All entries start at the requested commit and move back through the history. At each commit an
//! entry moves to the first parent in which its id and mode are the same, as in
//! `git log -1 -- entry`. If there is none, this commit is the last commit of the entry. Each entry
//! is therefore at one commit at a time, and only ids and modes are compared.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use super::Browser;
use super::changed_paths::PathKey;
use super::commit::Commit;
use super::commits::{Links, Node};
use super::history::Walk;
use super::object::CommitSummary;
use super::path::{PathEntry, TreePath};
use super::tree_places::TreePlaces;

/// Number of trees that stay open.
const TREES_KEPT: usize = 2;

/// An entry of the folder.
struct ListedEntry {
    name: Vec<u8>,
    place: PathEntry,
    key: PathKey,
}

/// The state of the walk. Entries are identified by their position in the listing.
struct Attribution<'b> {
    browser: &'b Browser,
    /// `None` for the root, which any commit may change.
    folder_key: Option<PathKey>,
    entries: Vec<ListedEntry>,
    /// The folder's entry in each root tree.
    folders: TreePlaces<'b>,
    /// The folder in the last commit and in its parent: the next commit is usually that parent.
    trees: VecDeque<Rc<git2::Tree<'b>>>,
    waiting: HashMap<Node, Vec<usize>>,
    found: Vec<Option<CommitSummary>>,
    answer_left: usize,
}

impl Browser {
    /// Returns the last commit of each entry of `folder` at `commit`, and whether some are missing
    /// because of a limit of the walk.
    pub(super) fn last_commits(
        &self,
        commit: &Commit,
        folder: &TreePath,
        entries: Vec<(Vec<u8>, PathEntry)>,
    ) -> (Vec<Option<CommitSummary>>, bool) {
        self.budget.extend(self.limits.walk_tree_bytes);
        let mut walk = Walk::new(self);
        let all = (0..entries.len()).collect();
        let path = folder.bytes();
        let entry = |(name, place): (Vec<u8>, PathEntry)| {
            let path = if path.is_empty() { name.clone() } else { [path.as_slice(), &name].join(&b'/') };
            ListedEntry { key: PathKey::new(&path), name, place }
        };
        let mut attribution = Attribution {
            browser: self,
            folder_key: (!path.is_empty()).then(|| PathKey::new(&path)),
            folders: TreePlaces::new(self, folder),
            trees: VecDeque::new(),
            waiting: HashMap::from([(walk.push_oid(commit.oid), all)]),
            found: vec![None; entries.len()],
            answer_left: self.limits.answer_bytes,
            entries: entries.into_iter().map(entry).collect(),
        };
        while let Some((node, links)) = walk.next() {
            // With wrong commit dates, entries can reach a commit that was visited before.
            walk.unmark(node);
            attribution.visit(&mut walk, node, &links);
        }
        let Attribution { found, entries, .. } = attribution;
        let mut missing = found.iter().zip(entries).filter(|(commit, _)| commit.is_none());
        // A folder that was always empty has no last commit.
        let truncated = missing.any(|(_, entry)| entry.place.filled().is_some() || walk.is_incomplete());
        (found, truncated)
    }
}

impl<'b> Attribution<'b> {
    fn visit(&mut self, walk: &mut Walk<'_>, node: Node, links: &Links) {
        let mut here = self.waiting.remove(&node).unwrap_or_default();
        for (number, parent) in links.parents.iter().enumerate() {
            if here.is_empty() || walk.is_late() {
                break;
            }
            let mut same = Vec::new();
            if number == 0 {
                (here, same) = self.may_change(walk, node, here);
            }
            if !here.is_empty() {
                let Some(theirs) = walk.look_at(*parent) else { continue };
                let (own, place) = (self.folders.at(links.tree), self.folders.at(theirs.tree));
                let unchanged;
                (unchanged, here) = if place == own { (here, Vec::new()) } else { self.divide(here, place) };
                same.extend(unchanged);
            }
            if !same.is_empty() {
                self.waiting.entry(*parent).or_default().extend(same);
                walk.push(*parent);
            }
        }
        if links.parents.is_empty() {
            here.retain(|index| self.entries.get(*index).is_some_and(|entry| entry.place.filled().is_some()));
        }
        if here.is_empty() || walk.is_late() {
            return;
        }
        let Ok(commit) = walk.commits.read_texts(node) else { return };
        let summary = CommitSummary::of(&commit);
        for index in here {
            let Some(left) = self.answer_left.checked_sub(summary.json_bytes()) else { return };
            self.answer_left = left;
            if let Some(found) = self.found.get_mut(index) {
                *found = Some(summary.clone());
            }
        }
    }

    /// Splits entries into those that the commit may have changed compared with its first parent,
    /// and those that it has not.
    fn may_change(&self, walk: &Walk<'_>, node: Node, entries: Vec<usize>) -> (Vec<usize>, Vec<usize>) {
        if self.folder_key.as_ref().is_some_and(|key| !walk.commits.may_change(node, key)) {
            return (Vec::new(), entries);
        }
        let may_change = |index: &usize| {
            self.entries.get(*index).is_none_or(|entry| walk.commits.may_change(node, &entry.key))
        };
        entries.into_iter().partition(may_change)
    }

    /// Splits entries into those that are the same in the folder at `place`, and those that differ.
    fn divide(&mut self, entries: Vec<usize>, place: Option<PathEntry>) -> (Vec<usize>, Vec<usize>) {
        let tree = place.filter(|place| place.is_tree()).and_then(|place| self.tree(place.oid));
        let there = |name: &[u8]| PathEntry::of(&tree.as_ref()?.get_name_bytes(name)?).filled();
        entries.into_iter().partition(|index| {
            let entry = self.entries.get(*index);
            entry.is_some_and(|ListedEntry { name, place, .. }| there(name) == place.filled())
        })
    }

    fn tree(&mut self, oid: git2::Oid) -> Option<Rc<git2::Tree<'b>>> {
        if let Some(known) = self.trees.iter().find(|tree| tree.id() == oid) {
            return Some(known.clone());
        }
        let tree = Rc::new(self.browser.find_tree(oid).ok()?);
        self.trees.truncate(TREES_KEPT - 1);
        self.trees.push_front(tree.clone());
        Some(tree)
    }
}
