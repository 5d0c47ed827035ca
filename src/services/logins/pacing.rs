//! Pacing: when the next password may be tried for an account. A plain struct; times are given to it.
//!
//! * Tries for one account form lanes: one lane for each network from which its user has logged in before (*familiar*),
//!   and one lane for all other networks together.
//! * Until [`PacingRules::free`] tries of a lane have failed, that many run at once, less the failures. After that one
//!   try runs at a time, and each failure delays the next start: 1 s, doubling up to [`PacingRules::delay_max`]. So a
//!   thousand parallel tries learn no more than one after the other.
//! * In a lane the network with the fewest failures is next, then the request that waits longest: a user who comes from
//!   a new network passes a network that guesses.
//! * A success ends the failures of a familiar lane, and makes its network familiar. It leaves the failures of the
//!   other lanes as they are: a user who logs in does not reset the delay of those who guess.
//! * An account is never locked. Names without an account are treated alike, so the delay reveals nothing.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::core::limits::Limits;

/// A lane without tries for so long starts again without failures.
const FORGET_AFTER: Duration = Duration::from_secs(15 * 60);
/// Networks of one lane whose failures are counted; the one with the fewest is forgotten first.
const NETWORKS_PER_LANE: usize = 64;

#[derive(Debug, Clone, Copy)]
pub(in super::super) struct PacingRules {
    /// Failures before the first delay.
    pub(super) free: u32,
    pub(super) delay_max: Duration,
    /// Lanes that are remembered, and accounts with familiar networks.
    pub(super) tracked: usize,
    /// Familiar networks of an account.
    pub(super) familiar: usize,
    /// Tries of one network that wait for a delayed lane.
    pub(super) waiting: usize,
}

impl PacingRules {
    pub(super) fn of(limits: &Limits) -> Self {
        Self {
            free: if limits.rates { limits.login_failures_free.max(1) } else { u32::MAX },
            delay_max: Duration::from_millis(limits.login_delay_max_ms),
            tracked: limits.login_failures_tracked.max(1),
            familiar: limits.familiar_networks,
            waiting: limits.delayed_per_login,
        }
    }
}

/// What becomes of a try that asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    Now,
    Waits,
    Refused,
}

/// An account's name and, for a lane of its own, the familiar network.
type LaneKey = (String, Option<IpAddr>);

#[derive(Debug)]
pub(super) struct Pacing {
    rules: PacingRules,
    lanes: HashMap<LaneKey, Lane>,
    /// By account, the network that logged in last at the end.
    familiar: HashMap<String, Familiar>,
    /// Tries that wait or run.
    tries: HashMap<u64, Try>,
}

#[derive(Debug)]
struct Familiar {
    networks: VecDeque<IpAddr>,
    last: Instant,
}

#[derive(Debug)]
struct Try {
    lane: LaneKey,
    network: IpAddr,
}

#[derive(Debug)]
struct Lane {
    failures: u32,
    /// The last failure, or the first try.
    last: Instant,
    running: u32,
    /// In the order in which they asked.
    waiting: Vec<(u64, IpAddr)>,
    by_network: HashMap<IpAddr, u32>,
}

impl Pacing {
    pub(super) fn new(rules: PacingRules) -> Self {
        Self { rules, lanes: HashMap::new(), familiar: HashMap::new(), tries: HashMap::new() }
    }

    /// A try of `account` from `network`; ids rise.
    pub(super) fn ask(&mut self, id: u64, account: &str, network: IpAddr, now: Instant) -> Turn {
        let known = self.familiar.get(account).is_some_and(|familiar| familiar.networks.contains(&network));
        let key = (account.to_owned(), known.then_some(network));
        self.make_room(&key, now);
        let lane = self.lanes.entry(key.clone()).or_insert_with(|| Lane::new(now));
        if lane.waiting.is_empty() && lane.may_start(&self.rules, now) {
            lane.running += 1;
            self.tries.insert(id, Try { lane: key, network });
            return Turn::Now;
        }
        let own = lane.waiting.iter().filter(|(_, other)| *other == network).count();
        if lane.failures >= self.rules.free && own >= self.rules.waiting {
            return Turn::Refused;
        }
        lane.waiting.push((id, network));
        self.tries.insert(id, Try { lane: key, network });
        Turn::Waits
    }

    /// A try that runs has an outcome. Returns the tries that are refused because of it.
    pub(super) fn tried(&mut self, id: u64, right: bool, now: Instant) -> Vec<u64> {
        let Some(Try { lane: key, network }) = self.tries.remove(&id) else { return Vec::new() };
        let Some(lane) = self.lanes.get_mut(&key) else { return Vec::new() };
        lane.running = lane.running.saturating_sub(1);
        if right {
            if key.1.is_some() {
                lane.failures = 0;
                lane.by_network.clear();
            }
            self.remember(&key.0, network, now);
            return Vec::new();
        }
        lane.failed(network, now);
        let refused = if lane.failures >= self.rules.free {
            lane.shorten(network, self.rules.waiting)
        } else {
            Vec::new()
        };
        for id in &refused {
            self.tries.remove(id);
        }
        refused
    }

    /// A try has ended without an outcome, or does not wait any more.
    pub(super) fn gone(&mut self, id: u64) {
        let Some(Try { lane: key, .. }) = self.tries.remove(&id) else { return };
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        let before = lane.waiting.len();
        lane.waiting.retain(|(waiting, _)| *waiting != id);
        if lane.waiting.len() == before {
            lane.running = lane.running.saturating_sub(1);
        }
    }

    /// The tries that start now.
    pub(super) fn due(&mut self, now: Instant) -> Vec<u64> {
        let mut started = Vec::new();
        let waiting = self.lanes.values_mut().filter(|lane| !lane.waiting.is_empty());
        for lane in waiting {
            while lane.may_start(&self.rules, now) {
                let Some(id) = lane.take_next() else { break };
                lane.running += 1;
                started.push(id);
            }
        }
        started
    }

    /// When a delay ends for which a try waits.
    pub(super) fn next_start(&self) -> Option<Instant> {
        let waiting = self.lanes.values().filter(|lane| !lane.waiting.is_empty() && lane.running == 0);
        waiting.map(|lane| lane.last + lane.delay(&self.rules)).min()
    }

    fn remember(&mut self, account: &str, network: IpAddr, now: Instant) {
        let full = self.familiar.len() >= self.rules.tracked && !self.familiar.contains_key(account);
        if full {
            let oldest = self.familiar.iter().min_by_key(|(_, familiar)| familiar.last);
            let oldest = oldest.map(|(name, _)| name.clone());
            oldest.and_then(|name| self.familiar.remove(&name));
        }
        let fresh = || Familiar { networks: VecDeque::new(), last: now };
        let familiar = self.familiar.entry(account.to_owned()).or_insert_with(fresh);
        familiar.last = now;
        familiar.networks.retain(|other| *other != network);
        familiar.networks.push_back(network);
        while familiar.networks.len() > self.rules.familiar {
            familiar.networks.pop_front();
        }
    }

    /// Drops the idle lane with the fewest failures, if there are too many. So a flood of invented names does not end
    /// the delay of a name that is guessed at.
    fn make_room(&mut self, wanted: &LaneKey, now: Instant) {
        if let Some(lane) = self.lanes.get_mut(wanted) {
            lane.expire(now);
            return;
        }
        if self.lanes.len() < self.rules.tracked {
            return;
        }
        self.lanes.retain(|_, lane| {
            lane.expire(now);
            !lane.is_idle() || lane.failures > 0
        });
        if self.lanes.len() >= self.rules.tracked {
            let idle = self.lanes.iter().filter(|(_, lane)| lane.is_idle());
            let least = idle.min_by_key(|(_, lane)| (lane.failures, lane.last)).map(|(key, _)| key.clone());
            least.and_then(|key| self.lanes.remove(&key));
        }
    }

    #[cfg(test)]
    pub(super) fn sizes(&self) -> (usize, usize, usize) {
        (self.lanes.len(), self.familiar.len(), self.tries.len())
    }
}

impl Lane {
    fn new(now: Instant) -> Self {
        Self { failures: 0, last: now, running: 0, waiting: Vec::new(), by_network: HashMap::new() }
    }

    fn is_idle(&self) -> bool {
        self.running == 0 && self.waiting.is_empty()
    }

    fn expire(&mut self, now: Instant) {
        if now.saturating_duration_since(self.last) > FORGET_AFTER {
            self.failures = 0;
            self.by_network.clear();
        }
    }

    fn delay(&self, rules: &PacingRules) -> Duration {
        match self.failures.checked_sub(rules.free) {
            None => Duration::ZERO,
            Some(doublings) => Duration::from_secs(1 << doublings.min(16)).min(rules.delay_max),
        }
    }

    fn may_start(&self, rules: &PacingRules, now: Instant) -> bool {
        let under_way = self.failures.saturating_add(self.running);
        under_way < rules.free || self.running == 0 && now >= self.last + self.delay(rules)
    }

    fn take_next(&mut self) -> Option<u64> {
        let failures = |network: &IpAddr| self.by_network.get(network).copied().unwrap_or(0);
        let next = self.waiting.iter().enumerate().min_by_key(|(at, (_, network))| (failures(network), *at));
        let at = next.map(|(at, _)| at)?;
        Some(self.waiting.remove(at).0)
    }

    /// Keeps so many waiting tries of the network; returns the others.
    fn shorten(&mut self, network: IpAddr, keep: usize) -> Vec<u64> {
        let own = self.waiting.iter().filter(|(_, other)| *other == network).map(|(id, _)| *id);
        let refused: Vec<_> = own.skip(keep).collect();
        self.waiting.retain(|(id, _)| !refused.contains(id));
        refused
    }

    fn failed(&mut self, network: IpAddr, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        self.last = now;
        if self.by_network.len() >= NETWORKS_PER_LANE && !self.by_network.contains_key(&network) {
            let fewest = self.by_network.iter().min_by_key(|(_, failures)| **failures);
            let fewest = fewest.map(|(network, _)| *network);
            fewest.and_then(|network| self.by_network.remove(&network));
        }
        *self.by_network.entry(network).or_insert(0) += 1;
    }
}
