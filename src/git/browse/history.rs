//! Walks the history of a commit, newest first, in the order of `git log`.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::changed_paths::PathKey;
use super::commits::{CommitMarks, Commits, Links, Node};
use super::limits::Bound;
use super::object::{CommitView, Oid};
use super::path::TreePath;
use super::tree_places::TreePlaces;
use super::{BrowseError, Browser};

/// A page of commits, and the cursor of the next page.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CommitPage {
    pub items: Vec<CommitView>,
    pub next: Option<Oid>,
    /// Whether the list ends because of a limit of the walk, and not because the history ends.
    pub truncated: bool,
}

impl CommitPage {
    /// Returns the size in memory.
    pub fn memory_bytes(&self) -> usize {
        let items = self.items.capacity() * size_of::<CommitView>();
        size_of::<Self>() + items + self.items.iter().map(CommitView::text_bytes).sum::<usize>()
    }
}

impl Browser {
    /// Returns the ancestors of `from`, itself included, after the cursor `after`. With a path,
    /// returns only commits that changed it, like `git log -- path`: at a merge that equals one
    /// parent at the path, only that parent is followed.
    ///
    /// Every page walks from `from` again: about 0.3 us per commit in the commit-graph.
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
            // A tree that cannot be read has no entries.
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
                // The page has fewer items than requested, and more pages follow.
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

/// The entry at a path, followed through a history.
struct Places<'w> {
    key: PathKey,
    places: TreePlaces<'w>,
}

impl<'w> Places<'w> {
    fn new(browser: &'w Browser, path: &'w TreePath) -> Self {
        Self { key: PathKey::new(&path.bytes()), places: TreePlaces::new(browser, path) }
    }

    /// Pushes the relevant parents to the walk. Returns whether the commit changed the entry at the
    /// path.
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

/// A walk over commits by date, newest first. Among commits of equal date, the one pushed first is
/// first.
///
/// The walk ends when the budget is exhausted, so its output is always a prefix of the complete
/// history. Only the data in [`Commits`] is kept per commit: a commit may have hundreds of
/// kilobytes, and a merge thousands of parents.
pub(super) struct Walk<'w> {
    browser: &'w Browser,
    pub(super) commits: Commits<'w>,
    waiting: BinaryHeap<PendingCommit>,
    seen: CommitMarks,
    pushed: usize,
    until: Instant,
}

impl<'w> Walk<'w> {
    pub(super) fn new(browser: &'w Browser) -> Self {
        Self {
            browser,
            commits: Commits::new(browser),
            waiting: BinaryHeap::new(),
            seen: CommitMarks::default(),
            pushed: 0,
            until: deadline(browser.limits.walk()),
        }
    }

    pub(super) fn push_oid(&mut self, oid: git2::Oid) -> Node {
        let node = self.commits.node(oid);
        self.push(node);
        node
    }

    /// Adds a commit to visit, unless it was already pushed.
    pub(super) fn push(&mut self, node: Node) {
        if self.seen.get(node) != 0 {
            return;
        }
        self.seen.set(node, 1);
        self.pushed = self.pushed.saturating_add(1);
        if let Some(links) = self.look_at(node) {
            let order = Reverse(self.pushed);
            self.waiting.push(PendingCommit { seconds: links.seconds, order, node });
        }
    }

    fn push_all(&mut self, nodes: &[Node]) -> bool {
        nodes.iter().for_each(|node| self.push(*node));
        true
    }

    /// Returns the links of a commit; `None` if it cannot be read or the walk has ended.
    pub(super) fn look_at(&mut self, node: Node) -> Option<Links> {
        if self.is_late() { None } else { self.commits.links(node) }
    }

    /// Returns the next commit. The caller pushes its parents.
    pub(super) fn next(&mut self) -> Option<(Node, Links)> {
        let next = self.waiting.pop()?;
        Some((next.node, self.look_at(next.node)?))
    }

    /// Allows a visited commit to be pushed again.
    pub(super) fn unmark(&mut self, node: Node) {
        self.seen.set(node, 0);
    }

    /// Returns the date of the next commit.
    pub(super) fn next_seconds(&self) -> Option<i64> {
        self.waiting.peek().map(|waiting| waiting.seconds)
    }

    /// Returns a visited commit with its texts, or without them if they are too large to be read.
    /// `None` if it is missing.
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

    /// Returns whether the time or the read budget is exhausted; the walk has ended then.
    pub(super) fn is_late(&mut self) -> bool {
        if self.commits.exhausted.is_none() {
            let is_over = || (Instant::now() >= self.until).then_some(Bound::WalkMs);
            self.commits.exhausted = self.browser.budget.spent().or_else(is_over);
        }
        self.commits.exhausted.is_some()
    }

    /// Returns whether the history has commits that the walk did not return.
    pub(super) fn is_incomplete(&self) -> bool {
        self.commits.exhausted.is_some() || self.commits.is_broken
    }
}

pub(super) fn deadline(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or(now)
}

struct PendingCommit {
    seconds: i64,
    order: Reverse<usize>,
    node: Node,
}

impl PendingCommit {
    fn rank(&self) -> (i64, Reverse<usize>) {
        (self.seconds, self.order)
    }
}

impl PartialEq for PendingCommit {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl Eq for PendingCommit {}

impl PartialOrd for PendingCommit {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PendingCommit {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}
