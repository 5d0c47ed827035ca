//! The places that users show to be at: a file or a comparison of a repository.
//!
//! A user asks for it with every request (opt-in), so nothing else is recorded. Soft state, bounded
//! per user and in total. An entry expires [`STAY`] after its last request; the next request of any
//! user removes expired entries.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::ids::{RepositoryId, UserId};

/// How long a user is shown after a request.
const STAY: Duration = Duration::from_secs(60);
/// Maximum number of places of one user; the oldest is dropped.
const PLACES_PER_USER: usize = 4;
/// Maximum number of places of all users. At the maximum, further users are not shown.
const PLACES_MAX: usize = 10_000;
/// Maximum number of users in an answer.
const SHOWN_MAX: usize = 50;

/// A place in a repository. It is kept as a hash: of equal size whatever its name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    repository: RepositoryId,
    name: [u8; 32],
}

impl Place {
    pub fn of(repository: RepositoryId, name: &str) -> Self {
        Self { repository, name: Sha256::digest(name.as_bytes()).into() }
    }
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Places {
    of_user: HashMap<UserId, Vec<(Place, Instant)>>,
    users: BTreeSet<(Place, UserId)>,
    /// The same entries by the time at which they expire.
    expiries: BTreeSet<(Instant, UserId, Place)>,
}

impl Places {
    /// Shows the user at the place from now on.
    pub(super) fn enter(&mut self, user: UserId, place: Place, now: Instant) {
        self.remove_expired(now);
        let is_here = self.users.contains(&(place, user));
        if !is_here && self.users.len() >= PLACES_MAX {
            return;
        }
        self.leave(user, place);
        let own = self.of_user.entry(user).or_default();
        own.push((place, now + STAY));
        let oldest = own.first().filter(|_| own.len() > PLACES_PER_USER).map(|(oldest, _)| *oldest);
        self.users.insert((place, user));
        self.expiries.insert((now + STAY, user, place));
        if let Some(oldest) = oldest {
            self.leave(user, oldest);
        }
    }

    pub(super) fn leave(&mut self, user: UserId, place: Place) {
        self.users.remove(&(place, user));
        if let Some(own) = self.of_user.get_mut(&user) {
            for (_, until) in own.extract_if(.., |(known, _)| *known == place) {
                self.expiries.remove(&(until, user, place));
            }
            if own.is_empty() {
                self.of_user.remove(&user);
            }
        }
    }

    /// Returns the first users at the place who are shown to `watcher`, by id.
    pub(super) fn others(
        &self,
        place: Place,
        watcher: UserId,
        now: Instant,
        is_hidden: impl Fn(UserId) -> bool,
    ) -> Vec<UserId> {
        let here = self.users.range((place, UserId(i64::MIN))..=(place, UserId(i64::MAX)));
        let is_fresh = |user: &UserId| {
            let own = self.of_user.get(user).into_iter().flatten();
            own.copied().any(|(known, until)| known == place && until > now)
        };
        let others = here.map(|(_, user)| *user).filter(|user| *user != watcher);
        others.filter(is_fresh).filter(|user| !is_hidden(*user)).take(SHOWN_MAX).collect()
    }

    fn remove_expired(&mut self, now: Instant) {
        while let Some((_, user, place)) = self.expiries.first().copied().filter(|(at, ..)| *at <= now) {
            self.leave(user, place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: UserId = UserId(1);
    const BOB: UserId = UserId(2);
    const CAROL: UserId = UserId(3);

    fn place(name: &str) -> Place {
        Place::of(RepositoryId(1), name)
    }

    #[test]
    fn users_at_a_place_see_each_other_until_they_expire() {
        let (mut places, now) = (Places::default(), Instant::now());
        let shown = |_| false;
        places.enter(ALICE, place("a"), now);
        places.enter(BOB, place("a"), now);
        places.enter(CAROL, place("b"), now);
        assert_eq!(places.others(place("a"), ALICE, now, shown), [BOB]);
        assert_eq!(places.others(place("b"), ALICE, now, shown), [CAROL]);
        assert_eq!(places.others(place("a"), CAROL, now, |user| user == BOB), [ALICE]);
        assert_eq!(places.others(Place::of(RepositoryId(2), "a"), CAROL, now, shown), []);
        places.enter(ALICE, place("a"), now + STAY / 2);
        assert_eq!(places.others(place("a"), CAROL, now + STAY, shown), [ALICE]);
        places.leave(ALICE, place("a"));
        assert_eq!(places.others(place("a"), CAROL, now, shown), [BOB]);
    }

    #[test]
    fn expired_places_leave_no_memory() {
        let (mut places, now) = (Places::default(), Instant::now());
        for user in 1..=100 {
            places.enter(UserId(user), place("a"), now);
            places.enter(UserId(user), place("a"), now + STAY / 2);
        }
        assert_eq!((places.users.len(), places.of_user.len(), places.expiries.len()), (100, 100, 100));
        places.enter(ALICE, place("b"), now + STAY);
        assert_eq!(places.users.len(), 101, "they have been entered again");
        places.enter(BOB, place("b"), now + STAY + STAY / 2);
        assert_eq!((places.users.len(), places.of_user.len(), places.expiries.len()), (2, 2, 2));
    }

    #[test]
    fn places_are_bounded_per_user_and_in_total() {
        let (mut places, now) = (Places::default(), Instant::now());
        for name in ["a", "b", "c", "d", "e"] {
            places.enter(ALICE, place(name), now);
        }
        assert_eq!(places.users.len(), PLACES_PER_USER);
        assert_eq!(places.others(place("a"), BOB, now, |_| false), []);
        for user in 10.. {
            if places.users.len() == PLACES_MAX {
                break;
            }
            places.enter(UserId(user), place("a"), now);
        }
        places.enter(BOB, place("f"), now);
        assert_eq!(places.others(place("f"), ALICE, now, |_| false), [], "no space");
        places.enter(BOB, place("f"), now + STAY);
        assert_eq!(places.others(place("f"), ALICE, now + STAY, |_| false), [BOB]);
        assert_eq!((places.users.len(), places.of_user.len()), (1, 1), "the others have expired");
        assert_eq!(places.others(place("a"), ALICE, now, |_| false).len(), 0);
    }
}
