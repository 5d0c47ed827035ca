//! Turnstiles: how many may be inside at once, by key, without a map that grows with the keys.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Keys share this many counters. Nobody can choose whom they share one with: the hash is keyed with secret numbers.
const STRIPES: usize = 1024;

#[derive(Debug)]
pub struct Turnstile {
    stripes: Box<[Arc<Semaphore>]>,
    hasher: RandomState,
}

impl Turnstile {
    pub fn new(inside: usize) -> Self {
        let stripes = (0..STRIPES).map(|_| Arc::new(Semaphore::new(inside))).collect();
        Self { stripes, hasher: RandomState::new() }
    }

    /// A place, if there is one for this key.
    pub fn enter(&self, key: impl Hash) -> Option<OwnedSemaphorePermit> {
        let stripe = usize::try_from(self.hasher.hash_one(key)).unwrap_or(usize::MAX) % STRIPES;
        self.stripes.get(stripe)?.clone().try_acquire_owned().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_takes_its_own_places_and_hardly_anybody_elses() {
        let turnstile = Turnstile::new(2);
        let inside: Vec<_> = (0..10).filter_map(|_| turnstile.enter("eve")).collect();
        assert_eq!(inside.len(), 2);
        let others = (0..100).filter(|n| turnstile.enter(n).is_some()).count();
        assert!(others >= 90);
        drop(inside);
        assert!(turnstile.enter("eve").is_some());
    }
}
