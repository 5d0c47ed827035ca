//! Names of users, requested in batches when they are first needed.

use std::collections::{BTreeSet, HashMap};

use crate::domain::ids::UserId;
use crate::protocol::view::UserView;

/// Names kept; at this number they are discarded and requested again when needed.
const NAMES_MAX: usize = 10_000;
/// Ids in a request: the server's maximum.
const BATCH: usize = 100;

#[derive(Debug, Default)]
pub(super) struct Names {
    /// `None`: the server reports no name.
    known: HashMap<UserId, Option<String>>,
    by_name: HashMap<String, UserId>,
    wanted: BTreeSet<UserId>,
    /// Requested, and not answered yet.
    requested: BTreeSet<UserId>,
}

impl Names {
    pub(super) fn learn(&mut self, user: UserId, name: &str) {
        self.make_room();
        self.wanted.remove(&user);
        self.by_name.insert(name.to_lowercase(), user);
        self.known.insert(user, Some(name.to_owned()));
    }

    fn make_room(&mut self) {
        if self.known.len() >= NAMES_MAX {
            self.known.clear();
            self.by_name.clear();
        }
    }

    /// Notes that the name of a user is needed.
    pub(super) fn want(&mut self, user: UserId) {
        let is_known = self.known.contains_key(&user) || self.requested.contains(&user);
        if !is_known && self.wanted.len() < NAMES_MAX {
            self.wanted.insert(user);
        }
    }

    /// Returns ids to request, at most the server's maximum, and counts them as requested.
    pub(super) fn batch(&mut self) -> Vec<UserId> {
        let batch: Vec<_> = self.wanted.iter().take(BATCH).copied().collect();
        for user in &batch {
            self.wanted.remove(user);
            self.requested.insert(*user);
        }
        batch
    }

    /// Stores the answer to a batch. Ids that it leaves out are not requested again.
    pub(super) fn answered(&mut self, batch: &[UserId], people: &[UserView]) {
        for person in people {
            self.learn(person.id, &person.username);
        }
        for user in batch {
            self.requested.remove(user);
            if !self.known.contains_key(user) {
                self.make_room();
                self.known.insert(*user, None);
            }
        }
    }

    /// The server reports that users changed. Only names that were needed are kept.
    pub(super) fn renamed(&mut self, people: &[UserView]) {
        for person in people.iter().filter(|person| self.known.contains_key(&person.id)).collect::<Vec<_>>() {
            self.learn(person.id, &person.username);
        }
    }

    /// The server refused a batch: its names are still needed.
    pub(super) fn lost(&mut self, batch: &[UserId]) {
        for user in batch {
            self.requested.remove(user);
            self.want(*user);
        }
    }

    /// The answers to all requests were lost.
    pub(super) fn connection_lost(&mut self) {
        let requested: Vec<_> = std::mem::take(&mut self.requested).into_iter().collect();
        self.lost(&requested);
    }

    pub(super) fn of(&self, user: UserId) -> String {
        self.known.get(&user).cloned().flatten().unwrap_or_else(|| format!("user {user}"))
    }

    pub(super) fn id(&self, name: &str) -> Option<UserId> {
        self.by_name.get(&name.to_lowercase()).copied()
    }

    /// Returns the known names that begin with a text, without regard to case, in order.
    pub(super) fn beginning_with(&self, prefix: &str) -> Vec<String> {
        let prefix = prefix.to_lowercase();
        let names = self.known.values().flatten();
        let mut names: Vec<_> =
            names.filter(|name| name.to_lowercase().starts_with(&prefix)).cloned().collect();
        names.sort();
        names.dedup();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_requested_once_and_in_batches() {
        let mut names = Names::default();
        (1..=150).for_each(|user| names.want(UserId(user)));
        let batch = names.batch();
        assert_eq!((batch.len(), names.batch().len(), names.batch().len()), (100, 50, 0));
        // Names that are on the screen are needed again and again until the answer arrives.
        (1..=150).for_each(|user| names.want(UserId(user)));
        assert!(names.batch().is_empty());
        let bob = UserView {
            id: UserId(2),
            username: "Bob".into(),
            display_name: "Bob".into(),
            active: true,
            avatar: None,
        };
        names.answered(&batch, &[bob]);
        names.want(UserId(1));
        names.want(UserId(2));
        assert!(names.batch().is_empty());
        assert_eq!((names.of(UserId(2)), names.of(UserId(1))), ("Bob".to_owned(), "user 1".to_owned()));
        assert_eq!((names.id("bob"), names.beginning_with("b")), (Some(UserId(2)), vec!["Bob".to_owned()]));
        let renamed = |id, name: &str| UserView {
            id: UserId(id),
            username: name.into(),
            display_name: name.into(),
            active: true,
            avatar: None,
        };
        names.renamed(&[renamed(2, "bobby"), renamed(77_777, "eve")]);
        assert_eq!((names.of(UserId(2)), names.id("eve")), ("bobby".to_owned(), None));
        names.lost(&[UserId(150)]);
        assert_eq!(names.batch(), [UserId(150)]);
        names.connection_lost();
        assert_eq!(names.batch().len(), 50);
    }

    #[test]
    fn users_without_a_name_are_kept_in_bounded_memory() {
        let mut names = Names::default();
        for user in 0..3 * i64::try_from(NAMES_MAX).unwrap() {
            names.want(UserId(user));
            let batch = names.batch();
            names.answered(&batch, &[]);
        }
        assert!(names.known.len() <= NAMES_MAX && names.requested.is_empty());
    }
}
