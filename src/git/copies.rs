//! Compares a copy of a repository with the refs that the database has recorded.

use std::path::Path;

use git2::{Oid, Repository};

use super::browse::open_repository;
use crate::domain::recorded_refs::{RecordedRef, RecordedRefs};

/// Maximum number of commits that are read to find out that a ref is behind.
const COMMITS_MAX: usize = 10_000;

/// Returns whether the directory lacks pushes that the database knows: a ref, or its object, is
/// missing, or the ref has an earlier value. A newer copy is accepted: a backup may hold pushes
/// that its database does not contain.
///
/// # Errors
/// If the repository cannot be read.
pub fn is_older(path: &Path, recorded: &RecordedRefs) -> Result<bool, git2::Error> {
    let repository = open_repository(path).map_err(|error| git2::Error::from_str(&error.to_string()))?;
    let objects = repository.odb()?;
    let mut commits_left = COMMITS_MAX;
    for (name, known) in recorded.iter() {
        let found = repository.refname_to_id(name).ok();
        if found.is_some_and(|oid| !objects.exists(oid)) {
            return Ok(true);
        }
        if is_expected(known, found) {
            continue;
        }
        let is_earlier = found.is_some_and(|oid| known.earlier.contains(&oid.to_string()));
        let is_behind = match (&known.value, found) {
            _ if is_earlier => true,
            (Some(_), None) => true,
            (Some(value), Some(found)) => {
                let value = Oid::from_str(value)?;
                !objects.exists(value) || is_ancestor(&repository, found, value, &mut commits_left)
            }
            // Created again by a push that the database does not contain.
            (None, _) => false,
        };
        if is_behind {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_expected(known: &RecordedRef, found: Option<Oid>) -> bool {
    let found = found.map(|oid| oid.to_string());
    known.value == found || known.next.as_ref() == Some(&found)
}

/// Returns whether `old` is found among the ancestors of `new`.
fn is_ancestor(repository: &Repository, old: Oid, new: Oid, commits_left: &mut usize) -> bool {
    let Ok(mut walk) = repository.revwalk() else { return false };
    // A tag of something else than a commit has no ancestors.
    if walk.push(new).is_err() {
        return false;
    }
    for commit in walk {
        if *commits_left == 0 || commit.is_err() {
            return false;
        }
        *commits_left -= 1;
        if commit.is_ok_and(|oid| oid == old) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use git2::{Repository, Signature};

    use super::*;
    use crate::domain::push::RefUpdate;

    const MAIN: &str = "refs/heads/main";

    fn commit(repository: &Repository, parent: Option<Oid>) -> Oid {
        let who = Signature::new("a", "a@example.org", &git2::Time::new(0, 0)).unwrap();
        let tree = repository.treebuilder(None).unwrap().write().unwrap();
        let tree = repository.find_tree(tree).unwrap();
        let parent = parent.map(|oid| repository.find_commit(oid).unwrap());
        let parents: Vec<_> = parent.iter().collect();
        repository.commit(None, &who, &who, "message", &tree, &parents).unwrap()
    }

    /// `old` and `new` are the refs of a push that is not settled.
    fn recorded(old: Option<String>, new: Option<String>) -> RecordedRefs {
        let mut recorded = RecordedRefs::default();
        recorded.add_pending(vec![RefUpdate { name: MAIN.to_owned(), old, new }]);
        recorded
    }

    #[test]
    fn copy_without_a_recorded_push_is_older() {
        let folder = tempfile::tempdir().unwrap();
        let repository = Repository::init_bare(folder.path()).unwrap();
        let first = commit(&repository, None);
        let second = commit(&repository, Some(first));
        let third = commit(&repository, Some(second));
        let is_older = |recorded: &RecordedRefs| super::is_older(folder.path(), recorded).unwrap();
        let text = |oid: Oid| Some(oid.to_string());
        let lost = Some("1".repeat(40));
        assert!(is_older(&recorded(text(second), text(third))), "the ref is missing");
        repository.reference(MAIN, second, true, "").unwrap();
        assert!(!is_older(&recorded(text(second), text(third))));
        assert!(!is_older(&recorded(text(first), text(second))), "the push that is not settled");
        assert!(!is_older(&recorded(text(first), lost.clone())), "a newer copy");
        assert!(is_older(&recorded(lost.clone(), lost.clone())), "the object is missing");
        assert!(is_older(&recorded(text(third), lost)), "an ancestor of the recorded commit");
        assert!(!is_older(&recorded(None, text(first))), "created by a push that is not known");
    }
}
