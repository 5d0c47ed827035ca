//! Checks and rates that all ways of adding a user to a chat or project share.

use crate::actors::writer::command::{Execution, Tx};
use crate::domain::access::Credential;
use crate::domain::ids::UserId;
use crate::domain::permission::people::{self as permission, Adding};
use crate::domain::refusal::Refusal;
use crate::storage::queries::{accounts, blocks, chats};

/// Checks that `person` exists, is active, and does not block the caller. Called before any check
/// whose answer depends on whether the user exists.
///
/// # Errors
/// [`Refusal::NotFound`] in all three cases.
pub(super) fn check_reach(tx: &mut Tx<'_>, who: Credential, person: UserId) -> Execution<()> {
    let is_blocked = blocks::exists(tx.reader(), person, who.user)?;
    permission::reach(is_blocked)?;
    match accounts::user(tx.reader(), person)? {
        Some(row) if row.deactivated_at.is_none() => Ok(()),
        _ => Err(Refusal::NotFound("user").into()),
    }
}

/// Counts an addition. Called last, right before the first write.
pub(super) fn count_addition(
    tx: &mut Tx<'_>,
    who: Credential,
    person: UserId,
    into_own_project: bool,
) -> Execution<()> {
    if who.user == person {
        return Ok(());
    }
    let by_administrator = accounts::user(tx.reader(), who.user)?.is_some_and(|row| row.is_admin);
    let acquainted =
        by_administrator || into_own_project || chats::are_acquainted(tx.reader(), who.user, person)?;
    let rate = Adding { by_administrator, into_own_project, acquainted }.rate(who);
    Ok(tx.count_addition(who.user, person, rate)?)
}
