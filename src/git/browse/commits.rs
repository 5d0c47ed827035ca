//! The commits of a walk: dates, trees and parents, from the commit-graph if it contains them.
//!
//! Every commit of a walk has a number. The number of a commit in the commit-graph is its position
//! there; other commits follow in the order of the walk. A walk stores its state of a commit by
//! this number ([`CommitMarks`]).

use std::collections::HashMap;
use std::ops::Range;

use git2::Oid;

use super::changed_paths::PathKey;
use super::commit_graph::CommitGraph;
use super::limits::Bound;
use super::{BrowseError, Browser, PARENTS_MAX};

/// Average number of parents kept per commit outside the graph.
const PARENTS_EACH: usize = 4;

/// The number of a commit in a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Node(u32);

/// The data of a commit that a walk needs.
#[derive(Debug)]
pub(super) struct Links {
    pub(super) tree: Oid,
    pub(super) seconds: i64,
    pub(super) parents: Vec<Node>,
}

/// The commits of one walk.
pub(super) struct Commits<'b> {
    browser: &'b Browser,
    graph: Option<&'b CommitGraph>,
    others: Vec<Other>,
    numbers: HashMap<Oid, Node>,
    /// The parents of all `others`.
    parents: Vec<Node>,
    loaded: usize,
    /// The limit that ended the walk.
    pub(super) exhausted: Option<Bound>,
    /// Whether a commit is missing, unreadable, or has more parents than are followed. Its
    /// ancestors are not in the walk.
    pub(super) is_broken: bool,
}

/// A commit that is not in the graph.
struct Other {
    oid: Oid,
    state: State,
}

enum State {
    Unread,
    Unreadable,
    Read { tree: Oid, seconds: i64, parents: Range<usize> },
}

impl<'b> Commits<'b> {
    pub(super) fn new(browser: &'b Browser) -> Self {
        Self {
            browser,
            graph: browser.graph(),
            others: Vec::new(),
            numbers: HashMap::new(),
            parents: Vec::new(),
            loaded: 0,
            exhausted: None,
            is_broken: false,
        }
    }

    fn graph_len(&self) -> u32 {
        self.graph.map_or(0, CommitGraph::len)
    }

    /// Returns the number of a commit, which does not need to exist.
    pub(super) fn node(&mut self, oid: Oid) -> Node {
        if let Some(Ok(Some(position))) = self.graph.map(|graph| graph.find(oid)) {
            return Node(position);
        }
        let next = u32::try_from(self.others.len()).unwrap_or(u32::MAX).saturating_add(self.graph_len());
        let others = &mut self.others;
        *self.numbers.entry(oid).or_insert_with(|| {
            others.push(Other { oid, state: State::Unread });
            Node(next)
        })
    }

    /// Returns the index of a commit in `others`; `None` for a commit in the graph.
    fn other(&self, node: Node) -> Option<usize> {
        node.0.checked_sub(self.graph_len()).and_then(|at| usize::try_from(at).ok())
    }

    pub(super) fn oid(&self, node: Node) -> Option<Oid> {
        match self.other(node) {
            Some(at) => self.others.get(at).map(|other| other.oid),
            None => self.graph.and_then(|graph| graph.oid(node.0).ok()),
        }
    }

    /// Returns the links of a commit; `None` if it cannot be read or a limit of the walk is
    /// reached.
    pub(super) fn links(&mut self, node: Node) -> Option<Links> {
        let links = match self.other(node) {
            Some(at) => self.other_links(at),
            None => self.graph_links(node.0),
        };
        if links.is_none() && self.exhausted.is_none() {
            self.is_broken = true;
        }
        links
    }

    fn graph_links(&mut self, position: u32) -> Option<Links> {
        let commit = self.graph?.commit(position, PARENTS_MAX).ok()?;
        self.is_broken |= commit.has_more_parents;
        let parents = commit.parents.into_iter().map(Node).collect();
        Some(Links { tree: commit.tree, seconds: commit.seconds, parents })
    }

    fn other_links(&mut self, at: usize) -> Option<Links> {
        let other = self.others.get(at)?;
        if matches!(other.state, State::Unread) {
            let oid = other.oid;
            let state = self.read(oid)?;
            self.others.get_mut(at)?.state = state;
        }
        match &self.others.get(at)?.state {
            State::Read { tree, seconds, parents } => {
                let parents = self.parents.get(parents.clone()).unwrap_or_default().to_vec();
                Some(Links { tree: *tree, seconds: *seconds, parents })
            }
            State::Unread | State::Unreadable => None,
        }
    }

    /// Reads a commit object; `None` if a limit of the walk is reached.
    fn read(&mut self, oid: Oid) -> Option<State> {
        let kept_max = self.browser.limits.walk_commits.saturating_mul(PARENTS_EACH).max(PARENTS_MAX);
        if self.loaded >= self.browser.limits.walk_commits || self.parents.len() > kept_max {
            self.exhausted = Some(Bound::WalkCommits);
            return None;
        }
        self.loaded = self.loaded.saturating_add(1);
        let commit = match self.browser.find_commit(oid) {
            Ok(commit) => commit,
            Err(_) => {
                let spent = self.browser.budget.spent();
                self.exhausted = self.exhausted.or(spent);
                return spent.is_none().then_some(State::Unreadable);
            }
        };
        self.is_broken |= commit.has_more_parents;
        let begin = self.parents.len();
        for parent in commit.parents {
            let parent = self.node(parent);
            self.parents.push(parent);
        }
        Some(State::Read { tree: commit.tree, seconds: commit.seconds, parents: begin..self.parents.len() })
    }

    /// Returns whether the commit may have changed the path compared with its first parent; false
    /// only if it has not.
    pub(super) fn may_change(&self, node: Node, path: &PathKey) -> bool {
        let graph = self.graph.filter(|_| self.other(node).is_none());
        graph.is_none_or(|graph| graph.may_change(node.0, path))
    }

    /// Reads the commit object with its texts.
    pub(super) fn read_texts(&self, node: Node) -> Result<super::commit::Commit, BrowseError> {
        let oid = self.oid(node).ok_or(BrowseError::NotFound("commit"))?;
        self.browser.find_commit(oid)
    }
}

/// One byte per commit of a walk.
#[derive(Default)]
pub(super) struct CommitMarks(Vec<u8>);

impl CommitMarks {
    pub(super) fn get(&self, node: Node) -> u8 {
        usize::try_from(node.0).ok().and_then(|at| self.0.get(at)).copied().unwrap_or_default()
    }

    pub(super) fn set(&mut self, node: Node, mark: u8) {
        let Ok(at) = usize::try_from(node.0) else { return };
        if self.0.len() <= at {
            self.0.resize(at.saturating_add(1), 0);
        }
        if let Some(place) = self.0.get_mut(at) {
            *place = mark;
        }
    }
}
