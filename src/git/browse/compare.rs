//! Two commits compared the way a pull request is: what the head adds since both went their own ways.

use serde::Serialize;
use utoipa::ToSchema;

use super::diff::Diff;
use super::object::{CommitView, Oid};
use super::{BrowseError, Browser};

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Comparison {
    pub base_oid: Oid,
    pub head_oid: Oid,
    /// Absent when the histories have nothing in common; then there is no diff either.
    pub merge_base: Option<Oid>,
    /// How many commits the head has and the base has not.
    pub ahead: usize,
    /// How many commits the base has and the head has not.
    pub behind: usize,
    /// Those that the head has, newest first.
    pub commits: Vec<CommitView>,
    /// Whether there are more of them than listed, or the walk ended early, so that the counts are too low or the
    /// merge base may not be the best.
    pub commits_truncated: bool,
    /// From the merge base to the head.
    #[serde(flatten)]
    pub diff: Diff,
}

impl Browser {
    /// What `head` adds to `base` (three dots: compared with their merge base).
    pub fn compare(&self, base: Oid, head: Oid) -> Result<Comparison, BrowseError> {
        self.find_commit(base.raw())?;
        let head_commit = self.find_commit(head.raw())?;
        let painting = self.paint(base, head);
        let (mut commits, mut answer_left) = (Vec::new(), self.limits.answer_bytes);
        for oid in painting.ahead.iter().take(self.limits.compare_commits) {
            let commit = CommitView::of(&self.find_commit(*oid)?);
            let Some(left) = answer_left.checked_sub(commit.json_bytes()) else { break };
            answer_left = left;
            commits.push(commit);
        }
        let diff = match painting.merge_base {
            Some(oid) => self.diff(Some(self.find_commit(oid)?.tree_id()), head_commit.tree_id())?,
            None => Diff::default(),
        };
        Ok(Comparison {
            base_oid: base,
            head_oid: head,
            merge_base: painting.merge_base.map(Oid::from),
            ahead: painting.ahead.len(),
            behind: painting.behind,
            commits_truncated: painting.incomplete || painting.ahead.len() > commits.len(),
            commits,
            diff,
        })
    }
}
