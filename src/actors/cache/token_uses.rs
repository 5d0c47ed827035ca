//! Uses of access tokens that are not in the database yet.
//!
//! A use is recorded during the request and written later, in batches, at most once per token and
//! `limits.token_use_seconds`. No request waits for the write, and a crash loses unwritten uses.

use std::collections::BTreeMap;

use crate::domain::access::AccessToken;
use crate::domain::ids::AccessTokenId;
use crate::domain::timestamp::Timestamp;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct TokenUses {
    pending: BTreeMap<AccessTokenId, Timestamp>,
    every_seconds: i64,
    pending_max: usize,
}

impl TokenUses {
    pub(super) fn new(every_seconds: i64, pending_max: usize) -> Self {
        Self { pending: BTreeMap::new(), every_seconds, pending_max }
    }

    /// Records a use, unless one of the same period is recorded already or too many tokens wait.
    pub(super) fn note(&mut self, token: &AccessToken, now: Timestamp) {
        let is_known = token.last_used_at.is_some_and(|last| {
            // A clock that was set back must not hide uses until it has caught up.
            last <= now && now < last.plus_seconds(self.every_seconds)
        });
        if !is_known && self.pending.len() < self.pending_max {
            self.pending.entry(token.id).or_insert(now);
        }
    }

    /// Takes at most `count` of them, to be written.
    pub(super) fn take(&mut self, count: usize) -> Vec<(AccessTokenId, Timestamp)> {
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
    use crate::domain::ids::UserId;

    fn token(id: i64, last_used_at: Option<i64>) -> AccessToken {
        AccessToken {
            id: AccessTokenId(id),
            user_id: UserId(1),
            name: "t".into(),
            scopes: Vec::new(),
            repositories: None,
            created_at: Timestamp(0),
            expires_at: None,
            last_used_at: last_used_at.map(Timestamp),
        }
    }

    #[test]
    fn token_use_is_noted_once_a_period() {
        let mut uses = TokenUses::new(60, 10);
        for now in [1_000, 2_000] {
            uses.note(&token(1, None), Timestamp(now));
        }
        assert_eq!(uses.take(10), [(AccessTokenId(1), Timestamp(1_000))]);
        uses.note(&token(1, Some(1_000)), Timestamp(60_999));
        assert_eq!(uses.take(10), []);
        uses.note(&token(1, Some(1_000)), Timestamp(61_000));
        uses.note(&token(2, Some(90_000)), Timestamp(61_000));
        assert_eq!(uses.take(10).len(), 2, "the clock of the second was set back");
    }

    #[test]
    fn token_uses_that_wait_are_bounded() {
        let mut uses = TokenUses::new(60, 3);
        for id in 0..10 {
            uses.note(&token(id, None), Timestamp(1));
        }
        assert_eq!((uses.take(2).len(), uses.take(9).len(), uses.take(9).len()), (2, 1, 0));
    }
}
