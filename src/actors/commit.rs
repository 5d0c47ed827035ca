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

/// The newest commit that this node knows, on PostgreSQL. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct NewestCommit {
    /// Set after the commit was published to the cache.
    published: Shared,
    /// Set before the cache can answer from the commit.
    visible: Shared,
}

#[derive(Debug, Clone)]
struct Shared(Arc<watch::Sender<Place>>);

/// A place in the log of commits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    pub epoch: i64,
    pub commit_no: i64,
    /// The id of the batch. `None`: not known.
    pub batch: Option<[u8; 16]>,
}

impl Default for Shared {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Place::default())))
    }
}

impl NewestCommit {
    /// Returns the newest published commit: every later query is answered from it or a later one.
    pub fn published(&self) -> Place {
        *self.published.0.borrow()
    }

    /// Returns the newest visible commit: every answer so far comes from it or an earlier one.
    pub fn visible(&self) -> Place {
        *self.visible.0.borrow()
    }

    /// Sets the published commit. Called by the writer only, after it has published it.
    pub fn publish(&self, place: Place) {
        self.show(place);
        self.published.0.send_replace(place);
    }

    /// Sets the visible commit, unless a later one is visible. Called before the cache receives it.
    pub fn show(&self, place: Place) {
        self.visible.0.send_if_modified(|visible| {
            let is_newer = place.epoch != visible.epoch || place.commit_no >= visible.commit_no;
            if is_newer {
                *visible = place;
            }
            is_newer
        });
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
