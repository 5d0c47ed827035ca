//! A participant's own messages above the read cursor, which do not count as unread.

use serde::{Deserialize, Serialize};

/// Maximum number of ranges. A range is a run of own messages without messages of others in
/// between. Above the limit the oldest ranges are dropped, and their messages count as unread.
const RANGES_MAX: usize = 100;

/// Ordinals of messages, as ascending ranges (both ends included).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnMessages(Vec<(i64, i64)>);

impl FromIterator<i64> for OwnMessages {
    /// Builds the ranges from ordinals in ascending order.
    fn from_iter<I: IntoIterator<Item = i64>>(ordinals: I) -> Self {
        let mut own = Self::default();
        ordinals.into_iter().for_each(|ordinal| own.push(ordinal));
        own
    }
}

impl OwnMessages {
    /// Adds the newest message of the chat.
    pub fn push(&mut self, ordinal: i64) {
        match self.0.last_mut() {
            Some((_, last)) if *last + 1 == ordinal => *last = ordinal,
            _ => self.0.push((ordinal, ordinal)),
        }
        if self.0.len() > RANGES_MAX {
            self.0.remove(0);
        }
    }

    /// Drops the messages up to `ordinal`, which are now read.
    pub fn drop_through(&mut self, ordinal: i64) {
        self.0.retain(|(_, last)| *last > ordinal);
        if let Some((first, _)) = self.0.first_mut() {
            *first = (*first).max(ordinal + 1);
        }
    }

    /// Returns the ranges above `ordinal`.
    pub fn above(&self, ordinal: i64) -> impl Iterator<Item = (i64, i64)> {
        self.ranges()
            .filter(move |(_, last)| *last > ordinal)
            .map(move |(first, last)| (first.max(ordinal + 1), last))
    }

    pub fn ranges(&self) -> impl Iterator<Item = (i64, i64)> {
        self.0.iter().copied()
    }

    pub fn contains(&self, ordinal: i64) -> bool {
        self.0.iter().rev().any(|(first, last)| (*first..=*last).contains(&ordinal))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_messages_are_counted_above_the_read_cursor() {
        let mut own = OwnMessages::default();
        [4, 5, 9].into_iter().for_each(|ordinal| own.push(ordinal));
        assert_eq!(own.above(4).collect::<Vec<_>>(), [(5, 5), (9, 9)]);
        own.drop_through(4);
        assert_eq!(own.ranges().collect::<Vec<_>>(), [(5, 5), (9, 9)]);
        own.drop_through(8);
        assert_eq!(own.ranges().collect::<Vec<_>>(), [(9, 9)]);
        own.drop_through(9);
        assert!(own.is_empty());
    }

    #[test]
    fn only_the_newest_ranges_are_kept() {
        let mut own = OwnMessages::default();
        (1..=101).for_each(|n| own.push(2 * n));
        assert_eq!((own.ranges().count(), own.ranges().next()), (100, Some((4, 4))));
    }
}
