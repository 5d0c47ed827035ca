//! The history behind a commit, newest first, as `git log` orders it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::time::{Duration, Instant};

use git2::Commit;
use serde::Serialize;

use super::object::{CommitView, Oid};
use super::path::{Place, TreePath};
use super::{BrowseError, Browser, PARENTS_MAX};

/// Commits, and the one to continue behind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CommitPage {
    pub items: Vec<CommitView>,
    pub next: Option<Oid>,
    /// Whether the list ends here because the walk may not go on, and not because the history ends.
    pub truncated: bool,
}

impl Browser {
    /// Commits that lead to `from`, those behind the cursor `after`; with a path, only those that changed it, found as
    /// `git log -- path` does: a merge that took a side as it was is passed through to that side.
    ///
    /// Every page walks from the start again, so the budget of one walk bounds how deep the pages reach.
    pub fn commits(
        &self,
        from: Oid,
        path: Option<&str>,
        after: Option<Oid>,
        limit: usize,
    ) -> Result<CommitPage, BrowseError> {
        let limit = self.limits.page(limit);
        let path = path.map(TreePath::parse).transpose()?;
        let mut places = Places { browser: self, path: path.as_ref(), known: HashMap::new() };
        let mut walk = Walk::from(self, from)?;
        let mut page = CommitPage { items: Vec::new(), next: None, truncated: false };
        let mut answer_left = self.limits.answer_bytes;
        let mut skip_to = after.map(Oid::raw);
        while let Some(commit) = walk.next() {
            if !places.advance(&mut walk, &commit) {
                continue;
            }
            if let Some(cursor) = skip_to {
                if cursor == commit.id() {
                    skip_to = None;
                }
                continue;
            }
            if page.items.len() == limit {
                page.next = page.items.last().map(|item| item.oid);
                return Ok(page);
            }
            let item = CommitView::of(&commit);
            let Some(left) =
                answer_left.checked_sub(item.json_bytes()).or(page.items.is_empty().then_some(0))
            else {
                // A page of fewer items, with more behind it.
                page.next = page.items.last().map(|item| item.oid);
                return Ok(page);
            };
            answer_left = left;
            page.items.push(item);
        }
        page.truncated = walk.is_incomplete();
        if skip_to.is_some() && !page.truncated {
            return Err(BrowseError::BadRequest("the cursor is not a commit of this history"));
        }
        Ok(page)
    }
}

/// What lies at one path in one commit after the other.
struct Places<'w> {
    browser: &'w Browser,
    path: Option<&'w TreePath<'w>>,
    known: HashMap<git2::Oid, Option<Place>>,
}

impl Places<'_> {
    /// Puts the parents that matter into the walk and says whether the commit changed what lies at the path.
    fn advance<'w>(&mut self, walk: &mut Walk<'w>, commit: &Commit<'w>) -> bool {
        if let Some(path) = self.path {
            let own = self.place(commit, path);
            if commit.parent_count() == 0 {
                return own.is_some();
            }
            for parent in Browser::parents(commit) {
                let Some(found) = walk.look_at(parent) else { break };
                if self.place(&found, path) == own {
                    walk.push(parent);
                    return false;
                }
            }
            if walk.is_late() {
                return false;
            }
        }
        for parent in Browser::parents(commit) {
            walk.push(parent);
        }
        true
    }

    /// A tree that cannot be read holds nothing.
    fn place(&mut self, commit: &Commit<'_>, path: &TreePath<'_>) -> Option<Place> {
        *self
            .known
            .entry(commit.tree_id())
            .or_insert_with(|| self.browser.place(commit.tree_id(), path).unwrap_or(None))
    }
}

/// Commits by date, newest first; among equals, the one that was met first. Nothing is loaded
/// beyond the budget, and when that is used up the walk ends, so that what was given is a true
/// beginning. Only ids and dates are kept: a commit may have hundreds of kilobytes, and a merge
/// thousands of parents.
pub(super) struct Walk<'w> {
    browser: &'w Browser,
    waiting: BinaryHeap<Waiting>,
    seen: HashSet<git2::Oid>,
    loaded: usize,
    until: Instant,
    exhausted: bool,
    /// A commit was missing or unreadable: what lies behind it is not in the walk.
    broken: bool,
}

impl<'w> Walk<'w> {
    pub(super) fn new(browser: &'w Browser) -> Self {
        Self {
            browser,
            waiting: BinaryHeap::new(),
            seen: HashSet::new(),
            loaded: 0,
            until: deadline(browser.limits.time()),
            exhausted: false,
            broken: false,
        }
    }

    pub(super) fn from(browser: &'w Browser, commit: Oid) -> Result<Self, BrowseError> {
        let mut walk = Self::new(browser);
        browser.find_commit(commit.raw())?;
        walk.push(commit.raw());
        Ok(walk)
    }

    /// A commit to visit, unless it was already pushed.
    pub(super) fn push(&mut self, oid: git2::Oid) {
        if !self.seen.insert(oid) {
            return;
        }
        if self.loaded >= self.browser.limits.walk_commits || self.is_late() {
            self.exhausted = true;
            return;
        }
        self.loaded = self.loaded.saturating_add(1);
        if let Some(commit) = self.look_at(oid) {
            let order = Reverse(self.loaded);
            self.waiting.push(Waiting { seconds: commit.time().seconds(), order, oid });
        }
    }

    /// A commit, unless it cannot be read or the walk is at its end.
    pub(super) fn look_at(&mut self, oid: git2::Oid) -> Option<Commit<'w>> {
        if self.is_late() {
            return None;
        }
        let found = self.browser.find_commit(oid).ok();
        if found.is_none() {
            self.broken = true;
        }
        found
    }

    /// The next commit. Its parents are in the walk only once they are pushed.
    pub(super) fn next(&mut self) -> Option<Commit<'w>> {
        if self.is_late() {
            return None;
        }
        let next = self.waiting.pop()?;
        let commit = self.look_at(next.oid)?;
        self.broken |= commit.parent_count() > PARENTS_MAX;
        Some(commit)
    }

    /// Lets a visited commit be pushed once more.
    pub(super) fn forget(&mut self, oid: git2::Oid) {
        self.seen.remove(&oid);
    }

    /// The date of the next commit.
    pub(super) fn next_seconds(&self) -> Option<i64> {
        self.waiting.peek().map(|waiting| waiting.seconds)
    }

    /// Whether the time or the reading is used up; from then on the walk is at its end.
    pub(super) fn is_late(&mut self) -> bool {
        self.exhausted |= self.browser.budget.is_spent() || Instant::now() >= self.until;
        self.exhausted
    }

    /// Whether there is more history than was given.
    pub(super) fn is_incomplete(&self) -> bool {
        self.exhausted || self.broken
    }
}

pub(super) fn deadline(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or(now)
}

struct Waiting {
    seconds: i64,
    order: Reverse<usize>,
    oid: git2::Oid,
}

impl Waiting {
    fn rank(&self) -> (i64, Reverse<usize>) {
        (self.seconds, self.order)
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}
