//! The refs of a repository as the database knows them: from the newest pushes, and the one that
//! is not settled.
//!
//! Invariant: a ref is listed only if no newer push that the database knows can have moved it.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use super::push::{Push, RefUpdate};

/// Maximum number of refs of a repository that are compared.
pub const REFS_COMPARED: usize = 1000;

/// A ref after the newest push that moved it. `None` as an id: the ref does not exist.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecordedRef {
    pub value: Option<String>,
    /// The value that a push which is not settled may have written.
    pub next: Option<Option<String>>,
    /// Values before.
    pub earlier: BTreeSet<String>,
}

/// The refs by name. Pushes are added from the newest to the oldest.
#[derive(Debug, Clone, Default)]
pub struct RecordedRefs {
    refs: BTreeMap<String, RecordedRef>,
    /// Not all refs of the last added push are known: older pushes are not added.
    is_closed: bool,
}

impl RecordedRefs {
    /// Adds the push that is not settled.
    pub fn add_pending(&mut self, updates: Vec<RefUpdate>) {
        for update in updates {
            let recorded =
                RecordedRef { value: update.old, next: Some(update.new), ..RecordedRef::default() };
            self.add(update.name, recorded);
        }
    }

    /// Adds a settled push.
    pub fn add_settled(&mut self, push: Push) {
        if self.is_closed {
            return;
        }
        let is_cut = push.ref_count > push.refs.len();
        for RefUpdate { name, old, new } in push.refs {
            let recorded = RecordedRef { value: new, earlier: old.into_iter().collect(), next: None };
            self.add(name, recorded);
        }
        self.is_closed |= is_cut;
    }

    fn add(&mut self, name: String, recorded: RecordedRef) {
        let is_full = self.refs.len() >= REFS_COMPARED;
        match self.refs.entry(name) {
            Entry::Occupied(mut newer) => {
                newer.get_mut().earlier.extend(recorded.value.into_iter().chain(recorded.earlier));
            }
            Entry::Vacant(_) if is_full => self.is_closed = true,
            Entry::Vacant(vacant) => {
                vacant.insert(recorded);
            }
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &RecordedRef)> {
        self.refs.iter().map(|(name, recorded)| (name.as_str(), recorded))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::RepositoryId;

    fn update(name: &str, old: &str, new: &str) -> RefUpdate {
        let id = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        RefUpdate { name: name.to_owned(), old: id(old), new: id(new) }
    }

    fn push(refs: Vec<RefUpdate>, more: usize) -> Push {
        let ref_count = refs.len() + more;
        let repository = String::new();
        let commits = Vec::new();
        Push { repository_id: RepositoryId(1), repository, refs, ref_count, commits, commit_count: 0 }
    }

    #[test]
    fn newest_push_of_a_ref_decides() {
        let mut recorded = RecordedRefs::default();
        recorded.add_pending(vec![update("main", "c", "d")]);
        recorded.add_settled(push(vec![update("main", "b", "c"), update("dev", "", "x")], 0));
        recorded.add_settled(push(vec![update("main", "a", "b")], 1));
        recorded.add_settled(push(vec![update("old", "", "y")], 0));
        let found: Vec<_> = recorded.iter().collect();
        assert_eq!(found.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["dev", "main"]);
        let main = found[1].1;
        assert_eq!((main.value.as_deref(), &main.next), (Some("c"), &Some(Some("d".to_owned()))));
        assert!(["a", "b"].iter().all(|id| main.earlier.contains(*id)));
    }

    #[test]
    fn refs_are_bounded() {
        let mut recorded = RecordedRefs::default();
        let many = (0..REFS_COMPARED + 1).map(|number| update(&number.to_string(), "", "a"));
        recorded.add_pending(many.collect());
        recorded.add_settled(push(vec![update("main", "", "a")], 0));
        assert_eq!(recorded.iter().count(), REFS_COMPARED);
    }
}
