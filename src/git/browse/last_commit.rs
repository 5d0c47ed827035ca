//! The last commit of every entry of a folder, in one walk.
//!
//! The entries start at the commit that is shown and move back through the history. At each commit an entry goes to
//! the first parent that has it with the same id and mode, as `git log -1 -- entry` would; if no parent has, this
//! commit made it what it is. So an entry is at one commit at a time, and ids are all that is compared.

use std::collections::HashMap;

use git2::Commit;

use super::Browser;
use super::history::Walk;
use super::object::CommitSummary;
use super::path::{Place, TreePath};

/// Entries on their way back through the history, by their position in the listing.
struct Attribution<'b> {
    browser: &'b Browser,
    folder: &'b TreePath<'b>,
    entries: Vec<(Vec<u8>, Place)>,
    /// The folder's place in a root tree; the history repeats itself.
    folders: HashMap<git2::Oid, Option<Place>>,
    waiting: HashMap<git2::Oid, Vec<usize>>,
    found: Vec<Option<CommitSummary>>,
    answer_left: usize,
}

impl Browser {
    /// The last commit of each of the entries of `folder` at `commit`, and whether some are missing because the walk
    /// may not go on.
    pub(super) fn last_commits(
        &self,
        commit: &Commit<'_>,
        folder: &TreePath<'_>,
        entries: Vec<(Vec<u8>, Place)>,
    ) -> (Vec<Option<CommitSummary>>, bool) {
        let all = (0..entries.len()).collect();
        let mut attribution = Attribution {
            browser: self,
            folder,
            folders: HashMap::new(),
            waiting: HashMap::from([(commit.id(), all)]),
            found: vec![None; entries.len()],
            answer_left: self.limits.answer_bytes,
            entries,
        };
        let mut walk = Walk::new(self);
        walk.push(commit.id());
        while let Some(commit) = walk.next() {
            // Where clocks were wrong, entries can come to a commit that was visited before.
            walk.forget(commit.id());
            attribution.visit(&mut walk, &commit);
        }
        let truncated = attribution.found.iter().any(Option::is_none);
        (attribution.found, truncated)
    }
}

impl Attribution<'_> {
    fn visit<'w>(&mut self, walk: &mut Walk<'w>, commit: &Commit<'w>) {
        let mut here = self.waiting.remove(&commit.id()).unwrap_or_default();
        let own = self.folder_in(commit);
        for parent_id in Browser::parents(commit) {
            if here.is_empty() || walk.is_late() {
                break;
            }
            let Some(parent) = walk.look_at(parent_id) else { continue };
            let place = self.folder_in(&parent);
            let same;
            (same, here) = if place == own { (here, Vec::new()) } else { self.divide(here, place) };
            if !same.is_empty() {
                self.waiting.entry(parent.id()).or_default().extend(same);
                walk.push(parent.id());
            }
        }
        if here.is_empty() || walk.is_late() {
            return;
        }
        let summary = CommitSummary::of(commit);
        for index in here {
            let Some(left) = self.answer_left.checked_sub(summary.json_bytes()) else { return };
            self.answer_left = left;
            if let Some(found) = self.found.get_mut(index) {
                *found = Some(summary.clone());
            }
        }
    }

    /// Which of the entries are the same in the folder at `place`, and which are not.
    fn divide(&self, entries: Vec<usize>, place: Option<Place>) -> (Vec<usize>, Vec<usize>) {
        let tree =
            place.filter(|place| place.is_tree()).and_then(|place| self.browser.find_tree(place.oid).ok());
        let Some(tree) = tree else { return (Vec::new(), entries) };
        entries.into_iter().partition(|index| {
            self.entries.get(*index).is_some_and(|(name, place)| {
                tree.get_name_bytes(name).is_some_and(|entry| Place::of(&entry) == *place)
            })
        })
    }

    /// A folder that cannot be read is not there.
    fn folder_in(&mut self, commit: &Commit<'_>) -> Option<Place> {
        let root = commit.tree_id();
        *self.folders.entry(root).or_insert_with(|| self.browser.place(root, self.folder).unwrap_or(None))
    }
}
