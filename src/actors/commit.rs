//! The events that the writer publishes to the cache.

use std::sync::Arc;

use tokio::sync::watch;

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

/// The newest commit that the writer has published, on PostgreSQL. Clones share it.
#[derive(Debug, Clone)]
pub struct NewestCommit(Arc<watch::Sender<Place>>);

/// A place in the log of commits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    pub epoch: i64,
    pub commit_no: i64,
    /// The id of the batch. `None`: not known.
    pub batch: Option<[u8; 16]>,
}

impl Default for NewestCommit {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Place::default())))
    }
}

impl NewestCommit {
    pub fn get(&self) -> Place {
        *self.0.borrow()
    }

    /// Sets the place. Called by the writer only, after it has published the commit.
    pub fn set(&self, place: Place) {
        self.0.send_replace(place);
    }
}

/// The outcome of one transaction, as the read models apply it.
#[derive(Debug)]
pub struct Committed {
    pub commit_no: i64,
    pub events: Vec<Event>,
    /// Held until the cache has applied the events. They bound the number of events in flight.
    pub permits: Vec<Permit>,
}
