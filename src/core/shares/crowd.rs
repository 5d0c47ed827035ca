//! Crowds: connections, which are admitted or refused at once.
//!
//! A holder may have at most [`SHARE`] times as many places as are free. A lone holder so takes up to four fifths, nine
//! hostile holders together leave some hundred of 4,096, and a new holder always finds about as many as each of them has.
//! Nothing is taken back, and there is always a free place for a new holder unless there are hundreds of them.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::AcqRel, Ordering::Acquire};

use super::Holder;
use super::metrics::PoolMeter;
use super::pool::Refused;

/// How many times the free places a holder may have.
const SHARE: usize = 4;
/// Holders share this many counters. The hash has secret keys, so a client cannot choose whom it shares one with.
const STRIPES: usize = 4096;

/// A number of places for connections.
#[derive(Debug)]
pub struct Crowd {
    size: usize,
    per_holder: usize,
    taken: Arc<AtomicUsize>,
    stripes: Box<[Arc<AtomicUsize>]>,
    hasher: RandomState,
    meter: Option<PoolMeter>,
}

/// A place in a crowd, which counts for its holder until it is dropped or [`Spot::split`].
#[derive(Debug)]
pub struct Spot {
    own: Option<Counted>,
    all: Counted,
    meter: Option<(PoolMeter, Arc<AtomicUsize>)>,
}

/// The part of a [`Spot`] that counts for its holder. The spot keeps its place when this is dropped.
#[derive(Debug)]
pub struct OwnSpot {
    _own: Option<Counted>,
}

#[derive(Debug)]
struct Counted {
    counter: Arc<AtomicUsize>,
    places: usize,
}

impl Counted {
    fn take(counter: &Arc<AtomicUsize>, places: usize, max: usize) -> Option<Self> {
        let fits = |count: usize| count.checked_add(places).filter(|count| *count <= max);
        let taken = counter.fetch_update(AcqRel, Acquire, fits);
        taken.ok().map(|_| Self { counter: counter.clone(), places })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.counter.fetch_sub(self.places, AcqRel);
    }
}

impl Crowd {
    /// `size` places, of which one holder never has more than `per_holder`.
    pub fn new(size: usize, per_holder: usize) -> Self {
        let stripes = (0..STRIPES).map(|_| Arc::default()).collect();
        Self { size, per_holder, taken: Arc::default(), stripes, hasher: RandomState::new(), meter: None }
    }

    /// Exports its numbers.
    pub fn measured(self, meter: PoolMeter) -> Self {
        meter.sized(self.size);
        Self { meter: Some(meter), ..self }
    }

    /// A place for the holder, if its share has one.
    pub fn enter(&self, holder: Holder) -> Option<Spot> {
        self.enter_many(holder, 1)
    }

    /// So many places at once, for space that is shared out in pieces.
    pub fn enter_many(&self, holder: Holder, places: usize) -> Option<Spot> {
        let stripe = usize::try_from(self.hasher.hash_one(holder) % STRIPES as u64).unwrap_or(0);
        let own = self.stripes.get(stripe)?;
        let free = self.size.saturating_sub(self.taken());
        let max = free.saturating_mul(SHARE).min(self.per_holder);
        let own = Counted::take(own, places, max);
        if own.is_none() {
            return self.refused();
        }
        self.place(own, places)
    }

    /// A place that no holder is counted for: a trusted proxy speaks for many.
    pub fn enter_uncounted(&self) -> Option<Spot> {
        self.place(None, 1)
    }

    fn place(&self, own: Option<Counted>, places: usize) -> Option<Spot> {
        let Some(all) = Counted::take(&self.taken, places, self.size) else { return self.refused() };
        let meter = self.meter.clone().map(|meter| (meter, self.taken.clone()));
        if let Some((meter, taken)) = &meter {
            meter.counted(taken.load(Acquire), 0);
        }
        Some(Spot { own, all, meter })
    }

    fn refused(&self) -> Option<Spot> {
        if let Some(meter) = &self.meter {
            meter.refused(Refused::Queue);
        }
        None
    }

    /// How many places are taken.
    pub fn taken(&self) -> usize {
        self.taken.load(Acquire)
    }
}

impl Spot {
    /// Separates the count of the holder from the place itself, for a client that is counted elsewhere later.
    pub fn split(&mut self) -> OwnSpot {
        OwnSpot { _own: self.own.take() }
    }
}

impl Drop for Spot {
    fn drop(&mut self) {
        if let Some((meter, taken)) = &self.meter {
            meter.counted(taken.load(Acquire).saturating_sub(self.all.places), 0);
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

    fn fill(crowd: &Crowd, holder: Holder) -> Vec<Spot> {
        std::iter::from_fn(|| crowd.enter(holder)).collect()
    }

    #[test]
    fn lone_holder_gets_four_fifths_and_leaves_room_for_others() {
        let crowd = Crowd::new(1000, usize::MAX);
        let first = fill(&crowd, network(1));
        assert_eq!(first.len(), 800);
        let second = fill(&crowd, network(2));
        assert_eq!(second.len(), 160);
        assert!(crowd.enter(network(1)).is_none(), "the largest holder gets no more");
        assert!(!fill(&crowd, network(3)).is_empty());
        drop(first);
        assert!(fill(&crowd, network(2)).len() > 500, "what is free is for those that ask");
    }

    #[test]
    fn nine_hostile_holders_leave_room_for_a_tenth() {
        let crowd = Crowd::new(4096, usize::MAX);
        let mut hostile: Vec<Vec<Spot>> = (1..=9).map(|_| Vec::new()).collect();
        // They come at the same time.
        for _ in 0..4096 {
            for (n, spots) in hostile.iter_mut().enumerate() {
                spots.extend(crowd.enter(network(u8::try_from(n).unwrap())));
            }
        }
        let room = fill(&crowd, network(100)).len();
        assert!(room >= 80, "{room}");
    }

    #[test]
    fn places_that_are_taken_together_are_given_back_together() {
        let crowd = Crowd::new(100, usize::MAX);
        let large = crowd.enter_many(network(1), 60).unwrap();
        assert!(crowd.enter_many(network(2), 41).is_none(), "more than there are");
        assert_eq!(crowd.taken(), 60, "a refusal takes nothing");
        drop(large);
        assert_eq!((crowd.taken(), crowd.enter_many(network(2), 80).is_some()), (0, true));
    }

    #[test]
    fn split_spots_do_not_count_for_their_holder() {
        let crowd = Crowd::new(10, 2);
        let mut known: Vec<_> = fill(&crowd, network(1));
        assert_eq!(known.len(), 2);
        known.iter_mut().for_each(|spot| drop(spot.split()));
        assert_eq!(fill(&crowd, network(1)).len(), 2);
        assert_eq!(crowd.taken(), 2, "known ones keep their place");
        assert!(crowd.enter_uncounted().is_some());
    }
}
