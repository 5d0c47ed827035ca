//! Rates of additions: how often users are added to chats and projects by others. Token buckets for
//! each user who adds and for each user who is added.
//!
//! The buckets for each added user bound what many accounts can do together: new accounts of one
//! address, of many addresses, and accounts that know each other. The buckets live in the writer,
//! because all other checks are complete only there. An addition that another check refuses takes
//! no token from the added user's bucket.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::core::limits::Limits;
use crate::core::saturate;
use crate::domain::ids::UserId;
use crate::domain::permission::people::AddingRate;
use crate::domain::refusal::Refusal;

type Buckets = DefaultKeyedRateLimiter<UserId>;

pub(super) struct AdditionRates {
    on: bool,
    /// Additions of strangers, by the user who adds them.
    strangers: Buckets,
    /// Additions by strangers, by the user who is added.
    by_strangers: Buckets,
    /// Additions by users who are not strangers, by adder and added user: no adder can use up the
    /// additions of others.
    pairs: DefaultKeyedRateLimiter<(UserId, UserId)>,
    /// All additions, by the user who is added.
    all: Buckets,
    clock: DefaultClock,
}

impl AdditionRates {
    pub(super) fn new(limits: &Limits) -> Self {
        let count = |count: u32| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
        let quota = |per_hour, burst| Quota::per_hour(count(per_hour)).allow_burst(count(burst));
        let buckets = |per_hour, burst| RateLimiter::keyed(quota(per_hour, burst));
        Self {
            on: limits.rates,
            strangers: buckets(limits.strangers_added_per_hour, limits.strangers_added_burst),
            by_strangers: buckets(limits.added_by_strangers_per_hour, limits.added_by_strangers_burst),
            pairs: RateLimiter::keyed(quota(limits.added_by_one_per_hour, limits.added_by_one_burst)),
            all: buckets(limits.added_per_hour, limits.added_burst),
            clock: DefaultClock::default(),
        }
    }

    /// Counts that `adder` adds `person`.
    ///
    /// # Errors
    /// [`Refusal::TooManyAdditions`] if a bucket is empty.
    pub(super) fn count(&self, adder: UserId, person: UserId, rate: AddingRate) -> Result<(), Refusal> {
        match rate {
            _ if !self.on => Ok(()),
            AddingRate::Free => Ok(()),
            AddingRate::Person => {
                self.take(&self.pairs, (adder, person))?;
                self.take(&self.all, person)
            }
            AddingRate::Strangers => {
                self.take(&self.strangers, adder)?;
                self.take(&self.by_strangers, person)?;
                self.take(&self.all, person)
            }
        }
    }

    fn take<K: Hash + Eq + Clone>(
        &self,
        buckets: &DefaultKeyedRateLimiter<K>,
        key: K,
    ) -> Result<(), Refusal> {
        buckets.check_key(&key).map_err(|not_until| {
            let wait = not_until.wait_time_from(self.clock.now()).max(Duration::from_millis(1));
            Refusal::TooManyAdditions { retry_after_ms: saturate::millis(wait) }
        })
    }

    /// Drops the buckets that are full again.
    pub(super) fn tidy(&self) {
        for buckets in [&self.strangers, &self.by_strangers, &self.all] {
            buckets.retain_recent();
            buckets.shrink_to_fit();
        }
        self.pairs.retain_recent();
        self.pairs.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates() -> AdditionRates {
        AdditionRates::new(&Limits {
            strangers_added_burst: 3,
            added_by_strangers_burst: 2,
            added_burst: 4,
            ..Limits::default()
        })
    }

    fn added(rates: &AdditionRates, adders: std::ops::Range<i64>, person: i64, rate: AddingRate) -> usize {
        adders.filter(|adder| rates.count(UserId(*adder), UserId(person), rate).is_ok()).count()
    }

    #[test]
    fn adders_share_the_limit_of_the_added_user() {
        let rates = rates();
        assert_eq!(added(&rates, 10..30, 1, AddingRate::Strangers), 2);
        // Acquainted users still have what strangers could not take.
        assert_eq!(added(&rates, 10..30, 1, AddingRate::Person), 2);
        assert_eq!(added(&rates, 10..30, 1, AddingRate::Free), 20);
        assert_eq!(added(&rates, 10..30, 2, AddingRate::Strangers), 2, "other users are not affected");
    }

    #[test]
    fn adder_is_limited_over_all_strangers() {
        let rates = rates();
        let to_strangers = |people: std::ops::Range<i64>| {
            let add = |person: &i64| rates.count(UserId(1), UserId(*person), AddingRate::Strangers).is_ok();
            people.filter(add).count()
        };
        assert_eq!(to_strangers(10..30), 3);
        let off = AdditionRates::new(&Limits { rates: false, ..Limits::default() });
        assert_eq!(added(&off, 0..1_000, 1, AddingRate::Strangers), 1_000);
    }
}
