//! The table of a pool: which holder is inside, which waits, and which is next. A plain struct
//! without clock or runtime.

use std::cmp::Reverse;
use std::collections::hash_map::Entry as MapEntry;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::{Client, Holder};

/// The holders that may take the reserve of a pool, if they have nothing inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserved {
    ForAll,
    /// Only accounts: many anonymous networks leave known users the reserve.
    ForAccounts,
}

/// The place that is taken back when a waiting request starves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    Never,
    /// For a holder with nothing inside, the first of these that exists:
    /// 1. The slowest place of the largest holder, however fast it is, if that holder keeps at
    ///    least one.
    /// 2. The slowest place of the largest network.
    /// 3. A place whose client accepts fewer bytes per second than this.
    ///
    /// The first takes from the network of the request itself, or from a network that has at least
    /// two places more. The second takes only from such a network. Visitors take places only from
    /// visitors this way.
    Slow(u64),
    /// The newest place of the largest holder, if that holder keeps at least one more than the
    /// waiting holder gets.
    Surplus,
}

/// The sizes and waiting times of a pool.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Places.
    pub size: usize,
    /// Places among them that only holders with nothing inside may take.
    pub reserve: usize,
    pub reserved: Reserved,
    /// Places of one holder.
    pub per_holder: usize,
    /// Requests that wait.
    pub waiting: usize,
    /// How long a request waits before it is refused.
    pub patience: Duration,
    /// How long a request waits before `cut` applies, each time again.
    pub starved: Duration,
    pub cut: Cut,
}

impl Rules {
    /// Returns rules with `size` places and a queue of `waiting` requests: no reserve, no cap per
    /// holder, no cut.
    pub fn new(size: usize, waiting: usize, patience: Duration) -> Self {
        let (reserved, cut) = (Reserved::ForAll, Cut::Never);
        Self { size, reserve: 0, reserved, per_holder: size, waiting, patience, starved: patience, cut }
    }

    /// Adds a reserve of at most half of the places, so that a small pool still serves a lone
    /// holder.
    pub fn with_reserve(self, reserve: usize, reserved: Reserved) -> Self {
        Self { reserve: reserve.min(self.size / 2), reserved, ..self }
    }

    pub fn with_cut(self, starved: Duration, cut: Cut) -> Self {
        Self { starved, cut, ..self }
    }

    /// Returns whether a holder with `own` places inside may take another one while `taken` are
    /// taken in total.
    fn admits(&self, holder: Holder, own: usize, taken: usize) -> bool {
        let free = self.size.saturating_sub(taken);
        let reserved = own == 0 && (self.reserved == Reserved::ForAll || !holder.is_network());
        own < self.per_holder && (free > self.reserve || free > 0 && reserved)
    }
}

/// The outcome of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    Inside,
    /// It waits. Another request was refused to make room in the queue, if it was full.
    Waits {
        refused: Option<u64>,
    },
    Refused,
}

/// The requests that are inside and those that wait. Requests have ids; a larger id is a newer
/// request.
#[derive(Debug)]
pub struct Table {
    rules: Rules,
    holders: HashMap<Holder, Entry>,
    requests: HashMap<u64, Request>,
    /// Places inside of each network.
    networks: HashMap<Holder, usize>,
    taken: usize,
    waiting: usize,
    turns: u64,
    /// Places that were taken back and are not free yet, and the clients for which they were.
    cut: HashMap<u64, Client>,
}

#[derive(Debug)]
struct Request {
    client: Client,
    inside: bool,
}

/// A place that may be taken back for a starving request. Places that are taken back already do not
/// count.
struct Candidate {
    id: u64,
    /// Places of its holder.
    of_holder: usize,
    /// Places of its network.
    of_network: usize,
    /// It is in the network of the request.
    is_near: bool,
    /// It is in the network of the request, or in a network that has two places more.
    may_share: bool,
    is_visitor: bool,
}

/// A holder with a place or a waiting request.
#[derive(Debug, Default)]
struct Entry {
    inside: usize,
    queue: VecDeque<u64>,
    /// When its first waiting request became the first. Among equals the smallest is next.
    turn: u64,
}

impl Table {
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            holders: HashMap::new(),
            requests: HashMap::new(),
            networks: HashMap::new(),
            taken: 0,
            waiting: 0,
            turns: 0,
            cut: HashMap::new(),
        }
    }

    pub fn taken(&self) -> usize {
        self.taken
    }

    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Adds a request. No waiting request can be admitted at this time, so a free place is for this
    /// request.
    pub fn ask(&mut self, id: u64, client: impl Into<Client>) -> Admission {
        let client = client.into();
        let holder = client.holder;
        let entry = self.holders.entry(holder).or_default();
        if self.rules.admits(holder, entry.inside, self.taken) {
            entry.inside += 1;
            self.taken += 1;
            *self.networks.entry(client.network).or_default() += 1;
            self.requests.insert(id, Request { client, inside: true });
            return Admission::Inside;
        }
        if entry.queue.is_empty() {
            self.turns += 1;
            entry.turn = self.turns;
        }
        entry.queue.push_back(id);
        self.waiting += 1;
        self.requests.insert(id, Request { client, inside: false });
        if self.waiting <= self.rules.waiting {
            return Admission::Waits { refused: None };
        }
        match self.largest_waiting() {
            Some(refused) if refused != id => {
                self.remove(refused);
                Admission::Waits { refused: Some(refused) }
            }
            _ => {
                self.remove(id);
                Admission::Refused
            }
        }
    }

    /// Removes a request that has ended, inside or waiting. Returns the requests that are admitted
    /// because of it.
    pub fn leave(&mut self, id: u64) -> Vec<u64> {
        self.remove(id);
        let mut admitted = Vec::new();
        while let Some(holder) = self.next_holder() {
            let Some(entry) = self.holders.get_mut(&holder) else { break };
            let Some(first) = entry.queue.pop_front() else { break };
            entry.inside += 1;
            // After all holders that wait now.
            self.turns += 1;
            entry.turn = self.turns;
            self.taken += 1;
            self.waiting = self.waiting.saturating_sub(1);
            if let Some(request) = self.requests.get_mut(&first) {
                request.inside = true;
                *self.networks.entry(request.client.network).or_default() += 1;
            }
            admitted.push(first);
        }
        admitted
    }

    /// Returns the place to take back for a starving request. `speed` returns the bytes per second
    /// that the client of a place accepts, if the server waits for the client.
    pub fn starves(&mut self, id: u64, speed: impl Fn(u64) -> Option<u64>) -> Option<u64> {
        let own = self.requests.get(&id).filter(|request| !request.inside)?.client;
        // Places that will be free soon count already. Otherwise each request of a holder would
        // take back a place.
        let promised = self.cut.values().filter(|client| client.holder == own.holder).count();
        let own_inside = self.holders.get(&own.holder)?.inside + promised;
        if own_inside >= self.rules.per_holder {
            return None;
        }
        let candidates = self.candidates(own);
        let candidate = match self.rules.cut {
            Cut::Never => None,
            Cut::Surplus => {
                let larger = candidates.iter().filter(|candidate| candidate.of_holder > own_inside + 1);
                larger.max_by_key(|candidate| (candidate.of_holder, candidate.id))
            }
            Cut::Slow(below) => {
                // A place whose client the server does not wait for is the last to be taken.
                let slowness = |candidate: &Candidate| Reverse(speed(candidate.id).unwrap_or(u64::MAX));
                let slow = candidates
                    .iter()
                    .filter(|candidate| speed(candidate.id).is_some_and(|speed| speed < below));
                let slowest =
                    |candidate: &&Candidate| (candidate.of_holder, slowness(candidate), candidate.id);
                if own_inside > 0 {
                    slow.filter(|candidate| candidate.of_holder > own_inside + 1).max_by_key(slowest)
                } else {
                    let is_visitor = own.holder.is_network();
                    let fair: Vec<_> =
                        candidates.iter().filter(|candidate| !is_visitor || candidate.is_visitor).collect();
                    let surplus = fair
                        .iter()
                        .copied()
                        .filter(|candidate| candidate.of_holder > 1 && candidate.may_share);
                    let shared =
                        fair.iter().copied().filter(|candidate| candidate.may_share && !candidate.is_near);
                    let of_network =
                        |candidate: &&Candidate| (candidate.of_network, slowness(candidate), candidate.id);
                    let surplus = surplus.max_by_key(slowest);
                    surplus.or_else(|| shared.max_by_key(of_network)).or_else(|| slow.max_by_key(slowest))
                }
            }
        }?;
        let candidate = candidate.id;
        self.cut.insert(candidate, own);
        Some(candidate)
    }

    /// Returns the places that may be taken back for a client, except for those of its holder.
    fn candidates(&self, own: Client) -> Vec<Candidate> {
        let (mut lost, mut lost_networks) = (HashMap::new(), HashMap::new());
        for Request { client, .. } in self.cut.keys().filter_map(|candidate| self.requests.get(candidate)) {
            *lost.entry(client.holder).or_insert(0_usize) += 1;
            *lost_networks.entry(client.network).or_insert(0_usize) += 1;
        }
        let lost_of = |lost: &HashMap<Holder, usize>, of| lost.get(&of).copied().unwrap_or(0);
        let network_size = |network| self.inside_of(network).saturating_sub(lost_of(&lost_networks, network));
        let promised = self.cut.values().filter(|client| client.network == own.network).count();
        let own_size = network_size(own.network) + promised;
        let permits = self.requests.iter().filter(|(candidate, request)| {
            request.inside && request.client.holder != own.holder && !self.cut.contains_key(candidate)
        });
        let candidates = permits.map(|(candidate, Request { client, .. })| {
            let of_holder = self.holders.get(&client.holder).map_or(0, |entry| entry.inside);
            let (of_network, is_near) = (network_size(client.network), client.network == own.network);
            Candidate {
                id: *candidate,
                of_holder: of_holder.saturating_sub(lost_of(&lost, client.holder)),
                of_network,
                is_near,
                may_share: is_near || of_network >= own_size + 2,
                is_visitor: client.holder.is_network(),
            }
        });
        candidates.collect()
    }

    fn inside_of(&self, network: Holder) -> usize {
        self.networks.get(&network).copied().unwrap_or(0)
    }

    fn remove(&mut self, id: u64) {
        self.cut.remove(&id);
        let Some(Request { client: Client { holder, network }, inside }) = self.requests.remove(&id) else {
            return;
        };
        let Some(entry) = self.holders.get_mut(&holder) else { return };
        if inside {
            if let MapEntry::Occupied(mut permits) = self.networks.entry(network) {
                *permits.get_mut() = permits.get().saturating_sub(1);
                if *permits.get() == 0 {
                    permits.remove();
                }
            }
            entry.inside = entry.inside.saturating_sub(1);
            self.taken = self.taken.saturating_sub(1);
        } else {
            entry.queue.retain(|waiting| *waiting != id);
            self.waiting = self.waiting.saturating_sub(1);
        }
        if entry.inside == 0 && entry.queue.is_empty() {
            self.holders.remove(&holder);
        }
    }

    /// Returns the holder whose turn it is, if a waiting holder may enter.
    fn next_holder(&self) -> Option<Holder> {
        let waiting = self.holders.iter().filter(|(_, entry)| !entry.queue.is_empty());
        let may = waiting.filter(|(holder, entry)| self.rules.admits(**holder, entry.inside, self.taken));
        let of_network = |entry: &Entry| {
            let first = entry.queue.front().and_then(|first| self.requests.get(first));
            first.map_or(0, |request| self.inside_of(request.client.network))
        };
        let next = may.min_by_key(|(_, entry)| (entry.inside, of_network(entry), entry.turn));
        next.map(|(holder, _)| *holder)
    }

    /// Returns the newest waiting request of the holder with the most requests; among equals of the
    /// network with the most requests, and then a random holder's.
    fn largest_waiting(&self) -> Option<u64> {
        let mut networks: HashMap<Holder, usize> = HashMap::new();
        for request in self.requests.values() {
            *networks.entry(request.client.network).or_default() += 1;
        }
        let sizes = self.holders.values().filter_map(|entry| {
            let newest = entry.queue.back()?;
            let network = self.requests.get(newest)?.client.network;
            let of_network = networks.get(&network).copied().unwrap_or(0);
            Some((entry.inside + entry.queue.len(), of_network, rand::random::<u64>(), *newest))
        });
        sizes.max().map(|(.., newest)| newest)
    }
}
