//! Rates of `@all`: how often a user may notify all members of a chat. A token bucket for each
//! user.
//!
//! A message above the rate is written like any other, but its `@all` notifies no user. The answer
//! informs its sender.

use std::num::NonZeroU32;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::core::limits::Limits;
use crate::domain::ids::UserId;

pub(super) struct MentionRates {
    on: bool,
    of_all: DefaultKeyedRateLimiter<UserId>,
}

impl MentionRates {
    pub(super) fn new(limits: &Limits) -> Self {
        let count = |count: u32| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_hour(count(limits.everybody_mentions_per_hour))
            .allow_burst(count(limits.everybody_mentions_burst));
        Self { on: limits.rates, of_all: RateLimiter::keyed(quota) }
    }

    /// Counts the `@all` of a message. Returns `false` if it exceeds the rate.
    pub(super) fn count_mention_of_all(&self, sender: UserId) -> bool {
        !self.on || self.of_all.check_key(&sender).is_ok()
    }

    /// Drops the buckets that are full again.
    pub(super) fn tidy(&self) {
        self.of_all.retain_recent();
        self.of_all.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_is_counted_for_each_user() {
        let limits = Limits { everybody_mentions_burst: 2, ..Limits::default() };
        let rates = MentionRates::new(&limits);
        let counted = |user| (0..4).filter(|_| rates.count_mention_of_all(UserId(user))).count();
        assert_eq!((counted(1), counted(2)), (2, 2));
        let off = MentionRates::new(&Limits { rates: false, ..limits });
        assert!((0..9).all(|_| off.count_mention_of_all(UserId(1))));
    }
}
