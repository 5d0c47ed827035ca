//! Two histories painted from their tips: what only one of them has, and where they meet.
//!
//! The same walk that git does to find a merge base. Commits are visited newest first and hand their colours to their
//! parents; a commit of both colours is common, and what lies behind it is common too ("stale").

use std::collections::HashMap;

use super::Browser;
use super::history::Walk;
use super::object::Oid;

/// Commits visited beyond the point where right clocks would have made an end; git goes on for a few as well.
const SLOP: usize = 32;

const BASE: u8 = 1;
const HEAD: u8 = 2;
const STALE: u8 = 4;
const BOTH: u8 = BASE | HEAD;

/// What the walk found.
pub(super) struct Painting {
    /// The newest commit that both lead to and that is not behind another such one.
    pub(super) merge_base: Option<git2::Oid>,
    /// Commits that only the head leads to, newest first.
    pub(super) ahead: Vec<git2::Oid>,
    /// How many only the base leads to.
    pub(super) behind: usize,
    /// Whether the walk ended early; then the counts are of what was seen.
    pub(super) incomplete: bool,
}

/// The colours of commits, and how many of those in the walk are not stale.
#[derive(Default)]
struct Colours {
    of: HashMap<git2::Oid, u8>,
    /// Commits in the walk, with the colours they will have when visited.
    waiting: HashMap<git2::Oid, u8>,
    fresh: usize,
}

impl Colours {
    /// Adds colours to a commit; true when it has to be visited (again) to hand them on.
    fn add(&mut self, oid: git2::Oid, colours: u8) -> bool {
        let known = self.of.entry(oid).or_default();
        if *known & colours == colours {
            return false;
        }
        *known |= colours;
        let all = *known;
        if let Some(before) = self.waiting.insert(oid, all) {
            self.fresh = self.fresh.saturating_sub(usize::from(before & STALE == 0));
        }
        self.fresh = self.fresh.saturating_add(usize::from(all & STALE == 0));
        true
    }

    /// A commit leaves the walk.
    fn take(&mut self, oid: git2::Oid) -> u8 {
        let colours = self.waiting.remove(&oid).unwrap_or_default();
        self.fresh = self.fresh.saturating_sub(usize::from(colours & STALE == 0));
        colours
    }

    fn now(&self, oid: git2::Oid) -> u8 {
        self.of.get(&oid).copied().unwrap_or_default()
    }
}

impl Browser {
    pub(super) fn paint(&self, base: Oid, head: Oid) -> Painting {
        let mut colours = Colours::default();
        let mut walk = Walk::new(self);
        for (tip, colour) in [(base.raw(), BASE), (head.raw(), HEAD)] {
            if colours.add(tip, colour) {
                walk.push(tip);
            }
        }
        let mut one_sided = Vec::new();
        let mut common = Vec::new();
        let mut oldest_one_sided = i64::MAX;
        let mut slop = SLOP;
        // Done when only stale commits are left, and none that is newer than a commit of one side. Where clocks were
        // wrong, a stale one may still lead to such a commit, hence the slop.
        while let Some(next) = walk.next_seconds() {
            if colours.fresh == 0 && next < oldest_one_sided {
                if slop == 0 {
                    break;
                }
                slop = slop.saturating_sub(1);
            }
            let Some(commit) = walk.next() else { break };
            walk.forget(commit.id());
            let mut handed_on = colours.take(commit.id());
            if handed_on & BOTH == BOTH {
                if handed_on & STALE == 0 {
                    common.push(commit.id());
                }
                handed_on |= STALE;
            } else {
                one_sided.push(commit.id());
                oldest_one_sided = oldest_one_sided.min(commit.time().seconds());
            }
            for parent in Browser::parents(&commit) {
                if colours.add(parent, handed_on) {
                    walk.push(parent);
                }
            }
        }
        // Late colours count: a commit may have turned out to be common after it was visited.
        let colours = &colours;
        let only = |colour| one_sided.iter().copied().filter(move |oid| colours.now(*oid) == colour);
        Painting {
            merge_base: common.iter().copied().find(|oid| colours.now(*oid) & STALE == 0),
            behind: only(BASE).count(),
            ahead: only(HEAD).collect(),
            incomplete: walk.is_incomplete(),
        }
    }
}
