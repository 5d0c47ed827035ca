//! Describes a push: the refs that it moved, and the commits that are new.
//!
//! Invariant: one walk for the whole push, bounded in commits, bytes and time ([`WalkLimits`]). If
//! a limit ends the walk early, the push is described with the commits found so far; it is never
//! left undescribed.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, HashSet};
use std::path::Path;
use std::time::{Duration, Instant};

use encoding_rs::Encoding;
use git2::{Commit, Odb, Oid, Repository};

use super::browse::{Browser, open_repository, text};
use crate::core::limits::Limits;
use crate::core::saturate;
use crate::core::telemetry;
use crate::domain::mention::{Mention, Mentions};
use crate::domain::push::{PUSH_COMMITS_MAX, PushedCommit, RefUpdate};

/// Maximum number of commits that are counted.
const COUNTED_MAX: usize = 1_000;
/// Maximum number of commits whose messages are scanned for mentions.
const READ_MAX: usize = 100;
/// Maximum number of bytes of a message that are scanned for mentions.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Maximum number of other branches that the new commits are compared with.
const OTHERS_MAX: usize = 100;
/// Maximum number of mentions that are looked up per push.
const NAMES_MAX: usize = 1_000;
/// Maximum length in characters of a summary or author name.
const TEXT_MAX: usize = 200;
/// Number of commits visited after the last new one: with wrong committer clocks, an older commit
/// may still turn out to be known.
const SLOP: usize = 32;

/// Limits of one walk.
#[derive(Debug, Clone, Copy)]
pub struct WalkLimits {
    /// Maximum number of commits that are loaded.
    pub commits: usize,
    /// Maximum number of bytes of all loaded commits.
    pub bytes: usize,
    /// Maximum size in bytes of a commit; the walk does not follow the parents of a larger commit.
    pub commit_bytes: usize,
    pub time: Duration,
}

impl WalkLimits {
    pub fn of(limits: &Limits) -> Self {
        Self {
            commits: limits.git_settle_commits,
            bytes: limits.git_settle_bytes,
            commit_bytes: saturate::to_usize(limits.git_commit_bytes),
            time: Duration::from_millis(limits.git_settle_ms),
        }
    }
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct PushScan {
    pub refs: Vec<RefUpdate>,
    /// The newest of the new commits.
    pub commits: Vec<PushedCommit>,
    pub commit_count: usize,
    /// Mentions in the commit messages, newest commit first.
    pub named: Vec<Mention>,
}

/// Returns the updates that can succeed.
///
/// An update can succeed if its ref has the old value that the client sent, and no other ref
/// conflicts with its name: neither an existing ref nor an earlier ref of this push. git refuses
/// the other updates. A ref that another push has moved to the same target must not be attributed
/// to this push.
pub fn applicable_updates(path: &Path, updates: &[RefUpdate]) -> Result<Vec<RefUpdate>, git2::Error> {
    let targets = targets(path, updates)?;
    let blocked = blocked(path, updates)?;
    let both = updates.iter().zip(targets);
    let applicable = both.filter(|(update, now)| {
        update.old == *now && update.old != update.new && !blocked.contains(update.name.as_str())
    });
    Ok(applicable.map(|(update, _)| update.clone()).collect())
}

/// Returns the new refs that conflict with existing ones because one name is a folder of the other:
/// `main` and `main/below`.
fn blocked<'u>(path: &Path, updates: &'u [RefUpdate]) -> Result<HashSet<&'u str>, git2::Error> {
    let new: HashSet<&str> =
        updates.iter().filter(|update| update.old.is_none()).map(|update| update.name.as_str()).collect();
    if new.is_empty() {
        return Ok(HashSet::new());
    }
    let mut found = blocked_by_each_other(updates);
    let mut folders: HashMap<&str, Vec<&str>> = HashMap::new();
    for name in &new {
        folders_of(name).for_each(|folder| folders.entry(folder).or_default().push(name));
    }
    let repository = open(path)?;
    let head = repository.find_reference("HEAD")?;
    let head = head.symbolic_target().ok().flatten();
    let deletions: HashMap<&str, Option<&str>> = updates
        .iter()
        .filter(|update| update.new.is_none())
        .map(|update| (update.name.as_str(), update.old.as_deref()))
        .collect();
    // A deleted ref frees its name only if its deletion will succeed.
    let going = |name: &str| {
        let target = || repository.refname_to_id(name).ok().map(|oid| oid.to_string());
        Some(name) != head && deletions.get(name).is_some_and(|old| *old == target().as_deref())
    };
    let mut references = repository.references()?;
    for existing in references.names() {
        let Ok(existing) = existing else { continue };
        let (above, below) = (folders.get(existing), folders_of(existing).filter_map(|name| new.get(name)));
        let meets: Vec<&str> = above.into_iter().flatten().chain(below).copied().collect();
        if !meets.is_empty() && !going(existing) {
            found.extend(meets);
        }
    }
    Ok(found)
}

/// Returns the new refs whose names conflict with an earlier new ref of the same push.
fn blocked_by_each_other(updates: &[RefUpdate]) -> HashSet<&str> {
    let (mut names, mut used_folders, mut found) = (HashSet::new(), HashSet::new(), HashSet::new());
    for name in updates.iter().filter(|update| update.old.is_none()).map(|update| update.name.as_str()) {
        if used_folders.contains(name) || folders_of(name).any(|folder| names.contains(folder)) {
            found.insert(name);
        } else {
            names.insert(name);
            used_folders.extend(folders_of(name));
        }
    }
    found
}

/// Returns the parent folders of a ref name: `a` and `a/b` of `a/b/c`.
fn folders_of(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('/').filter_map(|(at, _)| name.get(..at))
}

fn open(path: &Path) -> Result<Repository, git2::Error> {
    open_repository(path).map_err(|error| git2::Error::from_str(&error.to_string()))
}

fn targets(path: &Path, updates: &[RefUpdate]) -> Result<Vec<Option<String>>, git2::Error> {
    let names: Vec<_> = updates.iter().map(|update| update.name.as_str()).collect();
    let targets =
        Browser::ref_targets(path, &names).map_err(|error| git2::Error::from_str(&error.to_string()))?;
    Ok(targets.into_iter().map(|target| target.map(|oid| oid.to_string())).collect())
}

/// Returns the branch that becomes the default because the push created the first branches: `main`,
/// `master`, or the first of them.
///
/// Returns `None` if the default branch exists, or if other branches existed before the push.
pub fn first_branch(path: &Path, default: &str, moved: &[RefUpdate]) -> Result<Option<String>, git2::Error> {
    let branches = || moved.iter().filter(|update| update.old.is_none()).filter_map(RefUpdate::branch);
    let Some(first) = branches().next() else { return Ok(None) };
    let made: HashSet<&str> = branches().collect();
    let repository = open(path)?;
    let mut branches = repository.references_glob("refs/heads/*")?;
    let is_first = branches.names().all(|name| {
        let branch = name.ok().and_then(|name| name.strip_prefix("refs/heads/"));
        branch.is_some_and(|branch| branch != default && made.contains(&branch))
    });
    let chosen = ["main", "master"].into_iter().find(|name| made.contains(name)).unwrap_or(first);
    Ok(is_first.then(|| chosen.to_owned()))
}

/// Returns whether `branch` can become the default branch: it exists, or the repository has no
/// branches.
pub fn can_be_default(path: &Path, branch: &str) -> Result<bool, git2::Error> {
    let repository = open(path)?;
    if repository.find_reference(&format!("refs/heads/{branch}")).is_ok() {
        return Ok(true);
    }
    let mut branches = repository.references_glob("refs/heads/*")?;
    Ok(branches.names().next().is_none())
}

/// Returns the updates whose refs now have their new values.
pub fn moved_refs(path: &Path, updates: &[RefUpdate]) -> Result<Vec<RefUpdate>, git2::Error> {
    let targets = targets(path, updates)?;
    let done = updates
        .iter()
        .zip(targets)
        .filter(|(update, target)| *target == update.new && update.old != update.new);
    Ok(done.map(|(update, _)| update.clone()).collect())
}

/// Compares each ref with its intended new value, and walks the new commits.
///
/// Reads the repository in its present state on disk.
pub fn scan_push(path: &Path, updates: &[RefUpdate], limits: WalkLimits) -> Result<PushScan, git2::Error> {
    let mut found = PushScan { refs: moved_refs(path, updates)?, ..PushScan::default() };
    // Unreadable commits are left out of the description; the push itself remains valid.
    if let Err(error) = describe(path, limits, &mut found) {
        tracing::warn!(error = %telemetry::cut(&error), "cannot read the commits of a push; its description is incomplete");
    }
    Ok(found)
}

fn describe(path: &Path, limits: WalkLimits, found: &mut PushScan) -> Result<(), git2::Error> {
    let repository = open(path)?;
    let mut walk = NewCommitsWalk::new(&repository, limits)?;
    let branches = || found.refs.iter().filter(|update| update.branch().is_some());
    for update in branches() {
        if let Some(old) = &update.old {
            walk.add(Oid::from_str(old)?, Colours::KNOWN);
        }
    }
    let moved: HashSet<&str> = branches().map(|update| update.name.as_str()).collect();
    for other in repository.references_glob("refs/heads/*")?.take(OTHERS_MAX + found.refs.len()) {
        let Ok(other) = other else { continue };
        let own = other.name().is_ok_and(|name| moved.contains(name));
        if let Some(target) = other.target().filter(|_| !own) {
            walk.add(target, Colours::KNOWN);
        }
    }
    for update in branches() {
        if let Some(new) = &update.new {
            walk.add(Oid::from_str(new)?, Colours::NEW);
        }
    }
    let new = walk.run();
    found.commit_count = new.len().min(COUNTED_MAX);
    let mut seen = HashSet::new();
    for oid in new.into_iter().take(READ_MAX) {
        let Some(commit) = walk.read(oid) else { continue };
        // The same decoding as in the browsing API.
        let encoding = commit.message_encoding().ok().flatten();
        let encoding = encoding.and_then(|label| text::encoding(label.as_bytes()));
        if found.commits.len() < PUSH_COMMITS_MAX {
            let author = commit.author();
            found.commits.push(PushedCommit {
                oid: oid.to_string(),
                summary: short(&text::paragraph(commit.message_bytes()), encoding),
                author: short(author.name_bytes(), encoding),
            });
        }
        let (message, _) = text::cut(commit.message_bytes(), MESSAGE_BYTES_MAX, encoding);
        for mention in Mentions::of(&message).names {
            if found.named.len() < NAMES_MAX && seen.insert(mention.clone()) {
                found.named.push(mention);
            }
        }
    }
    Ok(())
}

/// The sides from which a commit is reachable: the new tips of the push, the known refs, or both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Colours {
    new: bool,
    known: bool,
}

impl Colours {
    const NEW: Self = Self { new: true, known: false };
    const KNOWN: Self = Self { new: false, known: true };

    fn with(self, other: Self) -> Self {
        Self { new: self.new || other.new, known: self.known || other.known }
    }

    fn is_only_new(self) -> bool {
        self.new && !self.known
    }
}

/// Walks commits by date, newest first; each commit propagates its colours to its parents.
struct NewCommitsWalk<'r> {
    repository: &'r Repository,
    odb: Odb<'r>,
    limits: WalkLimits,
    until: Instant,
    loaded: usize,
    bytes: usize,
    colours: HashMap<Oid, Colours>,
    /// Queued commits: committer time in seconds, insertion order, id.
    waiting: BinaryHeap<(i64, Reverse<usize>, Oid)>,
    /// Queued commits that are only new: the walk ends soon after the last of them.
    fresh: HashSet<Oid>,
}

impl<'r> NewCommitsWalk<'r> {
    fn new(repository: &'r Repository, limits: WalkLimits) -> Result<Self, git2::Error> {
        let now = Instant::now();
        Ok(Self {
            repository,
            odb: repository.odb()?,
            limits,
            until: now.checked_add(limits.time).unwrap_or(now),
            loaded: 0,
            bytes: 0,
            colours: HashMap::new(),
            waiting: BinaryHeap::new(),
            fresh: HashSet::new(),
        })
    }

    fn is_over(&self) -> bool {
        self.loaded >= self.limits.commits || self.bytes >= self.limits.bytes || Instant::now() >= self.until
    }

    /// Adds colours to a commit, and queues the commit if its colours changed.
    fn add(&mut self, oid: Oid, colours: Colours) {
        let before = self.colours.get(&oid).copied();
        let after = before.unwrap_or_default().with(colours);
        if before == Some(after) || (before.is_none() && self.is_over()) {
            return;
        }
        self.colours.insert(oid, after);
        // The parents of an unreadable commit are not visited.
        let Some(commit) = self.load(oid) else { return };
        if after.is_only_new() {
            self.fresh.insert(oid);
        } else {
            self.fresh.remove(&oid);
        }
        self.waiting.push((commit.time().seconds(), Reverse(self.loaded), oid));
    }

    fn load(&mut self, oid: Oid) -> Option<Commit<'r>> {
        self.loaded = self.loaded.saturating_add(1);
        self.read(oid)
    }

    /// Returns the commit, or `None` if it is too large or unreadable.
    ///
    /// The size is read from the object header, before the content is unpacked.
    fn read(&mut self, oid: Oid) -> Option<Commit<'r>> {
        let (bytes, kind) = self.odb.read_header(oid).ok()?;
        if kind != git2::ObjectType::Commit || bytes > self.limits.commit_bytes {
            return None;
        }
        self.bytes = self.bytes.saturating_add(bytes);
        self.repository.find_commit(oid).ok()
    }

    /// Walks until no new commit is queued or a limit is reached; returns the commits that are only
    /// new, newest first.
    fn run(&mut self) -> Vec<Oid> {
        let mut new = Vec::new();
        let mut slop = SLOP;
        while let Some((_, _, oid)) = self.waiting.pop() {
            let colours = self.colours.get(&oid).copied().unwrap_or_default();
            self.fresh.remove(&oid);
            if colours.is_only_new() {
                new.push(oid);
            } else if self.fresh.is_empty() {
                slop = slop.saturating_sub(1);
            }
            if slop == 0 || self.is_over() {
                break;
            }
            let Some(commit) = self.read(oid) else { continue };
            for parent in commit.parent_ids() {
                if self.is_over() {
                    break;
                }
                self.add(parent, colours);
            }
        }
        // A commit may have become known after it was visited.
        let mut seen = BTreeSet::new();
        let colours = &self.colours;
        new.retain(|oid| seen.insert(*oid) && colours.get(oid).copied().is_some_and(Colours::is_only_new));
        new
    }
}

/// Truncates untrusted text to a single short line.
fn short(bytes: &[u8], encoding: Option<&'static Encoding>) -> String {
    text::line(bytes, encoding).chars().take(TEXT_MAX).collect()
}
