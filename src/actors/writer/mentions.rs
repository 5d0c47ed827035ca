//! How often a user may notify all members of a chat with `@all`: a token bucket for each.
//!
//! A message above the rate is written like any other; its `@all` notifies no user, and its sender is answered so.

use std::cell::RefCell;
use std::collections::HashMap;
use std::num::NonZeroU32;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::core::limits::Limits;
use crate::domain::ids::UserId;
use crate::domain::message::ClientId;

pub(super) struct MentionRates {
    on: bool,
    everybody: DefaultKeyedRateLimiter<UserId>,
    /// Whether messages of this batch are within the rate: a batch that is replayed counts each of them once.
    verdicts: RefCell<HashMap<(UserId, ClientId), bool>>,
}

impl MentionRates {
    pub(super) fn new(limits: &Limits) -> Self {
        let count = |count: u32| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_hour(count(limits.everybody_mentions_per_hour))
            .allow_burst(count(limits.everybody_mentions_burst));
        Self { on: limits.rates, everybody: RateLimiter::keyed(quota), verdicts: RefCell::default() }
    }

    /// Counts the `@all` of a message; `false`: it is above the rate.
    pub(super) fn count_everybody(&self, sender: UserId, message: ClientId) -> bool {
        if !self.on {
            return true;
        }
        let count = || self.everybody.check_key(&sender).is_ok();
        *self.verdicts.borrow_mut().entry((sender, message)).or_insert_with(count)
    }

    /// The batch is done: none of its messages is executed again.
    pub(super) fn end_batch(&self) {
        self.verdicts.borrow_mut().clear();
    }

    /// Forgets users whose buckets are full again.
    pub(super) fn tidy(&self) {
        self.everybody.retain_recent();
        self.everybody.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_is_counted_for_each_user() {
        let limits = Limits { everybody_mentions_burst: 2, ..Limits::default() };
        let rates = MentionRates::new(&limits);
        let counted =
            |user| (0..4).filter(|_| rates.count_everybody(UserId(user), ClientId::fresh())).count();
        assert_eq!((counted(1), counted(2)), (2, 2));
        let off = MentionRates::new(&Limits { rates: false, ..limits });
        assert!((0..9).all(|_| off.count_everybody(UserId(1), ClientId::fresh())));
    }

    /// A message in a batch that was replayed twice took three of the sender's twenty.
    #[test]
    fn replayed_message_counts_once() {
        let rates = MentionRates::new(&Limits { everybody_mentions_burst: 2, ..Limits::default() });
        let (first, second) = (ClientId::fresh(), ClientId::fresh());
        assert!((0..5).all(|_| rates.count_everybody(UserId(1), first)));
        assert!(rates.count_everybody(UserId(1), second));
        let over = ClientId::fresh();
        assert!((0..5).all(|_| !rates.count_everybody(UserId(1), over)), "the answer stays the same");
        rates.end_batch();
        assert!(!rates.count_everybody(UserId(1), first), "the name counts again");
    }
}
