//! How many sessions each user has open: one account cannot take every seat. And how many each hub has: one that has
//! none need not be woken.

use std::collections::HashMap;

use crate::domain::ids::{SessionId, UserId};

#[derive(Debug, Default)]
pub(super) struct OpenSessions {
    users: HashMap<UserId, usize>,
    sessions: HashMap<SessionId, (UserId, usize)>,
    hubs: HashMap<usize, usize>,
}

impl OpenSessions {
    /// Counts one more; `false` when the user has `max` already.
    pub(super) fn open(&mut self, session: SessionId, hub: usize, user: UserId, max: usize) -> bool {
        let count = self.users.entry(user).or_default();
        if *count >= max {
            return false;
        }
        *count += 1;
        *self.hubs.entry(hub).or_default() += 1;
        self.sessions.insert(session, (user, hub));
        true
    }

    /// Counts one less, if it was counted.
    pub(super) fn closed(&mut self, session: SessionId) {
        let Some((user, hub)) = self.sessions.remove(&session) else { return };
        if let Some(count) = self.hubs.get_mut(&hub) {
            *count -= 1;
        }
        if let Some(count) = self.users.get_mut(&user) {
            *count -= 1;
            if *count == 0 {
                self.users.remove(&user);
            }
        }
    }

    /// Whether anybody is on this hub.
    pub(super) fn any_on(&self, hub: usize) -> bool {
        self.hubs.get(&hub).is_some_and(|count| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_so_many_sessions_and_closing_one_makes_room() {
        let mut sessions = OpenSessions::default();
        assert!(sessions.open(SessionId(1), 0, UserId(1), 2) && sessions.open(SessionId(2), 0, UserId(1), 2));
        assert!(!sessions.open(SessionId(3), 0, UserId(1), 2));
        assert!(sessions.open(SessionId(4), 0, UserId(2), 2));
        sessions.closed(SessionId(3));
        assert!(!sessions.open(SessionId(3), 0, UserId(1), 2), "what was never counted makes no room");
        sessions.closed(SessionId(1));
        assert!(sessions.open(SessionId(3), 0, UserId(1), 2));
    }

    #[test]
    fn a_hub_has_somebody_until_the_last_one_goes() {
        let mut sessions = OpenSessions::default();
        assert!(!sessions.any_on(1));
        assert!(sessions.open(SessionId(1), 1, UserId(1), 9) && sessions.open(SessionId(2), 1, UserId(1), 9));
        sessions.closed(SessionId(1));
        assert!(sessions.any_on(1) && !sessions.any_on(0));
        sessions.closed(SessionId(2));
        sessions.closed(SessionId(2));
        assert!(!sessions.any_on(1));
    }
}
