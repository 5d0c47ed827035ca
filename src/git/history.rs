//! What a push brought: which refs are where it wanted them, and the commits that are new.

use std::collections::BTreeSet;
use std::path::Path;

use git2::{Oid, Repository, RepositoryOpenFlags, Sort};

use super::browse::Browser;
use crate::domain::mention::names_in;
use crate::domain::push::{PUSH_COMMITS_MAX, PushedCommit, RefUpdate};

/// Commits that are counted at most.
const COUNTED_MAX: usize = 1_000;
/// Commits whose messages are read for names.
const READ_MAX: usize = 100;
/// Other branches that a new branch is compared with.
const OTHERS_MAX: usize = 100;
/// People named in one push.
const NAMES_MAX: usize = 50;
/// The longest summary and name that is kept.
const TEXT_MAX: usize = 200;

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Brought {
    pub refs: Vec<RefUpdate>,
    /// The newest ones.
    pub commits: Vec<PushedCommit>,
    pub commit_count: usize,
    /// User names behind an `@` in the messages, as written there.
    pub named: BTreeSet<String>,
}

/// The updates that can succeed: their refs are where the client believes them to be. The others git will refuse, and a
/// ref that somebody else has moved to the same place must not look as if this push had done it.
pub fn possible(path: &Path, updates: &[RefUpdate]) -> Result<Vec<RefUpdate>, git2::Error> {
    let targets = targets(path, updates)?;
    let both = updates.iter().zip(targets);
    Ok(both.filter(|(update, now)| update.old == *now).map(|(update, _)| update.clone()).collect())
}

fn targets(path: &Path, updates: &[RefUpdate]) -> Result<Vec<Option<String>>, git2::Error> {
    let names: Vec<_> = updates.iter().map(|update| update.name.as_str()).collect();
    let targets =
        Browser::ref_targets(path, &names).map_err(|error| git2::Error::from_str(&error.to_string()))?;
    Ok(targets.into_iter().map(|target| target.map(|oid| oid.to_string())).collect())
}

/// Compares each ref with where it was to go. Reads the repository as it lies on disk.
pub fn brought(path: &Path, updates: &[RefUpdate]) -> Result<Brought, git2::Error> {
    let targets = targets(path, updates)?;
    let mut found = Brought::default();
    for (update, target) in updates.iter().zip(targets) {
        if target == update.new && update.old != update.new {
            found.refs.push(update.clone());
        }
    }
    let moved: Vec<_> = found.refs.clone();
    for update in &moved {
        // What cannot be read is not told; the push itself stands.
        if update.branch().is_some()
            && let Err(error) = tell(path, update, &moved, &mut found)
        {
            tracing::warn!(%error, "the commits of a push could not be read");
        }
    }
    Ok(found)
}

fn tell(
    path: &Path,
    update: &RefUpdate,
    moved: &[RefUpdate],
    found: &mut Brought,
) -> Result<(), git2::Error> {
    let Some(new) = &update.new else { return Ok(()) };
    let flags = RepositoryOpenFlags::NO_SEARCH | RepositoryOpenFlags::NO_DOTGIT | RepositoryOpenFlags::BARE;
    let repository = Repository::open_ext(path, flags, &[] as &[&Path])?;
    let mut walk = repository.revwalk()?;
    walk.set_sorting(Sort::TOPOLOGICAL)?;
    walk.push(Oid::from_str(new)?)?;
    match &update.old {
        Some(old) => walk.hide(Oid::from_str(old)?)?,
        // New to the repository is what no other branch has; those of this push may be new themselves.
        None => {
            for other in repository.references_glob("refs/heads/*")?.take(OTHERS_MAX) {
                let Ok(other) = other else { continue };
                let own = other.name().is_ok_and(|name| moved.iter().any(|update| update.name == name));
                if let Some(target) = other.target().filter(|_| !own) {
                    walk.hide(target)?;
                }
            }
        }
    }
    for oid in walk.take(COUNTED_MAX) {
        let oid = oid?;
        found.commit_count += 1;
        if found.commit_count > READ_MAX {
            continue;
        }
        let commit = repository.find_commit(oid)?;
        if found.commits.len() < PUSH_COMMITS_MAX {
            let author = commit.author();
            found.commits.push(PushedCommit {
                oid: oid.to_string(),
                summary: cut(commit.summary_bytes().unwrap_or_default()),
                author: cut(author.name_bytes()),
            });
        }
        names_in(&String::from_utf8_lossy(commit.message_bytes()), NAMES_MAX, &mut found.named);
    }
    Ok(())
}

fn cut(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().take(TEXT_MAX).collect()
}
