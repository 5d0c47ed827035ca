//! The replay window: the counters of a connection that were seen.

/// The largest distance of a counter from the newest one.
const WINDOW: u64 = 1_024;
const WORDS: usize = 16;

/// Holds a bit for each of the last [`WINDOW`] counters. A counter is checked before its datagram
/// is opened and marked after.
#[derive(Debug, Clone, Default)]
pub(super) struct ReplayWindow {
    newest: u64,
    seen: [u64; WORDS],
}

impl ReplayWindow {
    pub(super) fn may_be_new(&self, counter: u64) -> bool {
        if counter > self.newest {
            return true;
        }
        self.newest - counter < WINDOW && !self.bit(counter)
    }

    pub(super) fn is_newest(&self, counter: u64) -> bool {
        counter > self.newest
    }

    pub(super) fn mark(&mut self, counter: u64) {
        if counter > self.newest {
            let steps = (counter - self.newest).min(WINDOW);
            for step in 0..steps {
                self.set(counter - step, false);
            }
            self.newest = counter;
        }
        self.set(counter, true);
    }

    fn place(counter: u64) -> (usize, u64) {
        let place = counter % WINDOW;
        (usize::try_from(place / 64).unwrap_or(0), 1 << (place % 64))
    }

    fn bit(&self, counter: u64) -> bool {
        let (word, bit) = Self::place(counter);
        self.seen.get(word).is_some_and(|word| word & bit != 0)
    }

    fn set(&mut self, counter: u64, seen: bool) {
        let (word, bit) = Self::place(counter);
        if let Some(word) = self.seen.get_mut(word) {
            *word = if seen { *word | bit } else { *word & !bit };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn counter_is_accepted_once_within_the_window() {
        let mut window = ReplayWindow::default();
        for counter in [1, 5, 3, 2_000] {
            assert!(window.may_be_new(counter));
            window.mark(counter);
            assert!(!window.may_be_new(counter));
        }
        assert!(!window.may_be_new(4), "left the window unseen");
        assert!(window.may_be_new(977) && !window.may_be_new(976));
        window.mark(u64::MAX);
        assert!(!window.may_be_new(u64::MAX) && window.may_be_new(u64::MAX - 1));
    }

    proptest! {
        #[test]
        fn replay_window_agrees_with_an_unbounded_set(counters in prop::collection::vec(1_u64..5_000, 1..500)) {
            let (mut window, mut seen, mut newest) = (ReplayWindow::default(), HashSet::new(), 0);
            for counter in counters {
                let expected = !seen.contains(&counter) && counter + WINDOW > newest;
                prop_assert_eq!(window.may_be_new(counter), expected);
                if expected {
                    window.mark(counter);
                    seen.insert(counter);
                    newest = newest.max(counter);
                }
            }
        }
    }
}
