//! The history behind a commit, newest first, as `git log` orders it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::changed_paths::PathKey;
use super::commits::{Commits, Links, Marks, Node};
use super::limits::Bound;
use super::object::{CommitView, Oid};
use super::path::TreePath;
use super::tree_places::TreePlaces;
use super::{BrowseError, Browser};

/// Commits, and the one to continue behind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CommitPage {
    pub items: Vec<CommitView>,
    pub next: Option<Oid>,
    /// Whether the list ends here because the walk may not go on, and not because the history ends.
    pub truncated: bool,
}

impl CommitPage {
    /// What it takes in memory.
    pub fn memory_bytes(&self) -> usize {
        let items = self.items.capacity() * size_of::<CommitView>();
        size_of::<Self>() + items + self.items.iter().map(CommitView::text_bytes).sum::<usize>()
    }
}

impl Browser {
    /// Commits that lead to `from`, those behind the cursor `after`; with a path, only those that changed it, found as
    /// `git log -- path` does: a merge that took a side as it was is passed through to that side.
    ///
    /// Every page walks from the start again: some 0.3 us for each commit that is in the commit-graph.
    pub fn commits(
        &self,
        from: Oid,
        path: Option<&str>,
        after: Option<Oid>,
        limit: usize,
    ) -> Result<CommitPage, BrowseError> {
        let limit = self.limits.page(limit);
        let start = self.find_commit(from.raw())?;
        let find = |text: &str| match self.find_path(&start, text) {
            // In a tree that cannot be read is nothing.
            Err(BrowseError::NotFound(_)) => TreePath::parse(text),
            found => found.map(|(path, _)| path),
        };
        let path = path.map(find).transpose()?;
        if path.is_some() {
            self.budget.extend(self.limits.walk_tree_bytes);
        }
        let mut places = path.as_ref().map(|path| Places::new(self, path));
        let mut walk = Walk::new(self);
        walk.push_oid(start.oid);
        let mut page = CommitPage { items: Vec::new(), next: None, truncated: false };
        let mut answer_left = self.limits.answer_bytes;
        let mut skip_to = after.map(|after| walk.commits.node(after.raw()));
        while let Some((node, links)) = walk.next() {
            let shown = match &mut places {
                Some(places) => places.advance(&mut walk, node, &links),
                None => walk.push_all(&links.parents),
            };
            if !shown {
                continue;
            }
            if let Some(cursor) = skip_to {
                if cursor == node {
                    skip_to = None;
                }
                continue;
            }
            if page.items.len() == limit {
                page.next = page.items.last().map(|item| item.oid);
                return Ok(page);
            }
            let Some(item) = walk.view(node, &links) else { continue };
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
    key: PathKey,
    places: TreePlaces<'w>,
}

impl<'w> Places<'w> {
    fn new(browser: &'w Browser, path: &'w TreePath) -> Self {
        Self { key: PathKey::new(&path.bytes()), places: TreePlaces::new(browser, path) }
    }

    /// Puts the parents that matter into the walk and says whether the commit changed what lies at the path.
    fn advance(&mut self, walk: &mut Walk<'_>, node: Node, links: &Links) -> bool {
        let may_change = walk.commits.may_change(node, &self.key);
        if links.parents.is_empty() {
            return may_change && self.places.at(links.tree).is_some();
        }
        for (number, parent) in links.parents.iter().enumerate() {
            let is_same = if number == 0 && !may_change {
                true
            } else {
                let Some(theirs) = walk.look_at(*parent) else { break };
                self.places.at(theirs.tree) == self.places.at(links.tree)
            };
            if is_same {
                walk.push(*parent);
                return false;
            }
        }
        !walk.is_late() && walk.push_all(&links.parents)
    }
}

/// Commits by date, newest first; among equals, the one that was met first. Nothing is loaded
/// beyond the budget, and when that is used up the walk ends, so that what was given is a true
/// beginning. Only what [`Commits`] has of them is kept: a commit may have hundreds of kilobytes, and a
/// merge thousands of parents.
pub(super) struct Walk<'w> {
    browser: &'w Browser,
    pub(super) commits: Commits<'w>,
    waiting: BinaryHeap<Waiting>,
    seen: Marks,
    pushed: usize,
    until: Instant,
}

impl<'w> Walk<'w> {
    pub(super) fn new(browser: &'w Browser) -> Self {
        Self {
            browser,
            commits: Commits::new(browser),
            waiting: BinaryHeap::new(),
            seen: Marks::default(),
            pushed: 0,
            until: deadline(browser.limits.walk()),
        }
    }

    pub(super) fn push_oid(&mut self, oid: git2::Oid) -> Node {
        let node = self.commits.node(oid);
        self.push(node);
        node
    }

    /// A commit to visit, unless it was already pushed.
    pub(super) fn push(&mut self, node: Node) {
        if self.seen.get(node) != 0 {
            return;
        }
        self.seen.set(node, 1);
        self.pushed = self.pushed.saturating_add(1);
        if let Some(links) = self.look_at(node) {
            let order = Reverse(self.pushed);
            self.waiting.push(Waiting { seconds: links.seconds, order, node });
        }
    }

    fn push_all(&mut self, nodes: &[Node]) -> bool {
        nodes.iter().for_each(|node| self.push(*node));
        true
    }

    /// A commit, unless it cannot be read or the walk is at its end.
    pub(super) fn look_at(&mut self, node: Node) -> Option<Links> {
        if self.is_late() { None } else { self.commits.links(node) }
    }

    /// The next commit. Its parents are in the walk only once they are pushed.
    pub(super) fn next(&mut self) -> Option<(Node, Links)> {
        let next = self.waiting.pop()?;
        Some((next.node, self.look_at(next.node)?))
    }

    /// Lets a visited commit be pushed once more.
    pub(super) fn forget(&mut self, node: Node) {
        self.seen.set(node, 0);
    }

    /// The date of the next commit.
    pub(super) fn next_seconds(&self) -> Option<i64> {
        self.waiting.peek().map(|waiting| waiting.seconds)
    }

    /// A visited commit with its texts; without them when they take too much to be read. `None` when it is missing.
    fn view(&mut self, node: Node, links: &Links) -> Option<CommitView> {
        match self.commits.read_texts(node) {
            Ok(commit) => Some(CommitView::of(&commit)),
            Err(BrowseError::TooLarge(_)) if !self.browser.budget.is_spent() => {
                let parents = links.parents.iter().filter_map(|parent| self.commits.oid(*parent)).collect();
                self.commits.oid(node).map(|oid| CommitView::without_texts(oid, links.seconds, parents))
            }
            Err(_) => {
                self.commits.is_broken = true;
                None
            }
        }
    }

    /// Whether the time or the reading is used up; from then on the walk is at its end.
    pub(super) fn is_late(&mut self) -> bool {
        if self.commits.exhausted.is_none() {
            let is_over = || (Instant::now() >= self.until).then_some(Bound::WalkMs);
            self.commits.exhausted = self.browser.budget.spent().or_else(is_over);
        }
        self.commits.exhausted.is_some()
    }

    /// Whether there is more history than was given.
    pub(super) fn is_incomplete(&self) -> bool {
        self.commits.exhausted.is_some() || self.commits.is_broken
    }
}

pub(super) fn deadline(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or(now)
}

struct Waiting {
    seconds: i64,
    order: Reverse<usize>,
    node: Node,
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
