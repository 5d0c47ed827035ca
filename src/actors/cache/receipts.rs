//! Collects users whose cursors moved, until one receipt per chat is sent to the other
//! participants.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::ids::{ChatId, UserId};

/// Bounded by the memberships of chats: a user occurs once in each chat.
#[derive(Debug, Default)]
pub(super) struct Receipts(BTreeMap<ChatId, BTreeSet<UserId>>);

impl Receipts {
    pub(super) fn note(&mut self, chat: ChatId, user: UserId) {
        self.0.entry(chat).or_default().insert(user);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn take(&mut self) -> BTreeMap<ChatId, BTreeSet<UserId>> {
        std::mem::take(&mut self.0)
    }
}
