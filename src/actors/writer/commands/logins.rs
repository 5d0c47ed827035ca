//! Commands about single logins: ending one, and recording uses of web logins.

use super::accounts::end;
use crate::actors::writer::command::{Command, Execution, Tx};
use crate::actors::writer::writer_cache::Invalidation;
use crate::domain::access::{Credential, RequiredScope};
use crate::domain::event::Event;
use crate::domain::ids::LoginId;
use crate::domain::login::{WebLoginUse, extended_expiry};
use crate::domain::refusal::Refusal;
use crate::domain::timestamp::Timestamp;
use crate::storage::queries::{accounts, logins};

/// Ends one login of the caller.
///
/// # Errors
/// `NotFound` if it has ended, or is not the caller's.
pub struct EndOwnLogin {
    pub who: Credential,
    pub login: LoginId,
}

impl Command for EndOwnLogin {
    type Output = ();

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<()> {
        tx.authenticate(self.who, RequiredScope::Person)?;
        match accounts::live_login(tx.reader(), self.login)? {
            Some((user, ..)) if user == self.who.user => end(tx, self.login, user),
            _ => Err(Refusal::NotFound("login").into()),
        }
    }
}

/// Records when web logins were last used, and extends those whose expiry is due. The times are
/// coarse, and a crash may lose the newest.
pub struct RecordWebLoginUses {
    pub uses: Vec<(LoginId, Timestamp)>,
}

impl Command for RecordWebLoginUses {
    type Output = ();
    const INVALIDATION: Invalidation = Invalidation::ChatEvents;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<()> {
        let life_seconds = tx.limits.refresh_token_seconds;
        let mut uses = Vec::with_capacity(self.uses.len());
        for (login, last_used_at) in self.uses.iter().copied() {
            // It may have ended since.
            let Some(expires_at) = logins::expiry_of_web(tx.reader(), login)? else { continue };
            let expires_at = extended_expiry(expires_at, last_used_at, life_seconds);
            logins::set_used(tx.write(), login, last_used_at, expires_at)?;
            uses.push(WebLoginUse { login, last_used_at, expires_at });
        }
        if !uses.is_empty() {
            tx.announce(Event::WebLoginsUsed { uses });
        }
        Ok(())
    }
}
