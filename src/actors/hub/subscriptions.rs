//! The chats that one session follows live, and those that are being replayed to it.
//!
//! Normally all chats are live, and [`Subscriptions`] is empty. A chat that is catching up has a
//! *generation*: the number of the `Resume` that requested it. The results of an earlier generation
//! are void. A session whose outbox overflowed is *lost*: no chat is live until it is resumed.

use std::collections::{HashMap, HashSet};

use crate::domain::ids::ChatId;

#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    catching_up: HashMap<ChatId, u64>,
    lost: bool,
    /// The chats that were resumed since the session was lost.
    live_again: HashSet<ChatId>,
}

impl Subscriptions {
    pub(super) fn is_live(&self, chat: ChatId) -> bool {
        !self.catching_up.contains_key(&chat) && (!self.lost || self.live_again.contains(&chat))
    }

    /// Returns whether the session receives any pushes.
    pub(super) fn receives_pushes(&self) -> bool {
        !self.lost || !self.live_again.is_empty()
    }

    /// Stops live delivery of the chat until it has caught up.
    pub(super) fn catch_up(&mut self, chat: ChatId, generation: u64) {
        self.live_again.remove(&chat);
        self.catching_up.insert(chat, generation);
    }

    /// Makes the chat live.
    pub(super) fn go_live(&mut self, chat: ChatId) {
        self.catching_up.remove(&chat);
        if self.lost {
            self.live_again.insert(chat);
        }
    }

    /// Ends the catch-up of `generation`. Returns whether `generation` was still the current one.
    pub(super) fn caught_up(&mut self, chat: ChatId, generation: u64) -> bool {
        let counts = self.catching_up.get(&chat) == Some(&generation);
        if counts {
            self.go_live(chat);
        }
        counts
    }

    /// Records a dropped push: every chat needs a `Resume`. Returns whether the client must be
    /// notified.
    pub(super) fn lose(&mut self) -> bool {
        let news = !self.lost || !self.live_again.is_empty() || !self.catching_up.is_empty();
        *self = Self { lost: true, ..Self::default() };
        news
    }

    /// Records that the user joined `chat`: a lost session that has already resumed some chat
    /// receives this one live.
    pub(super) fn joined(&mut self, chat: ChatId) {
        if self.lost && !self.live_again.is_empty() {
            self.live_again.insert(chat);
        }
    }

    /// Records that the user left `chat`. A replay in progress detects that itself.
    pub(super) fn left(&mut self, chat: ChatId) {
        self.live_again.remove(&chat);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAT: ChatId = ChatId(1);
    const OTHER: ChatId = ChatId(2);

    #[test]
    fn chat_is_live_except_while_catching_up() {
        let mut subscriptions = Subscriptions::default();
        assert!(subscriptions.is_live(CHAT));
        subscriptions.catch_up(CHAT, 1);
        assert!(!subscriptions.is_live(CHAT) && subscriptions.is_live(OTHER));
        assert!(subscriptions.caught_up(CHAT, 1));
        assert!(subscriptions.is_live(CHAT));
    }

    #[test]
    fn results_of_an_earlier_resume_are_void() {
        let mut subscriptions = Subscriptions::default();
        subscriptions.catch_up(CHAT, 1);
        subscriptions.catch_up(CHAT, 2);
        assert!(!subscriptions.caught_up(CHAT, 1) && !subscriptions.is_live(CHAT));
        assert!(subscriptions.caught_up(CHAT, 2));
    }

    #[test]
    fn lost_session_follows_only_chats_resumed_since() {
        let mut subscriptions = Subscriptions::default();
        subscriptions.catch_up(OTHER, 1);
        assert!(subscriptions.lose(), "the client is notified of the first loss");
        assert!(!subscriptions.lose(), "but not of the second");
        assert!(!subscriptions.caught_up(OTHER, 1), "a replay from before the loss is void");
        assert!(!subscriptions.is_live(CHAT) && !subscriptions.is_live(OTHER));
        subscriptions.catch_up(CHAT, 2);
        assert!(
            subscriptions.caught_up(CHAT, 2) && subscriptions.is_live(CHAT) && !subscriptions.is_live(OTHER)
        );
        subscriptions.joined(OTHER);
        assert!(subscriptions.is_live(OTHER));
        subscriptions.left(OTHER);
        assert!(!subscriptions.is_live(OTHER));
        assert!(subscriptions.lose(), "a loss after a resume is notified again");
    }
}
