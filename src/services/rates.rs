//! Rate limits of user actions: token buckets, by user or by address.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock, QuantaInstant};
use governor::{DefaultKeyedRateLimiter, NotUntil, Quota, RateLimiter};

use crate::core::limits::Limits;
use crate::core::saturate;
use crate::core::shares::network_of;
use crate::domain::ids::UserId;
use crate::domain::refusal::Refusal;

pub struct Rates {
    on: bool,
    messages: DefaultKeyedRateLimiter<UserId>,
    changes: DefaultKeyedRateLimiter<UserId>,
    registrations: DefaultKeyedRateLimiter<IpAddr>,
    tickets: DefaultKeyedRateLimiter<UserId>,
    lookups: DefaultKeyedRateLimiter<UserId>,
    searches: DefaultKeyedRateLimiter<UserId>,
    clock: DefaultClock,
}

impl Rates {
    pub fn new(limits: &Limits) -> Self {
        let at_least_one = |count: u32| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
        let messages = Quota::per_second(at_least_one(limits.messages_per_second))
            .allow_burst(at_least_one(limits.messages_burst));
        let changes = Quota::per_second(at_least_one(limits.changes_per_second))
            .allow_burst(at_least_one(limits.changes_burst));
        let registrations = Quota::per_minute(at_least_one(limits.registrations_per_minute))
            .allow_burst(at_least_one(limits.registrations_burst));
        let tickets = Quota::per_minute(at_least_one(limits.udp_tickets_per_minute))
            .allow_burst(at_least_one(limits.udp_tickets_burst));
        let lookups = Quota::per_second(at_least_one(limits.lookups_per_second))
            .allow_burst(at_least_one(limits.lookups_burst));
        let searches = Quota::per_second(at_least_one(limits.searches_per_second))
            .allow_burst(at_least_one(limits.searches_burst));
        Self {
            on: limits.rates,
            messages: RateLimiter::keyed(messages),
            changes: RateLimiter::keyed(changes),
            registrations: RateLimiter::keyed(registrations),
            tickets: RateLimiter::keyed(tickets),
            lookups: RateLimiter::keyed(lookups),
            searches: RateLimiter::keyed(searches),
            clock: DefaultClock::default(),
        }
    }

    pub fn message(&self, user: UserId) -> Result<(), Refusal> {
        self.check(&self.messages, &user)
    }

    /// Checks a change that concerns `people` users: creating a chat, adding, renaming and the
    /// like.
    pub fn change(&self, user: UserId, people: usize) -> Result<(), Refusal> {
        if !self.on {
            return Ok(());
        }
        let weight = u32::try_from(people).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN);
        match self.changes.check_key_n(&user, weight) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(not_until)) => Err(self.refusal(&not_until)),
            Err(_) => Err(Refusal::invalid("participants", "are too many at once; add the others later")),
        }
    }

    /// Checks a UDP ticket, requested over REST, by a `Ticket` packet or in a `Hello`.
    pub fn ticket(&self, user: UserId) -> Result<(), Refusal> {
        self.check(&self.tickets, &user)
    }

    /// Checks a query about other users: their names, by id or by prefix, and their presence.
    pub fn lookup(&self, user: UserId) -> Result<(), Refusal> {
        self.check(&self.lookups, &user)
    }

    /// Checks a search.
    pub fn search(&self, user: UserId) -> Result<(), Refusal> {
        self.check(&self.searches, &user)
    }

    pub fn registration(&self, address: IpAddr) -> Result<(), Refusal> {
        self.check(&self.registrations, &network_of(address))
    }

    fn check<K: std::hash::Hash + Eq + Clone>(
        &self,
        limiter: &DefaultKeyedRateLimiter<K>,
        key: &K,
    ) -> Result<(), Refusal> {
        if !self.on {
            return Ok(());
        }
        limiter.check_key(key).map_err(|not_until| self.refusal(&not_until))
    }

    fn refusal(&self, not_until: &NotUntil<QuantaInstant>) -> Refusal {
        let wait = not_until.wait_time_from(self.clock.now()).max(Duration::from_millis(1));
        Refusal::RateLimited { retry_after_ms: saturate::millis(wait).max(1) }
    }

    /// Drops keys whose bucket is full again, so that the maps stay as small as the traffic.
    pub fn tidy(&self) {
        self.messages.retain_recent();
        self.changes.retain_recent();
        self.registrations.retain_recent();
        self.tickets.retain_recent();
        self.lookups.retain_recent();
        self.searches.retain_recent();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits { messages_per_second: 1, messages_burst: 3, registrations_burst: 2, ..Limits::default() }
    }

    #[test]
    fn rate_allows_burst_then_returns_time_to_retry() {
        let rates = Rates::new(&limits());
        let answers: Vec<_> = (0..4).map(|_| rates.message(UserId(1))).collect();
        assert!(answers[..3].iter().all(Result::is_ok));
        assert!(matches!(answers[3], Err(Refusal::RateLimited { retry_after_ms: 1..=1000 })));
        assert!(rates.message(UserId(2)).is_ok(), "other users are not limited");
    }

    #[test]
    fn neighbours_in_one_ipv6_network_share_a_bucket() {
        let rates = Rates::new(&limits());
        let address = |last: u16| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last]);
        assert!(rates.registration(address(1)).is_ok() && rates.registration(address(2)).is_ok());
        assert!(rates.registration(address(3)).is_err());
    }

    #[test]
    fn switched_off_rates_allow_everything() {
        let rates = Rates::new(&Limits { rates: false, ..limits() });
        assert!((0..1000).all(|_| rates.message(UserId(1)).is_ok()));
    }
}
