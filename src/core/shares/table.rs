//! The table of a pool: which holder is inside, which waits, and which is next. A plain struct without clock or runtime.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::Holder;

/// The holders that may take the reserve of a pool, if they have nothing inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserved {
    ForAll,
    /// Only accounts: a crowd of anonymous networks leaves known users the reserve.
    ForAccounts,
}

/// The place that is taken back when a waiting request starves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    Never,
    /// For a holder with nothing inside the slowest place of the largest holder, however fast it is, if that holder
    /// keeps at least one. Networks take only from networks so. If no holder has two: a place whose client takes fewer
    /// bytes per second than this.
    Slow(u64),
    /// The newest place of the largest holder, if that holder keeps at least one more than the waiting holder gets.
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
    /// `size` places, the queue as long as `waiting`; no reserve, no cap, nothing is cut.
    pub fn new(size: usize, waiting: usize, patience: Duration) -> Self {
        let (reserved, cut) = (Reserved::ForAll, Cut::Never);
        Self { size, reserve: 0, reserved, per_holder: size, waiting, patience, starved: patience, cut }
    }

    /// At most half of the places are reserved, so that a small pool still serves a lone holder.
    pub fn with_reserve(self, reserve: usize, reserved: Reserved) -> Self {
        Self { reserve: reserve.min(self.size / 2), reserved, ..self }
    }

    pub fn with_cut(self, starved: Duration, cut: Cut) -> Self {
        Self { starved, cut, ..self }
    }

    /// Whether a holder with `own` places inside may take another one while `taken` are taken in all.
    fn admits(&self, holder: Holder, own: usize, taken: usize) -> bool {
        let free = self.size.saturating_sub(taken);
        let reserved = own == 0 && (self.reserved == Reserved::ForAll || !holder.is_network());
        own < self.per_holder && (free > self.reserve || free > 0 && reserved)
    }
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    Inside,
    /// It waits. Another request was refused to make room in the queue, if it was full.
    Waits {
        refused: Option<u64>,
    },
    Refused,
}

/// Which requests are inside and which wait. Requests have ids; a larger id is a newer request.
#[derive(Debug)]
pub struct Table {
    rules: Rules,
    holders: HashMap<Holder, Entry>,
    requests: HashMap<u64, Request>,
    taken: usize,
    waiting: usize,
    turns: u64,
    /// Places that were taken back and are not free yet, and the holders for which they were.
    cut: HashMap<u64, Holder>,
}

#[derive(Debug)]
struct Request {
    holder: Holder,
    inside: bool,
}

/// A holder with something inside or waiting.
#[derive(Debug, Default)]
struct Entry {
    inside: usize,
    queue: VecDeque<u64>,
    /// When its first waiting request became the first; the smallest is next among equals.
    turn: u64,
}

impl Table {
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            holders: HashMap::new(),
            requests: HashMap::new(),
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

    /// A new request. No waiting request can be admitted at this time, so a free place is for this request.
    pub fn ask(&mut self, id: u64, holder: Holder) -> Asked {
        let entry = self.holders.entry(holder).or_default();
        if self.rules.admits(holder, entry.inside, self.taken) {
            entry.inside += 1;
            self.taken += 1;
            self.requests.insert(id, Request { holder, inside: true });
            return Asked::Inside;
        }
        if entry.queue.is_empty() {
            self.turns += 1;
            entry.turn = self.turns;
        }
        entry.queue.push_back(id);
        self.waiting += 1;
        self.requests.insert(id, Request { holder, inside: false });
        if self.waiting <= self.rules.waiting {
            return Asked::Waits { refused: None };
        }
        match self.largest_waiting() {
            Some(refused) if refused != id => {
                self.remove(refused);
                Asked::Waits { refused: Some(refused) }
            }
            _ => {
                self.remove(id);
                Asked::Refused
            }
        }
    }

    /// The request has ended, wherever it was. Returns the requests that are inside now because of it.
    pub fn leave(&mut self, id: u64) -> Vec<u64> {
        self.remove(id);
        let mut admitted = Vec::new();
        while let Some(holder) = self.next_holder() {
            let Some(entry) = self.holders.get_mut(&holder) else { break };
            let Some(first) = entry.queue.pop_front() else { break };
            entry.inside += 1;
            // Behind all that wait now.
            self.turns += 1;
            entry.turn = self.turns;
            self.taken += 1;
            self.waiting = self.waiting.saturating_sub(1);
            if let Some(request) = self.requests.get_mut(&first) {
                request.inside = true;
            }
            admitted.push(first);
        }
        admitted
    }

    /// The place to take back for a request that starves. `speed` is how many bytes per second the client of a place
    /// takes, if it is the client that is waited for.
    pub fn starves(&mut self, id: u64, speed: impl Fn(u64) -> Option<u64>) -> Option<u64> {
        let own = self.requests.get(&id).filter(|request| !request.inside)?.holder;
        // Places that will be free soon count already: the requests of a holder take back a place each otherwise.
        let promised = self.cut.values().filter(|holder| **holder == own).count();
        let own_inside = self.holders.get(&own)?.inside + promised;
        if own_inside >= self.rules.per_holder {
            return None;
        }
        let place = match self.rules.cut {
            Cut::Never => None,
            Cut::Surplus => self.largest(own, |_| true, |size, _| (size > own_inside + 1).then_some(0)),
            Cut::Slow(below) => {
                let is_slow = |place| speed(place).filter(|speed| *speed < below);
                // A client that is not waited for is the last to lose its place.
                let fair = |size, place| (size > 1).then(|| speed(place).unwrap_or(u64::MAX));
                let any = |holder: Holder| !own.is_network() || holder.is_network();
                match own_inside {
                    0 => self
                        .largest(own, any, fair)
                        .or_else(|| self.largest(own, |_| true, |_, place| is_slow(place))),
                    _ => self.largest(
                        own,
                        |_| true,
                        |size, place| is_slow(place).filter(|_| size > own_inside + 1),
                    ),
                }
            }
        }?;
        self.cut.insert(place, own);
        Some(place)
    }

    /// The place with the smallest rank of the largest holder that has such places, except for `own`. Among equals the
    /// newest. `rank` reads how many places the holder of a place has, and the place.
    fn largest(
        &self,
        own: Holder,
        concerns: impl Fn(Holder) -> bool,
        rank: impl Fn(usize, u64) -> Option<u64>,
    ) -> Option<u64> {
        let mut lost: HashMap<Holder, usize> = HashMap::new();
        for place in self.cut.keys() {
            if let Some(request) = self.requests.get(place) {
                *lost.entry(request.holder).or_default() += 1;
            }
        }
        let candidates = self.requests.iter().filter(|(place, request)| {
            let taken = request.inside && !self.cut.contains_key(place);
            taken && request.holder != own && concerns(request.holder)
        });
        let ranked = candidates.filter_map(|(place, request)| {
            let inside = self.holders.get(&request.holder)?.inside;
            let size = inside.saturating_sub(lost.get(&request.holder).copied().unwrap_or(0));
            Some((size, Reverse(rank(size, *place)?), *place))
        });
        ranked.max().map(|(_, _, place)| place)
    }

    fn remove(&mut self, id: u64) {
        self.cut.remove(&id);
        let Some(Request { holder, inside }) = self.requests.remove(&id) else { return };
        let Some(entry) = self.holders.get_mut(&holder) else { return };
        if inside {
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

    /// The holder whose turn it is, if one of those that wait may enter.
    fn next_holder(&self) -> Option<Holder> {
        let waiting = self.holders.iter().filter(|(_, entry)| !entry.queue.is_empty());
        let may = waiting.filter(|(holder, entry)| self.rules.admits(**holder, entry.inside, self.taken));
        may.min_by_key(|(_, entry)| (entry.inside, entry.turn)).map(|(holder, _)| *holder)
    }

    /// The newest waiting request of the holder with the most requests; among equals a random holder's.
    fn largest_waiting(&self) -> Option<u64> {
        let newest = |entry: &Entry| entry.queue.back().copied();
        let sizes = self.holders.values().filter_map(|entry| {
            newest(entry).map(|newest| (entry.inside + entry.queue.len(), rand::random::<u64>(), newest))
        });
        sizes.max().map(|(_, _, newest)| newest)
    }
}
