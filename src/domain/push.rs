//! Pushes: the ref updates that a client requests, and the event that members of the project see.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::ids::{RepositoryId, UserId};
use super::percent::path_encoded;
use super::text::misleads;

/// Maximum number of refs that a push event lists; the rest is only counted.
pub const PUSH_REFS_MAX: usize = 20;
/// Maximum number of commits that a push event lists.
pub const PUSH_COMMITS_MAX: usize = 10;
/// Maximum size of the text of a push (`-o chat=…`), in bytes.
pub const PUSH_TEXT_BYTES_MAX: usize = 4 * 1024;

/// An update of a ref. `old: None` creates the ref, `new: None` deletes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefUpdate {
    #[serde(rename = "ref")]
    pub name: String,
    pub old: Option<String>,
    pub new: Option<String>,
}

impl RefUpdate {
    /// Returns the name of the branch, if the ref is a branch.
    pub fn branch(&self) -> Option<&str> {
        self.name.strip_prefix("refs/heads/")
    }

    /// Returns whether the ref is a tag.
    pub fn is_tag(&self) -> bool {
        self.name.starts_with("refs/tags/")
    }

    /// Returns the name without its `refs/` prefix.
    pub fn short_name(&self) -> &str {
        let prefixes = ["refs/heads/", "refs/tags/", "refs/"];
        prefixes.iter().find_map(|prefix| self.name.strip_prefix(prefix)).unwrap_or(&self.name)
    }
}

/// A commit of a push.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushedCommit {
    pub oid: String,
    pub summary: String,
    pub author: String,
}

/// A finished push: the `push` event of the project's channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Push {
    pub repository_id: RepositoryId,
    /// `owner/project/repository` at the time of the push.
    pub repository: String,
    /// The first [`PUSH_REFS_MAX`] updated refs.
    pub refs: Vec<RefUpdate>,
    pub ref_count: usize,
    /// The newest [`PUSH_COMMITS_MAX`] commits that are new to their branch.
    pub commits: Vec<PushedCommit>,
    /// The number of such commits, counted up to a limit.
    pub commit_count: usize,
}

impl Push {
    /// Returns the memory that the push takes in a cache, in bytes.
    pub fn bytes(&self) -> usize {
        let refs: usize = self.refs.iter().map(|r| 160 + r.name.len()).sum();
        let commits: usize = self.commits.iter().map(|c| 160 + c.summary.len() + c.author.len()).sum();
        size_of::<Self>() + self.repository.len() + refs + commits
    }
}

impl Push {
    /// Summarizes the push in one line: `pushed 3 commits to main of alice/hello/web`.
    pub fn headline(&self) -> String {
        let names: Vec<_> = self.refs.iter().take(3).map(|r| plain(r.short_name(), 80)).collect();
        let mut what = names.join(", ");
        if self.ref_count > names.len() {
            what = format!("{what} and {} more", self.ref_count - names.len());
        }
        let deleted = self.refs.iter().all(|r| r.new.is_none());
        let repository = &self.repository;
        match (self.commit_count, deleted) {
            (_, true) => format!("deleted {what} in {repository}"),
            (0, _) => format!("pushed {what} to {repository}"),
            (1, _) => format!("pushed 1 commit to {what} of {repository}"),
            (count, _) => format!("pushed {count} commits to {what} of {repository}"),
        }
    }

    /// Returns the text of the message about the push. `default_branch` is that of the repository
    /// after the push.
    pub fn message(&self, text: Option<&str>, base_url: &str, default_branch: &str) -> String {
        let mut lines = Vec::new();
        lines.extend(text.map(str::to_owned));
        lines.push(self.headline());
        for commit in &self.commits {
            let short = commit.oid.get(..8).unwrap_or(&commit.oid);
            lines.push(format!("- {short} {}", plain(&commit.summary, 120)));
        }
        if self.commit_count > self.commits.len() {
            lines.push(format!("- and {} more", self.commit_count - self.commits.len()));
        }
        lines.push(format!("{base_url}{}", page_path(&self.repository, default_branch, &self.refs)));
        lines.join("\n")
    }
}

/// Returns the path of the page that shows these updates of `owner/project/repository`. A new
/// branch is compared with the default branch.
pub fn page_path(repository: &str, default_branch: &str, refs: &[RefUpdate]) -> String {
    let shown = refs.iter().find(|r| r.new.is_some());
    let new_branch = |r: &RefUpdate| r.branch().filter(|name| *name != default_branch).map(path_encoded);
    match shown.map(|r| (r.old.as_deref(), r.new.as_deref(), new_branch(r))) {
        Some((Some(old), Some(new), _)) => format!("/{repository}/-/compare/{old}...{new}"),
        Some((None, Some(_), Some(branch))) => {
            format!("/{repository}/-/compare/{}...{branch}", path_encoded(default_branch))
        }
        Some((None, Some(new), None)) => format!("/{repository}/-/commits/{new}"),
        _ => format!("/{repository}/-/branches"),
    }
}

/// Returns at most `max` characters of `text` as one line, without control characters and
/// characters that change the text direction.
pub fn plain(text: &str, max: usize) -> String {
    let fine: String = text.chars().filter(|c| !misleads(*c)).take(max + 1).collect();
    if fine.chars().count() > max { fine.chars().take(max).chain(['…']).collect() } else { fine }
}

/// The result of a finished push, as read from the repository.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PushSummary {
    /// The first [`PUSH_REFS_MAX`] refs that have the requested value, and the number of all such
    /// refs.
    pub refs: Vec<RefUpdate>,
    pub ref_count: usize,
    pub commits: Vec<PushedCommit>,
    pub commit_count: usize,
    /// Users named in the commit messages.
    pub mentioned: Vec<UserId>,
    pub size_bytes: i64,
    /// The new default branch, if the push created the first branches.
    pub default_branch: Option<String>,
}

/// The branches of a push that must not be rewritten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FastForward {
    /// None.
    Free,
    /// These refs; others of the same push may be rewritten.
    Refs(BTreeSet<String>),
    All,
}

impl FastForward {
    /// Maximum bytes of the names: git's hooks receive them in the environment, which is limited to
    /// 128 KiB. A larger push must not rewrite any branch.
    const NAMES_BYTES_MAX: usize = 64 * 1024;
    /// Maximum number of updates: with [`Self::Refs`], git runs a hook process for each ref. A
    /// larger push must not rewrite any branch.
    const UPDATES_MAX: usize = 1_000;

    /// Classifies the updates of a push by the rule for each.
    pub fn of(updates: &[RefUpdate], must: impl Fn(&RefUpdate) -> bool) -> Self {
        let (bound, free): (Vec<_>, Vec<_>) = updates.iter().partition(|update| must(update));
        let is_rewritable =
            |update: &&RefUpdate| update.branch().is_some() && update.old.is_some() && update.new.is_some();
        if bound.is_empty() {
            return Self::Free;
        }
        let bytes: usize = bound.iter().map(|update| update.name.len().saturating_add(1)).sum();
        let is_large = bytes > Self::NAMES_BYTES_MAX || updates.len() > Self::UPDATES_MAX;
        if is_large || !free.iter().any(is_rewritable) {
            return Self::All;
        }
        Self::Refs(bound.into_iter().map(|update| update.name.clone()).collect())
    }

    pub fn covers(&self, name: &str) -> bool {
        match self {
            Self::Free => false,
            Self::Refs(names) => names.contains(name),
            Self::All => true,
        }
    }
}
