//! Who may connect: how many in all, how many that have not said Hello, how many of those from one address.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::AcqRel, Ordering::Acquire};

use tokio::sync::OwnedSemaphorePermit;

use super::metrics::{ConnectionMeter, Present};
use crate::core::limits::Limits;
use crate::core::turnstile::Turnstile;

/// One for all transports; what it hands out gives itself back.
#[derive(Debug)]
pub(super) struct Admission {
    connections: Arc<AtomicUsize>,
    strangers: Arc<AtomicUsize>,
    by_address: Turnstile,
    limits: Limits,
}

/// One connection's place: kept until its socket is closed.
#[derive(Debug)]
pub(super) struct Seat {
    _connection: Counted,
    _present: Present,
}

/// A place among those who have not said who they are: given up with the `Welcome`.
#[derive(Debug)]
pub(super) struct StrangerSeat {
    _all: Counted,
    _own: OwnedSemaphorePermit,
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
    pub(super) fn new(limits: Limits) -> Self {
        let by_address = Turnstile::new(limits.strangers_per_address);
        Self { connections: Arc::default(), strangers: Arc::default(), by_address, limits }
    }

    pub(super) fn admit(&self, address: IpAddr, meter: &ConnectionMeter) -> Option<(Seat, StrangerSeat)> {
        let connection = Counted::take(&self.connections, self.limits.connections)?;
        let stranger = Counted::take(&self.strangers, self.limits.strangers)?;
        let own = self.by_address.enter(address)?;
        let seat = Seat { _connection: connection, _present: meter.connected() };
        Some((seat, StrangerSeat { _all: stranger, _own: own }))
    }

    /// How many connections there are.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::super::metrics::{ConnectionMetrics, Transport};
    use super::*;

    #[test]
    fn strangers_are_capped_per_address_until_they_are_known() {
        let limits = Limits { strangers_per_address: 2, strangers: 3, connections: 4, ..Limits::default() };
        let (admission, metrics) = (Admission::new(limits), ConnectionMetrics::default());
        let admit = |from| admission.admit(from, metrics.meter(Transport::Tcp));
        let (here, there) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let mut places = vec![admit(here).unwrap(), admit(here).unwrap()];
        assert!(admit(here).is_none(), "two strangers from one address");
        places.push(admit(there).unwrap());
        assert!(admit(there).is_none(), "three strangers in all");
        let mut seats: Vec<_> = places.into_iter().map(|(seat, _stranger)| seat).collect();
        seats.push(admit(here).unwrap().0);
        assert!(admit(there).is_none(), "four connections in all");
        drop(seats);
        assert!(admit(here).is_some());
    }
}
