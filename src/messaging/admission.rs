//! Who may connect: how many in all, how many that have not said Hello, how many of those from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::AcqRel, Ordering::Acquire};

use crate::core::limits::Limits;

/// Counters of addresses are tidied when the map has grown to this many.
const TIDY_AT: usize = 4096;

/// Owned by the accept loop; what it hands out gives itself back.
pub(super) struct Admission {
    connections: Arc<AtomicUsize>,
    strangers: Arc<AtomicUsize>,
    by_address: HashMap<IpAddr, Arc<AtomicUsize>>,
    limits: Limits,
}

/// One connection's place: kept until its socket is closed.
#[derive(Debug)]
pub(super) struct Seat {
    _connection: Counted,
}

/// A place among those who have not said who they are: given up with the `Welcome`.
#[derive(Debug)]
pub(super) struct StrangerSeat {
    _all: Counted,
    _own: Counted,
}

#[derive(Debug)]
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn take(counter: &Arc<AtomicUsize>, max: usize) -> Option<Self> {
        let taken = counter.fetch_update(AcqRel, Acquire, |count| (count < max).then_some(count + 1));
        taken.ok().map(|_| Self(counter.clone()))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, AcqRel);
    }
}

impl Admission {
    pub(super) fn new(connections: Arc<AtomicUsize>, limits: Limits) -> Self {
        Self { connections, strangers: Arc::default(), by_address: HashMap::new(), limits }
    }

    pub(super) fn admit(&mut self, address: IpAddr) -> Option<(Seat, StrangerSeat)> {
        if self.by_address.len() >= TIDY_AT {
            self.by_address.retain(|_, count| count.load(Acquire) > 0);
        }
        let connection = Counted::take(&self.connections, self.limits.connections)?;
        let stranger = Counted::take(&self.strangers, self.limits.strangers)?;
        let own = self.by_address.entry(address).or_default();
        let own = Counted::take(own, self.limits.strangers_per_address)?;
        Some((Seat { _connection: connection }, StrangerSeat { _all: stranger, _own: own }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_are_capped_per_address_until_they_are_known() {
        let limits = Limits { strangers_per_address: 2, strangers: 3, connections: 4, ..Limits::default() };
        let mut admission = Admission::new(Arc::default(), limits);
        let (here, there) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let mut places = vec![admission.admit(here).unwrap(), admission.admit(here).unwrap()];
        assert!(admission.admit(here).is_none(), "two strangers from one address");
        places.push(admission.admit(there).unwrap());
        assert!(admission.admit(there).is_none(), "three strangers in all");
        let mut seats: Vec<_> = places.into_iter().map(|(seat, _stranger)| seat).collect();
        seats.push(admission.admit(here).unwrap().0);
        assert!(admission.admit(there).is_none(), "four connections in all");
        drop(seats);
        assert!(admission.admit(here).is_some());
    }
}
