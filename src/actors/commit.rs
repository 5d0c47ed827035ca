//! The events that the writer publishes to the cache.

use crate::core::actor::Permit;
use crate::domain::event::Event;

/// A message from the writer to the cache. The cache receives them in commit order.
#[derive(Debug)]
pub enum WriterEvent {
    Committed(Committed),
    /// The writer was restarted and does not know the last commit: the cache must load a new
    /// snapshot.
    Reload,
}

/// The outcome of one transaction, as the read models apply it.
#[derive(Debug)]
pub struct Committed {
    pub commit_no: i64,
    pub events: Vec<Event>,
    /// Held until the cache has applied the events. They bound the number of events in flight.
    pub permits: Vec<Permit>,
}
