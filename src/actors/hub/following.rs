//! Which chats one session follows live, and which are being replayed to it.
//!
//! Normally all are live, and this holds nothing. A chat that is catching up has a *turn*, the number of the `Resume`
//! that asked for it: what an earlier turn still brings is void. A session whose outbox overflowed is *lost*: then no
//! chat is live until it is resumed.

use std::collections::{HashMap, HashSet};

use crate::domain::ids::ChatId;

#[derive(Debug, Default)]
pub(super) struct Following {
    catching_up: HashMap<ChatId, u64>,
    lost: bool,
    /// While lost: the chats that were resumed since.
    live_again: HashSet<ChatId>,
}

impl Following {
    pub(super) fn is_live(&self, chat: ChatId) -> bool {
        !self.catching_up.contains_key(&chat) && (!self.lost || self.live_again.contains(&chat))
    }

    /// Whether anything is pushed to the session at all.
    pub(super) fn hears(&self) -> bool {
        !self.lost || !self.live_again.is_empty()
    }

    /// Nothing live is sent of the chat from here on.
    pub(super) fn catch_up(&mut self, chat: ChatId, turn: u64) {
        self.live_again.remove(&chat);
        self.catching_up.insert(chat, turn);
    }

    /// The chat is live from here on.
    pub(super) fn go_live(&mut self, chat: ChatId) {
        self.catching_up.remove(&chat);
        if self.lost {
            self.live_again.insert(chat);
        }
    }

    /// Ends the catching up of `turn`, and says whether it was still the one that counts.
    pub(super) fn caught_up(&mut self, chat: ChatId, turn: u64) -> bool {
        let counts = self.catching_up.get(&chat) == Some(&turn);
        if counts {
            self.go_live(chat);
        }
        counts
    }

    /// A push was dropped: every chat needs a `Resume`. Answers whether that is news to the client.
    pub(super) fn lose(&mut self) -> bool {
        let news = !self.lost || !self.live_again.is_empty() || !self.catching_up.is_empty();
        *self = Self { lost: true, ..Self::default() };
        news
    }

    /// The session's user has come into the chat. Whoever is in the middle of resuming hears of it.
    pub(super) fn joined(&mut self, chat: ChatId) {
        if self.lost && !self.live_again.is_empty() {
            self.live_again.insert(chat);
        }
    }

    /// The session's user has left the chat. A replay under way finds that out by itself.
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
    fn a_chat_is_live_but_while_it_is_catching_up() {
        let mut following = Following::default();
        assert!(following.is_live(CHAT));
        following.catch_up(CHAT, 1);
        assert!(!following.is_live(CHAT) && following.is_live(OTHER));
        assert!(following.caught_up(CHAT, 1));
        assert!(following.is_live(CHAT));
    }

    #[test]
    fn what_an_earlier_resume_brings_is_void() {
        let mut following = Following::default();
        following.catch_up(CHAT, 1);
        following.catch_up(CHAT, 2);
        assert!(!following.caught_up(CHAT, 1) && !following.is_live(CHAT));
        assert!(following.caught_up(CHAT, 2));
    }

    #[test]
    fn whoever_lost_something_follows_only_what_was_resumed_since_and_is_told_once() {
        let mut following = Following::default();
        following.catch_up(OTHER, 1);
        assert!(following.lose(), "the first loss is news");
        assert!(!following.lose(), "the second is not");
        assert!(!following.caught_up(OTHER, 1), "a replay from before the loss is void");
        assert!(!following.is_live(CHAT) && !following.is_live(OTHER));
        following.catch_up(CHAT, 2);
        assert!(following.caught_up(CHAT, 2) && following.is_live(CHAT) && !following.is_live(OTHER));
        following.joined(OTHER);
        assert!(following.is_live(OTHER));
        following.left(OTHER);
        assert!(!following.is_live(OTHER));
        assert!(following.lose(), "a loss after a resume is news again");
    }
}
