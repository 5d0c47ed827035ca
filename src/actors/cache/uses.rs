//! Uses of access tokens and web logins that are not in the database yet.
//!
//! A use is recorded during the request and written later, in batches, at most once per entry and
//! period. No request waits for the write, and a crash loses unwritten uses.

use std::collections::BTreeMap;

use crate::core::limits::Limits;
use crate::domain::ids::{AccessTokenId, LoginId};
use crate::domain::login::extension_seconds;
use crate::domain::timestamp::Timestamp;

/// The uses that wait to be written.
#[derive(Debug)]
pub(super) struct Uses {
    pub(super) tokens: PendingUses<AccessTokenId>,
    pub(super) web_logins: PendingUses<LoginId>,
}

impl Uses {
    pub(super) fn new(limits: &Limits) -> Self {
        let (every, pending) = (limits.token_use_seconds, limits.token_uses_pending);
        // A use also extends its login, so it must not stay unknown until the login has expired.
        let login_every = every.min(extension_seconds(limits.refresh_token_seconds));
        Self { tokens: PendingUses::new(every, pending), web_logins: PendingUses::new(login_every, pending) }
    }
}

/// The uses of one kind of entry.
#[derive(Debug)]
pub(super) struct PendingUses<Id> {
    pending: BTreeMap<Id, Timestamp>,
    every_seconds: i64,
    pending_max: usize,
}

impl<Id: Ord> PendingUses<Id> {
    fn new(every_seconds: i64, pending_max: usize) -> Self {
        Self { pending: BTreeMap::new(), every_seconds, pending_max }
    }

    /// Records a use, unless one of the same period is recorded already or too many entries wait.
    pub(super) fn note(&mut self, id: Id, last_used_at: Option<Timestamp>, now: Timestamp) {
        let is_known = last_used_at.is_some_and(|last| {
            // A clock that was set back must not hide uses until it has caught up.
            last <= now && now < last.plus_seconds(self.every_seconds)
        });
        if !is_known && self.pending.len() < self.pending_max {
            self.pending.entry(id).or_insert(now);
        }
    }

    /// Takes at most `count` of them, to be written.
    pub(super) fn take(&mut self, count: usize) -> Vec<(Id, Timestamp)> {
        let mut taken = Vec::new();
        while taken.len() < count {
            let Some(first) = self.pending.pop_first() else { break };
            taken.push(first);
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_use_is_noted_once_a_period() {
        let mut uses = PendingUses::new(60, 10);
        for now in [1_000, 2_000] {
            uses.note(1, None, Timestamp(now));
        }
        assert_eq!(uses.take(10), [(1, Timestamp(1_000))]);
        uses.note(1, Some(Timestamp(1_000)), Timestamp(60_999));
        assert_eq!(uses.take(10), []);
        uses.note(1, Some(Timestamp(1_000)), Timestamp(61_000));
        uses.note(2, Some(Timestamp(90_000)), Timestamp(61_000));
        assert_eq!(uses.take(10).len(), 2, "the clock of the second was set back");
    }

    #[test]
    fn token_uses_that_wait_are_bounded() {
        let mut uses = PendingUses::new(60, 3);
        for id in 0..10 {
            uses.note(id, None, Timestamp(1));
        }
        assert_eq!((uses.take(2).len(), uses.take(9).len(), uses.take(9).len()), (2, 1, 0));
    }

    #[test]
    fn web_login_use_is_noted_before_a_short_login_expires() {
        let limits = Limits { refresh_token_seconds: 60, ..Limits::default() };
        let mut uses = Uses::new(&limits);
        uses.web_logins.note(LoginId(1), Some(Timestamp(0)), Timestamp(2_000));
        assert_eq!(uses.web_logins.take(9), [(LoginId(1), Timestamp(2_000))]);
        let mut uses = Uses::new(&Limits::default());
        uses.web_logins.note(LoginId(1), Some(Timestamp(0)), Timestamp(3_599_999));
        assert_eq!(uses.web_logins.take(9), []);
    }
}
