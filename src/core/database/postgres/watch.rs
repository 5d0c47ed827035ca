//! Ends a connection whose answer does not arrive.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// When the statement in flight was sent. Shared by the thread that waits and the driver.
#[derive(Debug)]
pub(super) struct Watch {
    origin: Instant,
    /// Milliseconds since `origin`, plus 1; 0 while nothing is in flight.
    since: AtomicU64,
}

thread_local! {
    /// The watch of the connection that this thread is about to make.
    static NEXT: RefCell<Option<Arc<Watch>>> = const { RefCell::new(None) };
}

/// Sets the watch of the next connection that this thread makes: diesel-async makes the waiting
/// side of a connection itself.
pub(super) fn set_next(watch: Arc<Watch>) {
    NEXT.with_borrow_mut(|next| *next = Some(watch));
}

/// Takes the watch that was set, or a new one that no driver observes.
pub(super) fn next() -> Arc<Watch> {
    NEXT.take().unwrap_or_default()
}

impl Default for Watch {
    fn default() -> Self {
        Self { origin: Instant::now(), since: AtomicU64::new(0) }
    }
}

/// A statement in flight, until it is dropped.
pub(super) struct Waiting<'a>(&'a Watch);

impl Watch {
    pub(super) fn begin(&self) -> Waiting<'_> {
        let elapsed = u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.since.store(elapsed + 1, Ordering::Relaxed);
        Waiting(self)
    }

    /// Returns how long the statement in flight has taken.
    pub(super) fn elapsed(&self) -> Option<Duration> {
        let since = self.since.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.origin.elapsed().saturating_sub(Duration::from_millis(since)))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.since.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watch_measures_only_statements_in_flight() {
        let watch = Watch::default();
        assert_eq!(watch.elapsed(), None);
        let waiting = watch.begin();
        assert!(watch.elapsed().is_some());
        drop(waiting);
        assert_eq!(watch.elapsed(), None);
    }

    #[test]
    fn next_connection_takes_the_watch_that_was_set() {
        let watch = Arc::new(Watch::default());
        set_next(watch.clone());
        assert!(Arc::ptr_eq(&next(), &watch));
        assert!(!Arc::ptr_eq(&next(), &watch));
    }
}
