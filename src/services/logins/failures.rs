//! Failed attempts by network, over all accounts and over names without an account.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Instant;

use super::pacing::FORGET_AFTER;

/// A network with more failed attempts is suspect. A user who mistypes stays below.
const SUSPECT_ABOVE: u32 = 3;
/// A customer with a /56 has 256 of the /64 networks counted here. The failures of one network,
/// times this number, make the whole /56 suspect.
const SITE_SHARE: u32 = 4;

/// The source of failed attempts: a network or, for IPv6, its /56.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Source {
    Network(IpAddr),
    Site(IpAddr),
}

/// A bounded number of counters. The counter with the fewest failures is evicted first, among
/// equals the oldest.
#[derive(Debug)]
pub(super) struct Failures {
    max: usize,
    counts: HashMap<Source, (u32, Instant)>,
}

impl Failures {
    pub(super) fn new(max: usize) -> Self {
        Self { max, counts: HashMap::new() }
    }

    pub(super) fn add(&mut self, network: IpAddr, now: Instant) {
        self.add_to(Source::Network(network), now);
        if let Some(site) = site_of(network) {
            self.add_to(site, now);
        }
    }

    /// Returns the recent failed attempts of the network.
    pub(super) fn count(&self, network: IpAddr, now: Instant) -> u32 {
        let own = self.get(Source::Network(network), now);
        let site = site_of(network).map_or(0, |site| self.get(site, now));
        own.max(site / SITE_SHARE)
    }

    pub(super) fn is_suspect(&self, network: IpAddr, now: Instant) -> bool {
        self.count(network, now) > SUSPECT_ABOVE
    }

    fn get(&self, source: Source, now: Instant) -> u32 {
        let found = self.counts.get(&source).filter(|(_, last)| is_recent(*last, now));
        found.map_or(0, |(count, _)| *count)
    }

    fn add_to(&mut self, source: Source, now: Instant) {
        if self.counts.len() >= self.max && !self.counts.contains_key(&source) {
            self.make_room(now);
        }
        let before = self.get(source, now);
        self.counts.insert(source, (before.saturating_add(1), now));
    }

    fn make_room(&mut self, now: Instant) {
        self.counts.retain(|_, (_, last)| is_recent(*last, now));
        while self.counts.len() >= self.max {
            let fewest = self.counts.iter().min_by_key(|(_, counted)| **counted).map(|(source, _)| *source);
            let Some(fewest) = fewest else { return };
            self.counts.remove(&fewest);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.counts.len()
    }
}

fn is_recent(last: Instant, now: Instant) -> bool {
    now.saturating_duration_since(last) <= FORGET_AFTER
}

fn site_of(network: IpAddr) -> Option<Source> {
    let IpAddr::V6(v6) = network else { return None };
    let [a, b, c, d, ..] = v6.segments();
    Some(Source::Site(IpAddr::from([a, b, c, d & 0xff00, 0, 0, 0, 0])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_counted_alone_and_in_their_site() {
        let (mut failures, now) = (Failures::new(1_000), Instant::now());
        let network = |n: u16| IpAddr::from([0x2001, 0xdb8, 0, n, 0, 0, 0, 0]);
        for n in 0..16 {
            failures.add(network(n), now);
        }
        assert!(failures.is_suspect(network(200), now), "the same /56");
        assert_eq!(failures.count(network(0x100), now), 0, "the next /56");
        assert_eq!(failures.count(network(200), now + 2 * FORGET_AFTER), 0);
    }

    #[test]
    fn table_is_bounded_and_keeps_the_most_failures() {
        let (mut failures, now) = (Failures::new(10), Instant::now());
        let network = |n: u8| IpAddr::from([192, 0, 2, n]);
        (0..5).for_each(|_| failures.add(network(1), now));
        (2..200).for_each(|n| failures.add(network(n), now));
        assert!(failures.len() <= 10);
        assert!(failures.is_suspect(network(1), now));
    }
}
