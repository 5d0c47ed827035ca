//! The last commit of every entry of a folder, in one walk.
//!
//! The entries start at the commit that is shown and move back through the history. At each commit an entry goes to
//! the first parent that has it with the same id and mode, as `git log -1 -- entry` would; if no parent has, this
//! commit made it what it is. So an entry is at one commit at a time, and ids are all that is compared.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use super::Browser;
use super::changed_paths::PathKey;
use super::commit::Commit;
use super::commits::{Links, Node};
use super::history::Walk;
use super::object::CommitSummary;
use super::path::{Place, TreePath};
use super::tree_places::TreePlaces;

/// Folders that stay open.
const TREES_KEPT: usize = 2;

/// One of the entries.
struct Entry {
    name: Vec<u8>,
    place: Place,
    key: PathKey,
}

/// Entries on their way back through the history, by their position in the listing.
struct Attribution<'b> {
    browser: &'b Browser,
    /// `None` for the root, which every commit may change.
    folder_key: Option<PathKey>,
    entries: Vec<Entry>,
    /// The folder in root trees.
    folders: TreePlaces<'b>,
    /// The folder of the last commit and of its parent: the next commit is mostly that parent.
    trees: VecDeque<Rc<git2::Tree<'b>>>,
    waiting: HashMap<Node, Vec<usize>>,
    found: Vec<Option<CommitSummary>>,
    answer_left: usize,
}

impl Browser {
    /// The last commit of each of the entries of `folder` at `commit`, and whether some are missing because the walk
    /// may not go on.
    pub(super) fn last_commits(
        &self,
        commit: &Commit,
        folder: &TreePath,
        entries: Vec<(Vec<u8>, Place)>,
    ) -> (Vec<Option<CommitSummary>>, bool) {
        self.budget.extend(self.limits.walk_tree_bytes);
        let mut walk = Walk::new(self);
        let all = (0..entries.len()).collect();
        let path = folder.bytes();
        let entry = |(name, place): (Vec<u8>, Place)| {
            let path = if path.is_empty() { name.clone() } else { [path.as_slice(), &name].join(&b'/') };
            Entry { key: PathKey::new(&path), name, place }
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
            // Where clocks were wrong, entries can come to a commit that was visited before.
            walk.forget(node);
            attribution.visit(&mut walk, node, &links);
        }
        let Attribution { found, entries, .. } = attribution;
        let mut missing = found.iter().zip(entries).filter(|(commit, _)| commit.is_none());
        // To a folder that was always empty, no commit leads.
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

    /// The entries that the commit may have changed against its first parent, and those that it has not.
    fn may_change(&self, walk: &Walk<'_>, node: Node, entries: Vec<usize>) -> (Vec<usize>, Vec<usize>) {
        if self.folder_key.as_ref().is_some_and(|key| !walk.commits.may_change(node, key)) {
            return (Vec::new(), entries);
        }
        let may_change = |index: &usize| {
            self.entries.get(*index).is_none_or(|entry| walk.commits.may_change(node, &entry.key))
        };
        entries.into_iter().partition(may_change)
    }

    /// Which of the entries are the same in the folder at `place`, and which are not.
    fn divide(&mut self, entries: Vec<usize>, place: Option<Place>) -> (Vec<usize>, Vec<usize>) {
        let tree = place.filter(|place| place.is_tree()).and_then(|place| self.tree(place.oid));
        let there = |name: &[u8]| Place::of(&tree.as_ref()?.get_name_bytes(name)?).filled();
        entries.into_iter().partition(|index| {
            let entry = self.entries.get(*index);
            entry.is_some_and(|Entry { name, place, .. }| there(name) == place.filled())
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
