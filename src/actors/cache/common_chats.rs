//! The chats that two users have in common, found at a bounded cost for each message to the cache.

use std::collections::BTreeSet;

use super::chats::Chats;
use crate::domain::ids::{ChatId, UserId};

/// Compares the chats of one user with those of others, until it has compared `max` chats.
pub(super) struct CommonChats<'a> {
    chats: &'a Chats,
    me: UserId,
    looked_at: usize,
    max: usize,
}

impl<'a> CommonChats<'a> {
    pub(super) fn new(chats: &'a Chats, me: UserId, max: usize) -> Self {
        Self { chats, me, looked_at: 0, max }
    }

    /// Returns whether both users are in one chat. `None`: the caller must ask in another message.
    /// The first call of each message always returns an answer.
    pub(super) fn share(&mut self, user: UserId) -> Option<bool> {
        if self.looked_at > 0 && self.looked_at >= self.max {
            return None;
        }
        self.looked_at += 1;
        Some(self.overlap(self.chats.ids_of(self.me), self.chats.ids_of(user)))
    }

    /// Returns whether `user` is in a chat that the first user can read: a common chat, or a public
    /// one.
    pub(super) fn meet(&mut self, user: UserId) -> Option<bool> {
        let share = self.share(user)?;
        Some(share || self.overlap(self.chats.public(), self.chats.ids_of(user)))
    }

    fn overlap(&mut self, one: &BTreeSet<ChatId>, other: &BTreeSet<ChatId>) -> bool {
        // The intersection walks both sets, or searches the larger one for each chat of a much
        // smaller one.
        self.looked_at += (one.len() + other.len()).min(16 * one.len().min(other.len()));
        one.intersection(other).next().is_some()
    }
}
