//! Presence and typing of users, as the server reports them. Discarded with the connection.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::ids::{ChatId, UserId};
use crate::domain::presence::Shown;
use crate::protocol::view::PresenceView;

/// Users whose presence is kept; further users are shown as offline.
const PEOPLE_MAX: usize = 20_000;
/// Time for which a typing notice is shown.
const TYPING_SHOWN: Duration = Duration::from_secs(6);
/// A notice that arrives this soon after a message of the user is about that message: the server
/// collects notices before it sends them.
const TYPING_LATE: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(super) struct People {
    shown: HashMap<UserId, (Shown, u64)>,
    typing: HashMap<(ChatId, UserId), Instant>,
    /// Messages of the last seconds.
    spoke: HashMap<(ChatId, UserId), Instant>,
}

impl People {
    /// Stores presence entries. For two entries of one user, the larger version is newer.
    pub(super) fn learn(&mut self, views: &[PresenceView]) {
        for view in views {
            let known = self.shown.get(&view.user_id).map(|(_, version)| *version);
            let room = known.is_some() || self.shown.len() < PEOPLE_MAX;
            if room && known.is_none_or(|version| view.version > version) {
                self.shown.insert(view.user_id, (view.status, view.version));
            }
        }
    }

    /// Returns the text shown after a name. A user without an entry is offline.
    pub(super) fn mark(&self, user: UserId) -> &'static str {
        match self.presence(user) {
            Shown::Online => "online",
            Shown::Away => "away",
            Shown::Dnd => "do not disturb",
            Shown::Offline => "offline",
        }
    }

    /// Returns the presence of a user. A user without an entry is offline.
    pub(super) fn presence(&self, user: UserId) -> Shown {
        self.shown.get(&user).map(|(shown, _)| *shown).unwrap_or_default()
    }

    /// Returns the users who type in a chat now, by id.
    pub(super) fn typing(&self, chat: ChatId, now: Instant) -> Vec<UserId> {
        let recent = self
            .typing
            .iter()
            .filter(|((other, _), at)| *other == chat && now.saturating_duration_since(**at) < TYPING_SHOWN);
        let mut users: Vec<_> = recent.map(|((_, user), _)| *user).collect();
        users.sort();
        users
    }

    /// Returns whether a typing notice of a chat may still be on the screen.
    pub(super) fn is_anyone_typing(&self, chat: ChatId) -> bool {
        self.typing.keys().any(|(other, _)| *other == chat)
    }

    /// Records that a user types: a repeated notice lasts longer.
    pub(super) fn types(&mut self, chat: ChatId, user: UserId, now: Instant) {
        self.expire(now);
        if self.typing.len() < PEOPLE_MAX && !self.spoke.contains_key(&(chat, user)) {
            self.typing.insert((chat, user), now);
        }
    }

    /// Discards typing notices that are too old.
    pub(super) fn expire(&mut self, now: Instant) {
        self.typing.retain(|_, at| now.saturating_duration_since(*at) < TYPING_SHOWN);
        self.spoke.retain(|_, at| now.saturating_duration_since(*at) < TYPING_LATE);
    }

    /// A message or an edit of the user arrived: the user does not type any more.
    pub(super) fn stops_typing(&mut self, chat: ChatId, user: UserId, now: Instant) {
        self.typing.remove(&(chat, user));
        if self.spoke.len() < PEOPLE_MAX {
            self.spoke.insert((chat, user), now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn larger_presence_version_wins_in_any_order() {
        let mut people = People::default();
        let view = |status, version| PresenceView { user_id: UserId(1), status, version };
        people.learn(&[view(Shown::Dnd, 5), view(Shown::Online, 4)]);
        assert_eq!((people.mark(UserId(1)), people.mark(UserId(2))), ("do not disturb", "offline"));
        people.learn(&[view(Shown::Offline, 6)]);
        assert_eq!(people.mark(UserId(1)), "offline");
    }

    #[test]
    fn typing_ends_with_a_pause_or_a_message() {
        let (mut people, chat, start) = (People::default(), ChatId(1), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        people.types(chat, UserId(1), start);
        people.types(chat, UserId(1), after(3));
        assert_eq!(people.typing(chat, after(8)), [UserId(1)]);
        assert!(people.typing(chat, after(9)).is_empty());
        people.types(chat, UserId(1), after(20));
        people.stops_typing(chat, UserId(1), after(21));
        // The notice about the message arrives after it.
        people.types(chat, UserId(1), after(21));
        assert!(people.typing(chat, after(21)).is_empty());
        people.types(chat, UserId(1), after(24));
        assert_eq!(people.typing(chat, after(24)), [UserId(1)]);
    }
}
