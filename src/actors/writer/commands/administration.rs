//! Commands of administrators of the server, over the API or from its machine.

use std::sync::Arc;

use serde_json::json;

use super::access_tokens::{notify_owner, revoke_made_since};
use super::accounts::{NewUser, end_all, set_password};
use super::projects::username;
use crate::actors::writer::command::{Command, Execution, Tx};
use crate::domain::access::{AccessGrant, AuthMethod, Credential, RequiredScope};
use crate::domain::event::{Change, Event};
use crate::domain::ids::{ProjectId, UserId};
use crate::domain::refusal::Refusal;
use crate::domain::timestamp::Timestamp;
use crate::domain::user::{User, Username};
use crate::storage::queries::{accounts, chats, projects};

/// Maximum number of channels that a command renames: three rows each.
const CHANNELS_PER_COMMAND: i64 = 100;

/// Checks that the caller is an administrator of the server, or its operator.
pub(super) fn check_administrator(tx: &mut Tx<'_>, who: Credential) -> Execution<()> {
    tx.authenticate(who, RequiredScope::ServerAdmin)?;
    if who.auth_method == AuthMethod::Operator
        || accounts::user(tx.reader(), who.user)?.is_some_and(|me| me.is_admin)
    {
        return Ok(());
    }
    Err(Refusal::Forbidden("only an administrator of the server may do this").into())
}

/// Returns whether the user administers the server, with a credential that covers it.
pub(super) fn is_administrator(tx: &mut Tx<'_>, who: Credential, grant: &AccessGrant) -> Execution<bool> {
    let reaches = grant.check(RequiredScope::ServerAdmin).is_ok();
    Ok(reaches && accounts::user(tx.reader(), who.user)?.is_some_and(|me| me.is_admin))
}

/// Creates a user, even if registration is closed.
pub struct AddUser {
    pub who: Credential,
    pub user: NewUser,
    pub is_admin: bool,
}

impl Command for AddUser {
    type Output = Arc<User>;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<Arc<User>> {
        check_administrator(tx, self.who)?;
        let user = self.user.insert(tx, self.is_admin)?;
        let detail = json!({"username": user.username, "is_admin": user.is_admin});
        tx.audit(self.who, "user.add", ("user", user.id.0), &detail)?;
        Ok(user)
    }
}

/// Deactivates a user, or activates one again. Logins and access tokens end permanently; the
/// messages and memberships of the user stay.
pub struct SetUserActive {
    pub who: Credential,
    pub user: UserId,
    pub active: bool,
}

impl Command for SetUserActive {
    type Output = Arc<User>;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<Arc<User>> {
        check_administrator(tx, self.who)?;
        if self.user == self.who.user {
            return Err(Refusal::Conflict(
                "you cannot deactivate your own account; another administrator can",
            )
            .into());
        }
        let (old, _) = accounts::user(tx.reader(), self.user)?.ok_or(Refusal::NotFound("user"))?.into_parts();
        if old.active == self.active {
            return Ok(Arc::new(old));
        }
        let logins = accounts::live_logins_of(tx.reader(), self.user)?;
        let deactivated_at = (!self.active).then_some(tx.now.0);
        let (user, _) = accounts::set_active(tx.write(), self.user, deactivated_at)?.into_parts();
        let action = if self.active { "user.activate" } else { "user.deactivate" };
        tx.audit(self.who, action, ("user", user.id.0), &json!({"username": user.username}))?;
        let user = Arc::new(user);
        tx.announce(Event::UserUpdated { user: user.clone() });
        end_all(tx, &logins.into_iter().map(|login| (login, user.id)).collect::<Vec<_>>())?;
        if !self.active {
            // An activation does not restore the tokens: an attacker may have created them.
            revoke_made_since(tx, user.id, Timestamp(i64::MIN))?;
        }
        Ok(user)
    }
}

/// Renames a user. The old name stays reserved for this user: paths of projects below it still
/// work.
pub struct RenameUser {
    pub who: Credential,
    pub user: UserId,
    pub name: Username,
}

impl Command for RenameUser {
    type Output = Arc<User>;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<Arc<User>> {
        check_administrator(tx, self.who)?;
        let (old, _) = accounts::user(tx.reader(), self.user)?.ok_or(Refusal::NotFound("user"))?.into_parts();
        let name = self.name.as_str();
        if old.username == name {
            return Ok(Arc::new(old));
        }
        if accounts::holder_of_username(tx.reader(), name)?.is_some_and(|holder| holder != self.user) {
            return Err(Refusal::Taken { field: "username", sentence: "the username is taken" }.into());
        }
        if accounts::former_username_count(tx.reader(), self.user)? >= tx.limits.former_names {
            return Err(
                Refusal::Conflict("the user has too many former names; the current name must stay").into()
            );
        }
        let renamed = accounts::rename_user(tx.write(), self.user, &old.username, name)?;
        let user = Arc::new(renamed.into_parts().0);
        let detail = json!({"username": name, "former_username": old.username});
        tx.audit(self.who, "user.rename", ("user", user.id.0), &detail)?;
        tx.announce(Event::UserUpdated { user: user.clone() });
        Ok(user)
    }
}

/// Renames the channels of projects after the name of their owner. Returns the last project of a
/// full slice, from which the next command continues.
pub struct RenameChannels {
    pub who: Credential,
    pub owner: UserId,
    pub after: ProjectId,
}

impl Command for RenameChannels {
    type Output = Option<ProjectId>;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<Option<ProjectId>> {
        check_administrator(tx, self.who)?;
        let owner = username(tx, self.owner)?;
        let found = projects::channels_of_owner(tx.reader(), self.owner, self.after, CHANNELS_PER_COMMAND)?;
        let channels: Vec<_> = found.iter().map(|(_, _, channel)| *channel).collect();
        let chats = chats::chats_with(tx.reader(), &channels)?;
        let (mut names, mut events) = (Vec::new(), Vec::new());
        for (_, project, channel) in &found {
            let Some(chat) = chats.get(channel) else { continue };
            let name = format!("{owner}/{project}");
            if chat.name.as_ref() == Some(&name) {
                continue;
            }
            let mut last_seq = chat.last_seq;
            names.push((chat.id, name.clone()));
            events.push(tx.next_event(chat.id, &mut last_seq, self.owner, Change::Rename { name }));
        }
        if !names.is_empty() {
            chats::set_names(tx.write(), &names)?;
        }
        tx.store_events(&events)?;
        for event in events {
            tx.announce(Event::Chat(event.into()));
        }
        let is_full = i64::try_from(found.len()).is_ok_and(|found| found >= CHANNELS_PER_COMMAND);
        Ok(found.last().filter(|_| is_full).map(|(project, ..)| *project))
    }
}

/// Makes a user an administrator of the server, or revokes that.
pub struct SetUserAdmin {
    pub who: Credential,
    pub user: UserId,
    pub is_admin: bool,
}

impl Command for SetUserAdmin {
    type Output = ();

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<()> {
        check_administrator(tx, self.who)?;
        if self.user == self.who.user {
            return Err(Refusal::Conflict("another administrator can change your account").into());
        }
        let (old, _) = accounts::user(tx.reader(), self.user)?.ok_or(Refusal::NotFound("user"))?.into_parts();
        if old.is_admin == self.is_admin {
            return Ok(());
        }
        if self.is_admin && !old.active {
            return Err(Refusal::Conflict("the user is deactivated; activate the user first").into());
        }
        if !self.is_admin && old.active && accounts::administrators(tx.reader())? == 1 {
            return Err(
                Refusal::Conflict("this is the only administrator; promote another user first").into()
            );
        }
        let (user, _) = accounts::set_admin(tx.write(), self.user, self.is_admin)?.into_parts();
        let action = if self.is_admin { "user.promote" } else { "user.demote" };
        tx.audit(self.who, action, ("user", user.id.0), &json!({"username": user.username}))?;
        tx.announce(Event::UserUpdated { user: Arc::new(user) });
        Ok(())
    }
}

/// Sets the password of a user. All logins and access tokens of the user end. The user is notified:
/// the change must not stay unseen.
pub struct ResetPassword {
    pub who: Credential,
    pub user: UserId,
    pub password_hash: String,
}

impl Command for ResetPassword {
    type Output = ();

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<()> {
        check_administrator(tx, self.who)?;
        accounts::user(tx.reader(), self.user)?.ok_or(Refusal::NotFound("user"))?;
        let user = set_password(tx, self.user, &self.password_hash)?;
        let tokens = revoke_made_since(tx, self.user, Timestamp(i64::MIN))?;
        notify_owner(
            tx,
            self.user,
            user.active,
            "an administrator set your password; your logins and access tokens ended",
        )?;
        let detail = json!({"username": user.username, "tokens_revoked": tokens});
        tx.audit(self.who, "user.password", ("user", user.id.0), &detail)
    }
}
