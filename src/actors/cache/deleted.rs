//! The deleted messages of a chat, by ordinal. They do not count as unread.

use crate::core::saturate;

/// Deleted messages kept of one chat: the newest.
const REMEMBERED_MAX: usize = 10_000;

/// Ordinals in ascending order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct DeletedOrdinals(Vec<i64>);

impl DeletedOrdinals {
    pub(super) fn insert(&mut self, ordinal: i64) {
        if let Err(index) = self.0.binary_search(&ordinal) {
            self.0.insert(index, ordinal);
            if self.0.len() > REMEMBERED_MAX {
                self.0.remove(0);
            }
        }
    }

    /// Drops the ordinals up to `ordinal`.
    pub(super) fn drop_through(&mut self, ordinal: i64) {
        let below = self.0.partition_point(|deleted| *deleted <= ordinal);
        self.0.drain(..below);
    }

    /// Returns how many lie between two ordinals, both included.
    pub(super) fn within(&self, first: i64, last: i64) -> i64 {
        self.above(first - 1) - self.above(last)
    }

    /// Returns how many lie above `ordinal`.
    pub(super) fn above(&self, ordinal: i64) -> i64 {
        let below = self.0.partition_point(|deleted| *deleted <= ordinal);
        saturate::to_i64(self.0.len() - below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deleted_messages_above_a_cursor_count_once() {
        let mut deleted = DeletedOrdinals::default();
        for ordinal in [5, 3, 9, 3] {
            deleted.insert(ordinal);
        }
        assert_eq!([deleted.within(3, 5), deleted.within(6, 8)], [2, 0]);
        assert_eq!([deleted.above(0), deleted.above(3), deleted.above(8), deleted.above(9)], [3, 2, 1, 0]);
    }

    #[test]
    fn only_the_newest_deleted_messages_are_kept() {
        let mut deleted = DeletedOrdinals::default();
        for ordinal in 1..=10_005 {
            deleted.insert(ordinal);
        }
        assert_eq!((deleted.0.len(), deleted.0.first()), (REMEMBERED_MAX, Some(&6)));
    }
}
