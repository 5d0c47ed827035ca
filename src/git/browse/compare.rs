//! Compares two commits like a pull request: the changes of the head since the merge base.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::Serialize;
use utoipa::ToSchema;

use super::diff::Diff;
use super::diff_part::DiffPart;
use super::limits::Bound;
use super::object::{CommitView, Oid};
use super::{BrowseError, Browser};

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Comparison {
    pub base_oid: Oid,
    pub head_oid: Oid,
    /// Absent if the histories have no common commit; the diff is empty then.
    pub merge_base: Option<Oid>,
    /// Number of commits that are in the history of the head and not of the base.
    pub ahead: usize,
    /// Number of commits that are in the history of the base and not of the head.
    pub behind: usize,
    /// The commits of the head that are counted in `ahead`, newest first. Empty in the answer for a
    /// single file.
    pub commits: Vec<CommitView>,
    /// Whether there are more commits than listed, or commits are missing from the repository. In
    /// the second case the counts are too low or the merge base may not be the best.
    pub commits_truncated: bool,
    /// The changes from the merge base to the head.
    #[serde(flatten)]
    pub diff: Diff,
}

/// How far a commit is from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Distance {
    /// Number of commits that are only in its history.
    pub ahead: usize,
    /// Number of commits that are only in the history of the other.
    pub behind: usize,
}

impl Browser {
    /// Returns how far each of the commits is from `base`. Leaves out those whose history is
    /// broken, or too long for the limits and the time of this request.
    pub fn distances(&self, base: Oid, heads: &[Oid]) -> BTreeMap<Oid, Distance> {
        let mut distances = BTreeMap::new();
        for head in heads {
            if distances.contains_key(head) {
                continue;
            }
            if Instant::now() >= self.budget.until() {
                break;
            }
            let walk = self.walk_diff(base, *head);
            if walk.exhausted.is_none() && !walk.is_broken {
                distances.insert(*head, Distance { ahead: walk.ahead.len(), behind: walk.behind });
            }
        }
        distances
    }

    /// Returns the changes of `head` compared with its merge base with `base` (`base...head` in
    /// git).
    pub fn compare(&self, base: Oid, head: Oid) -> Result<Comparison, BrowseError> {
        self.compare_part(base, head, &DiffPart::default())
    }

    /// Like [`Self::compare`], with a part of the changes. The answer for a single file lists no
    /// commits.
    pub fn compare_part(&self, base: Oid, head: Oid, part: &DiffPart) -> Result<Comparison, BrowseError> {
        self.find_commit(base.raw())?;
        let head_commit = self.find_commit(head.raw())?;
        let walk = self.walk_diff(base, head);
        if let Some(bound) = walk.exhausted {
            return Err(BrowseError::TooLarge(too_long(bound)));
        }
        let (mut commits, mut answer_left) = (Vec::new(), self.limits.answer_bytes);
        let listed = if part.file.is_some() { 0 } else { self.limits.compare_commits };
        for oid in walk.ahead.iter().take(listed) {
            let commit = match self.find_commit(*oid) {
                Ok(commit) => CommitView::of(&commit),
                // A commit that is too large is listed without its texts.
                Err(BrowseError::TooLarge(_)) if !self.budget.is_spent() => {
                    CommitView::without_texts(*oid, 0, Vec::new())
                }
                Err(error) => return Err(error),
            };
            let Some(left) = answer_left.checked_sub(commit.json_bytes()) else { break };
            answer_left = left;
            commits.push(commit);
        }
        let diff = match walk.merge_base {
            Some(oid) => self.diff(Some(self.find_commit(oid)?.tree), head_commit.tree, part)?,
            None if part.file.is_some() => return Err(BrowseError::NotFound("file in the changes")),
            None => Diff::default(),
        };
        Ok(Comparison {
            base_oid: base,
            head_oid: head,
            merge_base: walk.merge_base.map(Oid::from),
            ahead: walk.ahead.len(),
            behind: walk.behind,
            commits_truncated: walk.is_broken || walk.ahead.len() > commits.len(),
            commits,
            diff,
        })
    }
}

/// Returns the error text for histories that are too long to compare.
fn too_long(bound: Bound) -> &'static str {
    macro_rules! sentence {
        ($limit:literal) => {
            concat!(
                "the histories are too long to be compared in one request (limit ",
                $limit,
                "); compare commits that lie closer together, or clone the repository"
            )
        };
    }
    match bound {
        Bound::WalkCommits => sentence!("walk_commits"),
        Bound::WalkMs => sentence!("walk_ms"),
        Bound::ReadBytes => sentence!("read_bytes"),
        Bound::ReadMs => sentence!("read_ms"),
        Bound::BasesBytes => sentence!("bases_bytes"),
    }
}
