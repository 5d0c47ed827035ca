//! Crowds: connections, which are admitted or refused at once.
//!
//! Places are never taken back. So the places of the first holders must leave room for later ones,
//! even when holders arrive one after the other. The number of places that a holder may have falls
//! in steps with the number of free places ([`Slots::most`]). Of 4,096 connections a lone holder
//! gets 2,304. Two more get 256 each, then each gets 16 until 512 are free, 4 until 128 are free,
//! and then 2. So an office with one address has room next to two hostile networks. Taking all
//! places needs some two hundred hostile networks.
//!
//! Space that is shared in pieces ([`Slots::of_space`]) has a softer rule, because a single answer
//! may need much of it. A holder may have at most [`SPACE_SHARE`] times as many pieces as are free.
//! The steps apply to the last part.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::AcqRel, Ordering::Acquire};

use super::Holder;
use super::metrics::PoolMeter;
use super::pool::PoolRefusal;

/// How many times the free pieces of space a holder may have.
const SPACE_SHARE: usize = 4;
/// The last part of all places (one in `RESERVE`), of which a holder may have [`LAST`].
const RESERVE: usize = 32;
const LAST: usize = 2;
/// Holders share this many counters. The hash has secret keys, so a client cannot choose the holder
/// that it shares a counter with.
const STRIPES: usize = 16_384;

/// A number of places for connections.
#[derive(Debug)]
pub struct Slots {
    size: usize,
    per_holder: usize,
    is_space: bool,
    taken: Arc<AtomicUsize>,
    stripes: Box<[Arc<AtomicUsize>]>,
    hasher: RandomState,
    meter: Option<PoolMeter>,
}

/// A place in a crowd, which counts for its holder until it is dropped or [`Slot::split`].
#[derive(Debug)]
pub struct Slot {
    own: Option<CountedSlots>,
    all: CountedSlots,
    meter: Option<(PoolMeter, Arc<AtomicUsize>)>,
}

/// The part of a [`Slot`] that counts for its holder. The spot keeps its place when this is
/// dropped.
#[derive(Debug)]
pub struct HolderSlot {
    _own: Option<CountedSlots>,
}

#[derive(Debug)]
struct CountedSlots {
    counter: Arc<AtomicUsize>,
    slots: usize,
}

impl CountedSlots {
    fn take(counter: &Arc<AtomicUsize>, slots: usize, max: usize) -> Option<Self> {
        let fits = |count: usize| count.checked_add(slots).filter(|count| *count <= max);
        let taken = counter.fetch_update(AcqRel, Acquire, fits);
        taken.ok().map(|_| Self { counter: counter.clone(), slots })
    }
}

impl CountedSlots {
    fn shrink(&mut self, slots: usize) {
        let surplus = self.slots.saturating_sub(slots);
        self.counter.fetch_sub(surplus, AcqRel);
        self.slots -= surplus;
    }
}

impl Drop for CountedSlots {
    fn drop(&mut self) {
        self.counter.fetch_sub(self.slots, AcqRel);
    }
}

impl Slots {
    /// Creates `size` places, of which one holder never has more than `per_holder`.
    pub fn new(size: usize, per_holder: usize) -> Self {
        let stripes = (0..STRIPES).map(|_| Arc::default()).collect();
        let (taken, hasher) = (Arc::default(), RandomState::new());
        Self { size, per_holder, is_space: false, taken, stripes, hasher, meter: None }
    }

    /// Creates a space of `size` pieces, of which a holder takes many at once.
    pub fn of_space(size: usize) -> Self {
        Self { is_space: true, ..Self::new(size, usize::MAX) }
    }

    /// Exports its numbers.
    pub fn measured(self, meter: PoolMeter) -> Self {
        meter.sized(self.size);
        Self { meter: Some(meter), ..self }
    }

    /// Takes a place for the holder, if its share has one left.
    pub fn enter(&self, holder: Holder) -> Option<Slot> {
        self.enter_many(holder, 1)
    }

    /// Takes this many places at once, for space that is shared in pieces.
    pub fn enter_many(&self, holder: Holder, slots: usize) -> Option<Slot> {
        let stripe = usize::try_from(self.hasher.hash_one(holder) % STRIPES as u64).unwrap_or(0);
        let own = self.stripes.get(stripe)?;
        let own = CountedSlots::take(own, slots, self.most(slots).min(self.per_holder));
        if own.is_none() {
            return self.refused();
        }
        self.slot(own, slots)
    }

    /// Returns how many places a holder may have after it takes this many.
    fn most(&self, slots: usize) -> usize {
        let free = self.size.saturating_sub(self.taken());
        let reserve = self.size / RESERVE;
        if self.is_space && free >= reserve.saturating_add(slots) {
            return free.saturating_mul(SPACE_SHARE);
        }
        // The free places before the last of these places is taken.
        let room = (free + 1).saturating_sub(slots);
        let eighth = self.size / 8;
        if room > 7 * eighth / 2 {
            self.size
        } else if room > 5 * eighth / 2 {
            (self.size / 16).max(16)
        } else if room > eighth {
            (self.size / 256).max(16)
        } else if room > reserve {
            (self.size / 1024).max(4)
        } else {
            LAST
        }
    }

    /// Takes a place that counts for no holder: a trusted proxy forwards many clients.
    pub fn enter_uncounted(&self) -> Option<Slot> {
        self.slot(None, 1)
    }

    fn slot(&self, own: Option<CountedSlots>, slots: usize) -> Option<Slot> {
        let Some(all) = CountedSlots::take(&self.taken, slots, self.size) else { return self.refused() };
        let meter = self.meter.clone().map(|meter| (meter, self.taken.clone()));
        if let Some((meter, taken)) = &meter {
            meter.counted(taken.load(Acquire), 0);
        }
        Some(Slot { own, all, meter })
    }

    fn refused(&self) -> Option<Slot> {
        if let Some(meter) = &self.meter {
            meter.refused(PoolRefusal::Queue);
        }
        None
    }

    /// Returns how many places are taken.
    pub fn taken(&self) -> usize {
        self.taken.load(Acquire)
    }
}

impl Slot {
    pub fn slots(&self) -> usize {
        self.all.slots
    }

    /// Returns all but this many of its places, when fewer are needed than were taken.
    pub fn shrink(&mut self, slots: usize) {
        let meter = &self.meter;
        for counted in self.own.as_mut().into_iter().chain([&mut self.all]) {
            counted.shrink(slots);
        }
        if let Some((meter, taken)) = meter {
            meter.counted(taken.load(Acquire), 0);
        }
    }

    /// Separates the holder's count from the place itself, for a client that is counted elsewhere
    /// later.
    pub fn split(&mut self) -> HolderSlot {
        HolderSlot { _own: self.own.take() }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some((meter, taken)) = &self.meter {
            meter.counted(taken.load(Acquire).saturating_sub(self.all.slots), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn network(n: u8) -> Holder {
        Holder::network(IpAddr::from([192, 0, 2, n]))
    }

    fn fill(crowd: &Slots, holder: Holder) -> Vec<Slot> {
        std::iter::from_fn(|| crowd.enter(holder)).collect()
    }

    /// Returns what a new holder gets, if it shares its counter with no other: the best of a few.
    fn newcomer(crowd: &Slots) -> usize {
        (240..250).map(|n| fill(crowd, network(n)).len()).max().unwrap()
    }

    /// Holders that arrive one after the other. Each takes as many places as it gets, until none
    /// gets a place.
    fn arrivals(crowd: &Slots, hostile: u8) -> Vec<Vec<Slot>> {
        (1..=hostile).map(|n| fill(crowd, network(n))).collect()
    }

    #[test]
    fn lone_holder_gets_well_over_half_and_leaves_room() {
        let crowd = Slots::new(1000, usize::MAX);
        let first = fill(&crowd, network(1));
        assert_eq!(first.len(), 563);
        let second = fill(&crowd, network(2));
        assert_eq!(second.len(), 62);
        assert!(crowd.enter(network(1)).is_none(), "the largest holder gets no more");
        let third = fill(&crowd, network(3));
        assert_eq!(third.len(), 62);
        assert_eq!(fill(&crowd, network(4)).len(), 16);
        drop(first);
        assert!(fill(&crowd, network(2)).len() > 400, "free places go to the next caller");
    }

    #[test]
    fn hostile_holders_in_sequence_leave_room_for_a_newcomer() {
        for size in [3072, 4096, 20_000] {
            let crowd = Slots::new(size, usize::MAX);
            let _hostile = arrivals(&crowd, 20);
            let room = newcomer(&crowd);
            assert!(room >= 8, "{room} of {size}");
        }
    }

    #[test]
    fn two_hundred_hostile_holders_leave_a_place() {
        let crowd = Slots::new(4096, usize::MAX);
        let hostile = arrivals(&crowd, 200);
        let sizes: Vec<_> = hostile.iter().map(Vec::len).collect();
        assert_eq!((sizes[0], sizes[1]), (2304, 256), "{sizes:?}");
        assert!(newcomer(&crowd) > 0);
    }

    /// Two hostile networks left an office of 200 users with one address only sixteen connections.
    #[test]
    fn office_has_room_beside_two_hostile_networks() {
        for size in [3072, 4096, 20_000] {
            let crowd = Slots::new(size, usize::MAX);
            let hostile = arrivals(&crowd, 2);
            let office = fill(&crowd, network(100));
            assert!(office.len() >= size / 16 - 1, "{} of {size}", office.len());
            assert!(fill(&crowd, network(101)).len() >= 16);
            drop(hostile);
        }
    }

    #[test]
    fn hostile_holders_at_the_same_time_leave_room_for_a_newcomer() {
        let crowd = Slots::new(4096, usize::MAX);
        let mut hostile: Vec<Vec<Slot>> = (1..=20).map(|_| Vec::new()).collect();
        for _ in 0..4096 {
            for (n, spots) in hostile.iter_mut().enumerate() {
                spots.extend(crowd.enter(network(u8::try_from(n).unwrap())));
            }
        }
        let room = newcomer(&crowd);
        assert!(room >= 8, "{room}");
    }

    #[test]
    fn large_pieces_leave_the_last_space_to_small_ones() {
        let crowd = Slots::of_space(65_536);
        let mut held = Vec::new();
        for n in 1..=20 {
            for slots in [32_768, 4_096, 512, 64, 8, 1] {
                held.extend(std::iter::from_fn(|| crowd.enter_many(network(n), slots)));
            }
        }
        assert!(crowd.enter(network(100)).is_some());
    }

    #[test]
    fn places_that_are_taken_together_are_given_back_together() {
        let crowd = Slots::of_space(100);
        let large = crowd.enter_many(network(1), 60).unwrap();
        assert!(crowd.enter_many(network(2), 41).is_none(), "more than there are");
        assert_eq!(crowd.taken(), 60, "a refusal takes nothing");
        drop(large);
        assert_eq!((crowd.taken(), crowd.enter_many(network(2), 80).is_some()), (0, true));
    }

    #[test]
    fn places_that_are_not_needed_are_given_back_early() {
        let crowd = Slots::of_space(100);
        let mut spot = crowd.enter_many(network(1), 60).unwrap();
        spot.shrink(70);
        assert_eq!(crowd.taken(), 60);
        spot.shrink(10);
        assert_eq!((crowd.taken(), crowd.enter_many(network(1), 70).is_some()), (10, true));
        drop(spot);
        assert_eq!(crowd.taken(), 0);
    }

    #[test]
    fn split_spots_do_not_count_for_their_holder() {
        let crowd = Slots::new(10, 2);
        let mut known: Vec<_> = fill(&crowd, network(1));
        assert_eq!(known.len(), 2);
        known.iter_mut().for_each(|spot| drop(spot.split()));
        assert_eq!(fill(&crowd, network(1)).len(), 2);
        assert_eq!(crowd.taken(), 2, "known ones keep their place");
        assert!(crowd.enter_uncounted().is_some());
    }
}
