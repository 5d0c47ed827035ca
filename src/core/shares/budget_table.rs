//! The table of a budget: how much each request holds, which requests wait for more, and which is
//! next. A plain struct without clock or runtime.
//!
//! Invariants
//! * Requests hold at most [`BudgetRules::size`] together.
//! * Waiting requests are ordered first by what their holder holds already, then by fair queueing:
//!   by the work that their holder requested lately, this request included.
//! * Requests that hold a part and wait for more do not block each other: see [`Reserve::Lead`].

use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::Duration;

use super::Holder;

/// The purpose of a budget's reserve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserve {
    /// For a single request at a time, the lead, which takes what it needs. For requests that grow
    /// while they hold a part. A request needs at most the reserve, so the lead can always
    /// continue.
    Lead,
    /// For requests that need no more than the reserve, for little work, and do not wait for a
    /// client meanwhile. They run in parallel with large ones. A request takes all that it needs at
    /// once.
    Small,
}

/// The size of a budget and its waiting times.
#[derive(Debug, Clone, Copy)]
pub struct BudgetRules {
    /// The amount that all requests may hold together.
    pub size: u64,
    /// The part of `size` that only `reserved` requests may take.
    pub reserve: u64,
    pub reserved: Reserve,
    /// The most work of a small request.
    pub small_work: u64,
    /// How long a request waits before it is refused.
    pub patience: Duration,
    /// How long a request waits before another is ended for it, each time again.
    pub starved: Duration,
    /// Bytes per second below which a client is slow.
    pub slow_below: u64,
}

/// How urgently a request waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Starves {
    /// Ends requests of slow clients, and one of several of a holder that has more.
    Some,
    /// Also ends the only request of a holder that has much more.
    Long,
}

#[derive(Debug)]
struct Request {
    holder: Holder,
    held: u64,
    /// Its amount counts towards the reserve for small requests.
    is_small: bool,
    wants: Option<Want>,
    /// It waits for a client while it holds its part.
    has_client: bool,
    /// Another request needs its amount; it ends soon.
    is_cut: bool,
}

#[derive(Debug, Clone, Copy)]
struct Want {
    /// The amount that the request holds once this is admitted.
    amount: u64,
    is_small: bool,
    /// Where the request's work begins and ends in the fair queue.
    start: u64,
    finish: u64,
}

/// The requests of a budget. Requests have ids; a larger id is a newer request.
#[derive(Debug)]
pub(super) struct BudgetTable {
    rules: BudgetRules,
    requests: HashMap<u64, Request>,
    lead: Option<u64>,
    /// The position of the fair queue, and where the work of each holder in it ends.
    clock: u64,
    finished: HashMap<Holder, u64>,
}

impl BudgetTable {
    pub(super) fn new(rules: BudgetRules) -> Self {
        let rules = BudgetRules { reserve: rules.reserve.min(rules.size), ..rules };
        Self { rules, requests: HashMap::new(), lead: None, clock: 0, finished: HashMap::new() }
    }

    /// Adds a request that holds nothing.
    pub(super) fn open(&mut self, id: u64, holder: Holder, has_client: bool) {
        let request = Request { holder, held: 0, is_small: false, wants: None, has_client, is_cut: false };
        self.requests.insert(id, request);
    }

    /// Raises what the request needs to `amount` in total, for this much work. Returns the requests
    /// admitted by it.
    pub(super) fn raise(&mut self, id: u64, amount: u64, work: u64) -> Vec<u64> {
        let most = match self.rules.reserved {
            Reserve::Lead => self.rules.reserve,
            Reserve::Small => self.rules.size - self.rules.reserve,
        };
        let Some(request) = self.requests.get_mut(&id) else { return Vec::new() };
        let start = self.clock.max(self.finished.get(&request.holder).copied().unwrap_or(0));
        let finish = start.saturating_add(work);
        self.finished.insert(request.holder, finish);
        let fits = amount <= self.rules.reserve && work <= self.rules.small_work;
        let is_small = self.rules.reserved == Reserve::Small && fits && !request.has_client;
        request.wants = Some(Want { amount: amount.min(most), is_small, start, finish });
        self.admit()
    }

    /// Lowers what the request needs to `amount`. Returns the requests admitted by it.
    pub(super) fn lower(&mut self, id: u64, amount: u64) -> Vec<u64> {
        if let Some(request) = self.requests.get_mut(&id) {
            request.held = request.held.min(amount);
            request.wants = None;
        }
        self.admit()
    }

    /// Removes a request that has ended. Returns the requests admitted by it.
    pub(super) fn leave(&mut self, id: u64) -> Vec<u64> {
        self.requests.remove(&id);
        self.lead = self.lead.filter(|lead| *lead != id);
        if self.requests.is_empty() {
            self.clock = 0;
            self.finished.clear();
        }
        self.admit()
    }

    pub(super) fn taken(&self) -> u64 {
        self.requests.values().map(|request| request.held).sum()
    }

    pub(super) fn waiting(&self) -> usize {
        self.requests.values().filter(|request| request.wants.is_some()).count()
    }

    /// Returns the request to end for a starving one. `speed` returns the bytes per second that a
    /// request's client sends, if the server waits for the client. `may_end` returns whether a
    /// request can be ended.
    pub(super) fn starves(
        &mut self,
        id: u64,
        starves: Starves,
        speed: impl Fn(u64) -> Option<u64>,
        may_end: impl Fn(u64) -> bool,
    ) -> Option<u64> {
        let request = self.requests.get(&id)?;
        let (own, wants) = (request.holder, request.wants?.amount);
        let need = wants.saturating_sub(request.held);
        let ending: u64 =
            self.requests.values().filter(|request| request.is_cut).map(|request| request.held).sum();
        if ending >= need {
            return None;
        }
        let own_after = self.held_by(own).saturating_add(need);
        let candidates = self.requests.iter().filter(|(candidate, request)| {
            request.holder != own && request.held > 0 && !request.is_cut && may_end(**candidate)
        });
        let ranked = candidates.filter_map(|(candidate, request)| {
            let (total, count) = (self.held_by(request.holder), self.holding(request.holder));
            let is_slow = speed(*candidate).is_some_and(|speed| speed < self.rules.slow_below);
            let is_surplus = count > 1 && total > own_after;
            let is_much = starves == Starves::Long && total / 2 >= own_after;
            let rank = if is_slow { 0 } else { 1 };
            (is_slow || is_surplus || is_much).then_some((Reverse(rank), total, request.held, *candidate))
        });
        let (.., candidate) = ranked.max()?;
        self.requests.get_mut(&candidate)?.is_cut = true;
        Some(candidate)
    }

    fn held_by(&self, holder: Holder) -> u64 {
        self.of(holder).map(|request| request.held).sum()
    }

    /// Returns how many requests of a holder hold an amount.
    fn holding(&self, holder: Holder) -> usize {
        self.of(holder).filter(|request| request.held > 0).count()
    }

    fn of(&self, holder: Holder) -> impl Iterator<Item = &Request> {
        self.requests.values().filter(move |request| request.holder == holder)
    }

    /// Admits waiting requests, in order, as far as they fit.
    fn admit(&mut self) -> Vec<u64> {
        let mut admitted = Vec::new();
        while let Some((id, want)) = self.next() {
            let Some(request) = self.requests.get_mut(&id) else { break };
            request.held = request.held.max(want.amount);
            request.is_small = want.is_small;
            request.wants = None;
            self.clock = self.clock.max(want.start);
            let clock = self.clock;
            self.finished.retain(|_, finish| *finish > clock);
            if self.rules.reserved == Reserve::Lead && self.taken() > self.rules.size - self.rules.reserve {
                self.lead.get_or_insert(id);
            }
            admitted.push(id);
        }
        admitted
    }

    /// Returns the first waiting request that fits.
    fn next(&self) -> Option<(u64, Want)> {
        let waiting = self.requests.iter().filter_map(|(id, request)| Some((*id, request, request.wants?)));
        let mut waiting: Vec<_> = waiting
            .map(|(id, request, want)| ((self.held_by(request.holder), want.finish, id), request, want))
            .collect();
        waiting.sort_by_key(|(order, ..)| *order);
        let mut behind = false;
        for ((.., id), request, want) in waiting {
            if self.fits(id, request, want, behind) {
                return Some((id, want));
            }
            behind = true;
        }
        None
    }

    /// Returns whether a request may hold the amount it wants. `behind`: a request before it has to
    /// wait.
    fn fits(&self, id: u64, request: &Request, want: Want, behind: bool) -> bool {
        let BudgetRules { size, reserve, reserved, .. } = self.rules;
        let amount = want.amount;
        let taken = self.taken().saturating_sub(request.held);
        match reserved {
            Reserve::Lead => {
                if self.lead == Some(id) {
                    return true;
                }
                // The lead has the reserve, all of which it may need.
                let leads = self.lead.and_then(|lead| self.requests.get(&lead)).map(|lead| lead.held);
                let others = taken.saturating_sub(leads.unwrap_or(0));
                !behind && (leads.is_none() || others.saturating_add(amount) <= size - reserve)
            }
            Reserve::Small => {
                let small = self.requests.values().filter(|request| request.is_small);
                let small = small.map(|request| request.held).sum::<u64>();
                let small = small.saturating_sub(if request.is_small { request.held } else { 0 });
                let large = taken.saturating_sub(small);
                if want.is_small {
                    let in_reserve = small.saturating_add(amount) <= reserve;
                    taken.saturating_add(amount) <= size && (!behind || in_reserve)
                } else {
                    !behind && large.saturating_add(small.max(reserve)).saturating_add(amount) <= size
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "budget_table_test.rs"]
mod tests;
