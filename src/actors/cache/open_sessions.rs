//! How many sessions each user has open: one account cannot take every seat.

use std::collections::HashMap;

use crate::domain::ids::{SessionId, UserId};

#[derive(Debug, Default)]
pub(super) struct OpenSessions {
    users: HashMap<UserId, usize>,
    sessions: HashMap<SessionId, UserId>,
}

impl OpenSessions {
    /// Counts one more; `false` when the user has `max` already.
    pub(super) fn open(&mut self, session: SessionId, user: UserId, max: usize) -> bool {
        let count = self.users.entry(user).or_default();
        if *count >= max {
            return false;
        }
        *count += 1;
        self.sessions.insert(session, user);
        true
    }

    /// Counts one less, if it was counted.
    pub(super) fn closed(&mut self, session: SessionId) {
        let Some(user) = self.sessions.remove(&session) else { return };
        if let Some(count) = self.users.get_mut(&user) {
            *count -= 1;
            if *count == 0 {
                self.users.remove(&user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_so_many_sessions_and_closing_one_makes_room() {
        let mut sessions = OpenSessions::default();
        assert!(sessions.open(SessionId(1), UserId(1), 2) && sessions.open(SessionId(2), UserId(1), 2));
        assert!(!sessions.open(SessionId(3), UserId(1), 2));
        assert!(sessions.open(SessionId(4), UserId(2), 2));
        sessions.closed(SessionId(3));
        assert!(!sessions.open(SessionId(3), UserId(1), 2), "what was never counted makes no room");
        sessions.closed(SessionId(1));
        assert!(sessions.open(SessionId(3), UserId(1), 2));
    }
}
