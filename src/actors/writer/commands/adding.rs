//! Checks and rates that all ways of adding a user to a chat or project share.

use std::collections::HashSet;

use super::notifications::Addition;
use crate::actors::writer::command::{Execution, Tx};
use crate::domain::access::Credential;
use crate::domain::ids::UserId;
use crate::domain::permission::people::{self as permission, Adding};
use crate::domain::refusal::Refusal;
use crate::storage::queries::{accounts, chats};

/// Checks that these users exist, are active, and do not block the caller. Called before any check
/// whose answer depends on whether a user exists.
///
/// # Errors
/// [`Refusal::NotFound`] in all three cases.
pub(super) fn check_reach(tx: &mut Tx<'_>, who: Credential, people: &[UserId]) -> Execution<()> {
    if people.is_empty() {
        return Ok(());
    }
    let active = accounts::active_among(tx.reader(), people, who.user)?;
    for person in people {
        permission::reach(*active.get(person).ok_or(Refusal::NotFound("user"))?)?;
    }
    Ok(())
}

/// The user who adds others.
pub(super) struct Adder {
    who: Credential,
    is_administrator: bool,
    name: String,
}

impl Adder {
    pub(super) fn load(tx: &mut Tx<'_>, who: Credential) -> Execution<Self> {
        let row = accounts::user(tx.reader(), who.user)?;
        let (is_administrator, name) =
            row.map_or_else(|| (false, "a user".to_owned()), |row| (row.is_admin, row.username));
        Ok(Self { who, is_administrator, name })
    }

    /// Counts additions of other users. Called last, right before the first write.
    pub(super) fn count(&self, tx: &mut Tx<'_>, people: &[UserId], into_own_project: bool) -> Execution<()> {
        if people.is_empty() {
            return Ok(());
        }
        let (who, by_administrator) = (self.who, self.is_administrator);
        let acquainted = if by_administrator || into_own_project {
            HashSet::new()
        } else {
            chats::acquainted_among(tx.reader(), who.user, people)?
        };
        for person in people {
            let acquainted = by_administrator || into_own_project || acquainted.contains(person);
            let rate = Adding { by_administrator, into_own_project, acquainted }.rate(who);
            tx.count_addition(who.user, *person, rate)?;
        }
        Ok(())
    }

    /// Returns the addition to a chat, for the notifications. `name` is that of the chat, if any.
    pub(super) fn addition(&self, name: Option<&str>) -> Addition {
        Addition::of(self.who.user, &self.name, name)
    }
}
