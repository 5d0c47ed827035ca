//! Commands about single logins: ending one, and recording uses of web logins.

use super::access_tokens::latest_uses;
use super::accounts::end;
use crate::actors::writer::command::{Command, Execution, Tx};
use crate::actors::writer::writer_cache::Invalidation;
use crate::core::limits::ROWS_PER_STATEMENT_MAX;
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
        let latest = latest_uses(&self.uses);
        let mut uses = Vec::with_capacity(latest.len());
        for slice in latest.chunks(ROWS_PER_STATEMENT_MAX) {
            let expiries = logins::expiries_of_web(tx.reader(), slice.iter().map(|(login, _)| *login))?;
            // A login may have ended since.
            let extended = slice.iter().filter_map(|(login, last_used_at)| {
                let expires_at = extended_expiry(*expiries.get(login)?, *last_used_at, life_seconds);
                Some(WebLoginUse { login: *login, last_used_at: *last_used_at, expires_at })
            });
            let extended: Vec<_> = extended.collect();
            if !extended.is_empty() {
                logins::set_all_used(tx.write(), &extended)?;
                uses.extend(extended);
            }
        }
        if !uses.is_empty() {
            tx.announce(Event::WebLoginsUsed { uses });
        }
        Ok(())
    }
}
