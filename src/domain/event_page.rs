//! Pages of a chat's events, and the ranges that select them.

use std::sync::Arc;

use super::event::ChatEvent;
use super::ids::Seq;

/// Selects events of a chat: those below `before`, those above `after`, or the newest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRange {
    pub before: Option<Seq>,
    pub after: Option<Seq>,
    pub limit: usize,
    pub messages_only: bool,
}

/// Events in ascending order.
#[derive(Debug, Clone, PartialEq)]
pub struct EventPage {
    pub events: Vec<Arc<ChatEvent>>,
    /// Whether there are more in the direction of the range.
    pub has_more: bool,
    /// The chat's head when this was read.
    pub as_of: Seq,
}

impl EventPage {
    /// Returns the memory of its events in bytes, about the size of their encoded form.
    pub fn bytes(&self) -> usize {
        self.events.iter().map(|event| event.bytes()).sum()
    }

    /// Cuts a page so that `cost` of its events stays within `bytes_max`, keeping at least one. The
    /// client can request the cut events in another page.
    pub fn fit(mut self, newest: bool, bytes_max: usize, cost: impl Fn(&ChatEvent) -> usize) -> Self {
        let within = |events: &mut dyn Iterator<Item = &Arc<ChatEvent>>| {
            let mut used = 0;
            let fitting = events.take_while(|event| {
                used += cost(event);
                used <= bytes_max
            });
            fitting.count().max(1)
        };
        let kept =
            if newest { within(&mut self.events.iter().rev()) } else { within(&mut self.events.iter()) };
        let cut = self.events.len().saturating_sub(kept);
        if cut > 0 {
            self.has_more = true;
            if newest {
                self.events.drain(..cut);
            } else {
                self.events.truncate(kept);
            }
        }
        self
    }
}
