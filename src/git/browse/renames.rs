//! Finds files that moved unchanged: deleted at one path and added at another with the same
//! content.

use std::collections::HashMap;

use super::changes::{Change, ChangeStatus};
use super::path::{MODE_COMMIT, PathEntry};

/// The bits of a mode that hold the type of the entry.
const MODE_KIND: i32 = 0o170_000;

/// Returns whether files may have moved: some were added and others deleted.
pub(super) fn may_hold(changes: &[Change]) -> bool {
    let holds = |status| changes.iter().any(|change| change.status == status);
    holds(ChangeStatus::Added) && holds(ChangeStatus::Deleted)
}

/// Joins each added file with a deleted file of the same content, if one exists: with the same name
/// if possible, otherwise the first. Takes time linear in the number of changes.
pub(super) fn join_identical(changes: &mut Vec<Change>) {
    let mut same_name: HashMap<_, Vec<usize>> = HashMap::new();
    let mut same_content: HashMap<_, Vec<usize>> = HashMap::new();
    // Reverse order, because `pop` takes the last file of a list.
    for (index, change) in changes.iter().enumerate().rev() {
        let gone = (change.status == ChangeStatus::Deleted).then_some(change.old).flatten();
        let Some(content) = gone.and_then(content_of) else { continue };
        same_name.entry((content, name_of(&change.path).to_vec())).or_default().push(index);
        same_content.entry(content).or_default().push(index);
    }
    let mut taken = vec![false; changes.len()];
    let mut sources: Vec<Option<usize>> = vec![None; changes.len()];
    for by_name in [true, false] {
        for (index, change) in changes.iter().enumerate() {
            let came = (change.status == ChangeStatus::Added).then_some(change.new).flatten();
            let Some(content) = came.and_then(content_of) else { continue };
            let is_joined = sources.get(index).is_none_or(Option::is_some);
            let candidates = if by_name {
                same_name.get_mut(&(content, name_of(&change.path).to_vec()))
            } else {
                same_content.get_mut(&content)
            };
            let Some(candidates) = candidates.filter(|_| !is_joined) else { continue };
            while let Some(source) = candidates.pop() {
                if let Some(taken) = taken.get_mut(source).filter(|taken| !**taken) {
                    *taken = true;
                    if let Some(place) = sources.get_mut(index) {
                        *place = Some(source);
                    }
                    break;
                }
            }
        }
    }
    let old: Vec<_> = sources
        .iter()
        .map(|source| source.and_then(|source| changes.get(source)).map(|gone| (gone.path.clone(), gone.old)))
        .collect();
    for (change, source) in changes.iter_mut().zip(old) {
        if let Some((path, place)) = source {
            change.status = ChangeStatus::Renamed;
            change.old_path = Some(path);
            change.old = place;
        }
    }
    let mut taken = taken.into_iter();
    changes.retain(|_| !taken.next().unwrap_or_default());
}

/// Returns the key by which identical files are matched; `None` for submodules.
fn content_of(place: PathEntry) -> Option<(git2::Oid, i32)> {
    (place.mode != MODE_COMMIT).then_some((place.oid, place.mode & MODE_KIND))
}

fn name_of(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}
