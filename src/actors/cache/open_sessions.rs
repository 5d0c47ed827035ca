//! Limits concurrent sessions per user, and counts the sessions of each hub: a hub without sessions
//! gets no items.

use std::collections::HashMap;

use crate::domain::ids::{SessionId, UserId};

#[derive(Debug, Default)]
pub(super) struct OpenSessions {
    users: HashMap<UserId, usize>,
    sessions: HashMap<SessionId, (UserId, usize)>,
    hubs: HashMap<usize, usize>,
}

impl OpenSessions {
    /// Counts a session. Returns `false` when the user has `max` already.
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

    /// Removes a session from the counts, if it was counted.
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

    /// Returns whether this hub has a session.
    pub(super) fn any_on(&self, hub: usize) -> bool {
        self.hubs.get(&hub).is_some_and(|count| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_a_session_frees_one_for_its_user() {
        let mut sessions = OpenSessions::default();
        assert!(sessions.open(SessionId(1), 0, UserId(1), 2) && sessions.open(SessionId(2), 0, UserId(1), 2));
        assert!(!sessions.open(SessionId(3), 0, UserId(1), 2));
        assert!(sessions.open(SessionId(4), 0, UserId(2), 2));
        sessions.closed(SessionId(3));
        assert!(!sessions.open(SessionId(3), 0, UserId(1), 2), "a session that was never counted frees none");
        sessions.closed(SessionId(1));
        assert!(sessions.open(SessionId(3), 0, UserId(1), 2));
    }

    #[test]
    fn hub_counts_sessions_until_the_last_one_closes() {
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
