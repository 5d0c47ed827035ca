//! Pacing: decides when the next password attempt for an account may start. A plain struct; callers
//! pass the time.
//!
//! * Attempts for one account form lanes: one lane for each network from which its user has logged
//!   in before (*familiar*), and one lane for all other networks together.
//! * Until [`PacingRules::free`] attempts of a lane have failed, that many run at once, minus the
//!   failures. After that one attempt runs at a time, and each failure delays the next start: 1 s,
//!   doubling up to [`PacingRules::delay_max`]. So a thousand parallel attempts reveal no more than
//!   sequential attempts.
//! * In a lane the network with the fewest failed attempts is next ([`Failures`], over all
//!   accounts), among equals a random network, and of that network a random attempt. So a user in a
//!   new network is served before networks that guess. A user in the network of a guesser has the
//!   same chance as each attempt there.
//! * Users who are logged in have their own lane, for a password that confirms an action.
//! * A success resets the failures of a familiar lane, and makes its network familiar. It does not
//!   change the failures of the other lanes: a user who logs in does not reset the delay of
//!   guessers.
//! * The nodes of a cluster share outcomes, and the starts of attempts in delayed lanes. A delay is
//!   longer by a random part of [`STAGGER_MAX`], so that the attempts that wait at several nodes
//!   start one after the other. The start of an attempt elsewhere does not delay a network with
//!   fewer failures here, and an attempt that ends without an outcome costs its lane the delay.
//! * An account is never locked. Names without an account are treated alike, so the delay does not
//!   reveal whether an account exists.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use rand::seq::IteratorRandom;
use serde::{Deserialize, Serialize};

use super::failures::Failures;
use crate::core::auth::password::Standing;
use crate::core::limits::Limits;

/// A lane without attempts for this long starts again without failures.
pub(super) const FORGET_AFTER: Duration = Duration::from_secs(15 * 60);

/// Longer than a message takes to the other nodes of a cluster.
const STAGGER_MAX: Duration = Duration::from_millis(400);

#[derive(Debug, Clone, Copy)]
pub(in super::super) struct PacingRules {
    /// Failures before the first delay.
    pub(super) free: u32,
    pub(super) delay_max: Duration,
    /// Like `delay_max`, for familiar networks and users who are logged in.
    pub(super) delay_known_max: Duration,
    /// Maximum number of lanes, of networks with failures, and of accounts with familiar networks.
    pub(super) tracked: usize,
    /// Maximum number of familiar networks of an account.
    pub(super) familiar: usize,
    /// Maximum number of attempts of one network that wait for a delayed lane.
    pub(super) waiting: usize,
    /// Whether other nodes delay attempts for the same accounts.
    pub(super) shared: bool,
}

impl PacingRules {
    pub(super) fn of(limits: &Limits) -> Self {
        Self {
            free: if limits.rates { limits.login_failures_free.max(1) } else { u32::MAX },
            delay_max: Duration::from_millis(limits.login_delay_max_ms),
            delay_known_max: Duration::from_millis(
                limits.login_delay_known_max_ms.min(limits.login_delay_max_ms),
            ),
            tracked: limits.login_failures_tracked.max(1),
            familiar: limits.familiar_networks,
            waiting: limits.delayed_per_login,
            shared: false,
        }
    }
}

/// The outcome of [`Pacing::ask`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LoginDelay {
    Now,
    /// The attempt waits. Another attempt of its network may be refused to make room.
    Waits {
        refused: Option<u64>,
    },
}

/// The origin of an attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct LoginOrigin {
    pub(super) network: IpAddr,
    /// The request has proven a login of the account.
    pub(super) proven: bool,
}

/// The lane of an account that an attempt belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Among {
    LoggedIn,
    Familiar(IpAddr),
    Others,
}

type LaneKey = (String, Among);

/// An attempt at another node of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RemoteAttempt {
    pub(super) account: String,
    pub(super) network: IpAddr,
    pub(super) among: Among,
    pub(super) outcome: RemoteOutcome,
}

/// How far an attempt at another node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum RemoteOutcome {
    /// It has started, in a delayed lane.
    Started,
    Wrong,
    Right,
}

#[derive(Debug)]
pub(super) struct Pacing {
    rules: PacingRules,
    lanes: HashMap<LaneKey, OriginLane>,
    /// Familiar networks by account; the last login's network is at the end.
    familiar: HashMap<String, Familiar>,
    /// Attempts that wait or run.
    tries: HashMap<u64, Try>,
    failures: Failures,
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
struct OriginLane {
    failures: u32,
    /// The last failure, or the first attempt.
    last: Instant,
    running: u32,
    waiting: Vec<(u64, IpAddr)>,
    delay_max: Duration,
    /// The random part of the delay; zero without other nodes.
    stagger: Duration,
}

impl Pacing {
    pub(super) fn new(rules: PacingRules) -> Self {
        let failures = Failures::new(rules.tracked);
        Self { rules, lanes: HashMap::new(), familiar: HashMap::new(), tries: HashMap::new(), failures }
    }

    /// Requests a start for an attempt at `account` from `network`; ids increase.
    pub(super) fn ask(&mut self, id: u64, account: &str, from: LoginOrigin, now: Instant) -> LoginDelay {
        let network = from.network;
        let known = self.familiar.get(account).is_some_and(|familiar| familiar.networks.contains(&network));
        let among = match known {
            _ if from.proven => Among::LoggedIn,
            true => Among::Familiar(network),
            false => Among::Others,
        };
        let delay_max = self.rules.delay_max_of(among);
        let key = (account.to_owned(), among);
        self.make_room(&key, now);
        let lane = self.lanes.entry(key.clone()).or_insert_with(|| OriginLane::new(delay_max, now));
        if lane.waiting.is_empty() && lane.may_start(&self.rules, now) {
            lane.running += 1;
            self.tries.insert(id, Try { lane: key, network });
            return LoginDelay::Now;
        }
        let delayed = lane.failures >= self.rules.free;
        let keep = self.rules.waiting.saturating_sub(1);
        // Not the new attempt, which would be refused always while others of its network hold the
        // slots.
        let refused = if delayed { lane.shorten(network, keep) } else { Vec::new() };
        lane.waiting.push((id, network));
        self.tries.insert(id, Try { lane: key, network });
        self.refuse(&refused, now);
        LoginDelay::Waits { refused: refused.first().copied() }
    }

    /// Records the outcome of a running attempt. Returns the attempts that are refused because of
    /// it.
    pub(super) fn tried(&mut self, id: u64, right: bool, now: Instant) -> Vec<u64> {
        let Some(Try { lane: key, network }) = self.tries.remove(&id) else { return Vec::new() };
        let Some(lane) = self.lanes.get_mut(&key) else { return Vec::new() };
        lane.running = lane.running.saturating_sub(1);
        if right {
            if key.1 != Among::Others {
                lane.failures = 0;
            }
            self.remember(&key.0, network, now);
            return Vec::new();
        }
        self.fail(&key, network, now)
    }

    /// Records a failure in a lane. Returns the attempts that are refused because of it.
    fn fail(&mut self, key: &LaneKey, network: IpAddr, now: Instant) -> Vec<u64> {
        let Some(lane) = self.lanes.get_mut(key) else { return Vec::new() };
        lane.failures = lane.failures.saturating_add(1);
        lane.restart_delay(&self.rules, now);
        self.failures.add(network, now);
        let refused = if lane.failures >= self.rules.free {
            lane.shorten(network, self.rules.waiting)
        } else {
            Vec::new()
        };
        self.refuse(&refused, now);
        refused
    }

    /// Returns what other nodes must know of an attempt. `None`: the attempt is unknown,
    /// or its start changes nothing for them.
    pub(super) fn remote_of(&self, id: u64, outcome: RemoteOutcome) -> Option<RemoteAttempt> {
        let Try { lane: (account, among), network } = self.tries.get(&id)?;
        let lane = self.lanes.get(&(account.clone(), *among))?;
        if outcome == RemoteOutcome::Started && lane.failures < self.rules.free {
            return None;
        }
        Some(RemoteAttempt { account: account.clone(), network: *network, among: *among, outcome })
    }

    /// Records an attempt at another node. Returns the attempts that are refused because of it.
    pub(super) fn record_remote(&mut self, attempt: RemoteAttempt, now: Instant) -> Vec<u64> {
        let RemoteAttempt { account, network, among, outcome } = attempt;
        let key = (account, among);
        match outcome {
            RemoteOutcome::Started => {
                let rank = self.failures.count(network, now);
                let failures = &self.failures;
                let is_before = |(_, waiter): &(u64, IpAddr)| failures.count(*waiter, now) < rank;
                if let Some(lane) = self.lanes.get_mut(&key).filter(|lane| lane.failures > 0)
                    && !lane.waiting.iter().any(is_before)
                {
                    lane.restart_delay(&self.rules, now);
                }
                Vec::new()
            }
            RemoteOutcome::Wrong => {
                self.make_room(&key, now);
                let delay_max = self.rules.delay_max_of(among);
                self.lanes.entry(key.clone()).or_insert_with(|| OriginLane::new(delay_max, now));
                self.fail(&key, network, now)
            }
            RemoteOutcome::Right => {
                if let Some(lane) = self.lanes.get_mut(&key).filter(|_| among != Among::Others) {
                    lane.failures = 0;
                }
                self.remember(&key.0, network, now);
                Vec::new()
            }
        }
    }

    /// Returns the standing of the attempt at the password hashes.
    pub(super) fn standing(&self, id: u64, now: Instant) -> Standing {
        match self.tries.get(&id) {
            Some(Try { lane: (_, Among::LoggedIn | Among::Familiar(_)), .. }) => Standing::Known,
            Some(Try { network, .. }) if self.failures.is_suspect(*network, now) => Standing::Suspect,
            _ => Standing::New,
        }
    }

    /// Drops refused attempts. They count as failures of their network, so that it does not keep
    /// its rank by waiting.
    fn refuse(&mut self, refused: &[u64], now: Instant) {
        for id in refused {
            if let Some(Try { network, .. }) = self.tries.remove(id) {
                self.failures.add(network, now);
            }
        }
    }

    /// Ends an attempt without an outcome, or one that stops waiting.
    pub(super) fn gone(&mut self, id: u64, now: Instant) {
        let Some(Try { lane: key, network }) = self.tries.remove(&id) else { return };
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        let before = lane.waiting.len();
        lane.waiting.retain(|(waiting, _)| *waiting != id);
        if lane.waiting.len() == before {
            lane.running = lane.running.saturating_sub(1);
            if self.rules.shared && lane.failures >= self.rules.free {
                // Its start delayed the attempts at other nodes.
                lane.restart_delay(&self.rules, now);
            }
        } else {
            self.failures.add(network, now);
        }
    }

    /// Returns the attempts that start now.
    pub(super) fn due(&mut self, now: Instant) -> Vec<u64> {
        let mut started = Vec::new();
        let waiting = self.lanes.values_mut().filter(|lane| !lane.waiting.is_empty());
        for lane in waiting {
            while lane.may_start(&self.rules, now) {
                let Some(id) = lane.take_next(&self.failures, now) else { break };
                lane.running += 1;
                started.push(id);
            }
        }
        started
    }

    /// Returns the earliest end of a delay for which an attempt waits.
    pub(super) fn next_start(&self) -> Option<Instant> {
        let waiting = self.lanes.values().filter(|lane| !lane.waiting.is_empty() && lane.running == 0);
        waiting.map(|lane| lane.start(&self.rules)).min()
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

    /// Evicts the idle lane with the fewest failures, if there are too many. So a flood of invented
    /// names does not end the delay of a name that is being guessed.
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

impl PacingRules {
    fn delay_max_of(&self, among: Among) -> Duration {
        match among {
            Among::LoggedIn | Among::Familiar(_) => self.delay_known_max,
            Among::Others => self.delay_max,
        }
    }
}

impl OriginLane {
    fn new(delay_max: Duration, now: Instant) -> Self {
        let (waiting, stagger) = (Vec::new(), Duration::ZERO);
        Self { failures: 0, last: now, running: 0, waiting, delay_max, stagger }
    }

    /// Begins the delay until the next attempt.
    fn restart_delay(&mut self, rules: &PacingRules, now: Instant) {
        self.last = now;
        if rules.shared {
            self.stagger = STAGGER_MAX.mul_f64(rand::random::<f64>());
        }
    }

    /// Returns the end of the delay.
    fn start(&self, rules: &PacingRules) -> Instant {
        match self.delay(rules) {
            Duration::ZERO => self.last,
            delay => self.last + delay + self.stagger,
        }
    }

    fn is_idle(&self) -> bool {
        self.running == 0 && self.waiting.is_empty()
    }

    fn expire(&mut self, now: Instant) {
        if now.saturating_duration_since(self.last) > FORGET_AFTER {
            self.failures = 0;
        }
    }

    fn delay(&self, rules: &PacingRules) -> Duration {
        match self.failures.checked_sub(rules.free) {
            None => Duration::ZERO,
            Some(doublings) => Duration::from_secs(1 << doublings.min(16)).min(self.delay_max),
        }
    }

    fn may_start(&self, rules: &PacingRules, now: Instant) -> bool {
        let under_way = self.failures.saturating_add(self.running);
        under_way < rules.free || self.running == 0 && now >= self.start(rules)
    }

    fn take_next(&mut self, failures: &Failures, now: Instant) -> Option<u64> {
        let mut networks: Vec<_> = self.waiting.iter().map(|(_, network)| *network).collect();
        networks.sort_unstable();
        networks.dedup();
        let ranked = networks.into_iter().map(|network| (failures.count(network, now), network));
        let (_, next) = ranked.min_by_key(|(count, _)| (*count, rand::random::<u64>()))?;
        self.take_random(next)
    }

    fn take_random(&mut self, network: IpAddr) -> Option<u64> {
        let own = self.waiting.iter().enumerate().filter(|(_, (_, other))| *other == network);
        let at = own.map(|(at, _)| at).choose(&mut rand::rng())?;
        Some(self.waiting.swap_remove(at).0)
    }

    /// Keeps `keep` waiting attempts of the network, chosen at random. Returns the others.
    fn shorten(&mut self, network: IpAddr, keep: usize) -> Vec<u64> {
        let own = self.waiting.iter().filter(|(_, other)| *other == network).count();
        (keep..own).filter_map(|_| self.take_random(network)).collect()
    }
}
