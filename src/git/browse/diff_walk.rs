//! Compares two histories: the commits that only one of them contains, and the merge base.
//!
//! The algorithm is that of `git merge-base`. Commits are visited newest first and pass their
//! colours to their parents. A commit with both colours is common. Its ancestors are common too
//! ("stale").

use super::Browser;
use super::commits::{CommitMarks, Node};
use super::history::Walk;
use super::limits::Bound;
use super::object::Oid;

/// Number of commits visited after the point where the walk ends with correct commit dates; git
/// also continues for a few.
const SLOP: usize = 32;

const BASE: u8 = 1;
const HEAD: u8 = 2;
const STALE: u8 = 4;
const BOTH: u8 = BASE | HEAD;
/// A mark in addition to the colours: the commit is in the walk.
const WAITS: u8 = 8;

/// The result of the walk.
pub(super) struct DiffWalk {
    /// The newest common commit that is not an ancestor of another common commit.
    pub(super) merge_base: Option<git2::Oid>,
    /// Commits that are reachable only from the head, newest first.
    pub(super) ahead: Vec<git2::Oid>,
    /// Number of commits that are reachable only from the base.
    pub(super) behind: usize,
    /// The limit at which the walk ended; the other fields are then not valid.
    pub(super) exhausted: Option<Bound>,
    /// Whether commits are missing; the counts then cover only the existing ones.
    pub(super) is_broken: bool,
}

/// The colours of commits, and the number of commits in the walk that are not stale.
#[derive(Default)]
struct Colours {
    of: CommitMarks,
    /// Commits in the walk have the mark [`WAITS`] and the colours that they have when visited.
    waiting: CommitMarks,
    fresh: usize,
}

impl Colours {
    /// Adds colours to a commit. Returns whether it must be visited (again) to pass them on.
    fn add(&mut self, node: Node, colours: u8) -> bool {
        let known = self.of.get(node);
        if known & colours == colours {
            return false;
        }
        let all = known | colours;
        self.of.set(node, all);
        let before = self.waiting.get(node);
        self.fresh = self.fresh.saturating_sub(usize::from(before & WAITS != 0 && before & STALE == 0));
        self.waiting.set(node, all | WAITS);
        self.fresh = self.fresh.saturating_add(usize::from(all & STALE == 0));
        true
    }

    /// Removes a commit from the walk and returns its colours.
    fn take(&mut self, node: Node) -> u8 {
        let colours = self.waiting.get(node);
        self.waiting.set(node, 0);
        self.fresh = self.fresh.saturating_sub(usize::from(colours & STALE == 0));
        colours & !WAITS
    }
}

impl Browser {
    pub(super) fn walk_diff(&self, base: Oid, head: Oid) -> DiffWalk {
        let mut colours = Colours::default();
        let mut walk = Walk::new(self);
        for (tip, colour) in [(base.raw(), BASE), (head.raw(), HEAD)] {
            let tip = walk.commits.node(tip);
            if colours.add(tip, colour) {
                walk.push(tip);
            }
        }
        let mut one_sided = Vec::new();
        let mut common = Vec::new();
        let mut oldest_one_sided = i64::MAX;
        let mut slop = SLOP;
        // The walk ends when only stale commits are left, and all of them are older than the
        // commits of one side. With wrong commit dates, a stale commit may still lead to such a
        // commit, hence `slop`.
        while let Some(next) = walk.next_seconds() {
            if colours.fresh == 0 && next < oldest_one_sided {
                if slop == 0 {
                    break;
                }
                slop = slop.saturating_sub(1);
            }
            let Some((node, links)) = walk.next() else { break };
            walk.unmark(node);
            let mut handed_on = colours.take(node);
            if handed_on & BOTH == BOTH {
                if handed_on & STALE == 0 {
                    common.push(node);
                }
                handed_on |= STALE;
            } else {
                one_sided.push(node);
                oldest_one_sided = oldest_one_sided.min(links.seconds);
            }
            for parent in links.parents {
                if colours.add(parent, handed_on) {
                    walk.push(parent);
                }
            }
        }
        // The final colours count: a commit may become common after it was visited.
        let of = &colours.of;
        let only = |colour| one_sided.iter().copied().filter(move |node| of.get(*node) == colour);
        let merge_base = common.iter().copied().find(|node| colours.of.get(*node) & STALE == 0);
        DiffWalk {
            merge_base: merge_base.and_then(|node| walk.commits.oid(node)),
            behind: only(BASE).count(),
            ahead: only(HEAD).filter_map(|node| walk.commits.oid(node)).collect(),
            exhausted: walk.commits.exhausted,
            is_broken: walk.commits.is_broken,
        }
    }
}
