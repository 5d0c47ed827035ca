//! Pushes: what a client wants done to refs, and what members of the project see of it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::ids::{RepositoryId, UserId};
use super::user::misleads;

/// Refs that one push event lists; the rest is counted.
pub const PUSH_REFS_MAX: usize = 20;
/// Commits that one push event lists.
pub const PUSH_COMMITS_MAX: usize = 10;
/// The text that goes with a push (`-o chat=…`), in bytes.
pub const PUSH_TEXT_BYTES_MAX: usize = 4 * 1024;

/// One ref and where it is to go. `None` on the left creates it, on the right deletes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefUpdate {
    #[serde(rename = "ref")]
    pub name: String,
    pub old: Option<String>,
    pub new: Option<String>,
}

impl RefUpdate {
    /// The branch that is meant, if it is one.
    pub fn branch(&self) -> Option<&str> {
        self.name.strip_prefix("refs/heads/")
    }

    /// Whether the ref is a tag.
    pub fn is_tag(&self) -> bool {
        self.name.starts_with("refs/tags/")
    }

    /// The name as people say it.
    pub fn short_name(&self) -> &str {
        let prefixes = ["refs/heads/", "refs/tags/", "refs/"];
        prefixes.iter().find_map(|prefix| self.name.strip_prefix(prefix)).unwrap_or(&self.name)
    }
}

/// A commit that a push brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushedCommit {
    pub oid: String,
    pub summary: String,
    pub author: String,
}

/// What a push did: the `push` event of the project's channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Push {
    pub repository_id: RepositoryId,
    /// `owner/project/repository` as it was called then.
    pub repository: String,
    /// The first [`PUSH_REFS_MAX`] refs that moved.
    pub refs: Vec<RefUpdate>,
    pub ref_count: usize,
    /// The newest [`PUSH_COMMITS_MAX`] commits that are new to their branch.
    pub commits: Vec<PushedCommit>,
    /// How many there are; counted up to a limit.
    pub commit_count: usize,
}

impl Push {
    /// What the push costs a cache, in bytes.
    pub fn bytes(&self) -> usize {
        let refs: usize = self.refs.iter().map(|r| 160 + r.name.len()).sum();
        let commits: usize = self.commits.iter().map(|c| 160 + c.summary.len() + c.author.len()).sum();
        size_of::<Self>() + self.repository.len() + refs + commits
    }
}

impl Push {
    /// The push in one line: `3 commits to main of alice/hello/web`.
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

    /// The message that goes with the push.
    pub fn message(&self, text: Option<&str>, base_url: &str) -> String {
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
        lines.push(format!("{base_url}{}", self.path()));
        lines.join("\n")
    }

    /// Where the API shows what was pushed.
    fn path(&self) -> String {
        let mut parts = self.repository.splitn(3, '/');
        let (owner, project, name) =
            (parts.next().unwrap_or(""), parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        let repository = format!("/api/projects/{owner}/{project}/repos/{name}");
        let shown = self.refs.iter().find(|r| r.new.is_some());
        match shown.map(|r| (r.old.as_deref(), r.new.as_deref())) {
            Some((Some(old), Some(new))) => format!("{repository}/compare/{old}...{new}"),
            Some((None, Some(new))) => format!("{repository}/commits?ref={new}"),
            _ => format!("{repository}/branches"),
        }
    }
}

/// One line of at most `max` characters that stays in its place, whatever a commit says.
pub fn plain(text: &str, max: usize) -> String {
    let fine: String = text.chars().filter(|c| !misleads(*c)).take(max + 1).collect();
    if fine.chars().count() > max { fine.chars().take(max).chain(['…']).collect() } else { fine }
}

/// Everything that is known of a finished push, from the repository itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Moved {
    /// The first [`PUSH_REFS_MAX`] refs that are where the push wanted them, and how many there are.
    pub refs: Vec<RefUpdate>,
    pub ref_count: usize,
    pub commits: Vec<PushedCommit>,
    pub commit_count: usize,
    /// People named in the messages of the commits.
    pub mentioned: Vec<UserId>,
    pub size_bytes: i64,
    /// The branch that becomes the default, because the push brought the first ones.
    pub default_branch: Option<String>,
}

/// Which branches of a push must not be rewritten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FastForward {
    /// None of them.
    Free,
    /// These refs; others of the same push may be.
    Refs(BTreeSet<String>),
    All,
}

impl FastForward {
    /// The names go to git's hooks in the environment, which takes 128 KiB; a push with more must not rewrite any branch.
    const NAMES_BYTES_MAX: usize = 64 * 1024;
    /// git then asks a hook about each ref, which is a process; a push of more refs must not rewrite any branch either.
    const UPDATES_MAX: usize = 1_000;

    /// Of the updates of a push, by the rule for each.
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
