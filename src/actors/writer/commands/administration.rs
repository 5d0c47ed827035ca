//! Commands of those who administer the server, over the API or from its machine.

use std::sync::Arc;

use serde_json::json;

use super::access_tokens::revoke_made_since;
use super::accounts::{NewUser, end, set_password};
use super::projects::username;
use crate::actors::writer::command::{Command, Execution, Tx};
use crate::domain::access::{AccessGrant, AuthMethod, Credential, RequiredScope};
use crate::domain::event::{Change, Event};
use crate::domain::ids::{LoginId, ProjectId, UserId};
use crate::domain::refusal::Refusal;
use crate::domain::timestamp::Timestamp;
use crate::domain::user::{User, Username};
use crate::storage::queries::{accounts, chats, projects};

/// Channels renamed in one command: three rows each.
const CHANNELS_PER_COMMAND: i64 = 100;

/// That whoever asks administers the server: a user who does, or the operator of the machine.
pub(super) fn check_administrator(tx: &mut Tx<'_>, who: Credential) -> Execution<()> {
    tx.authenticate(who, RequiredScope::ServerAdmin)?;
    if who.auth_method == AuthMethod::Operator
        || accounts::user(tx.reader(), who.user.0)?.is_some_and(|me| me.is_admin)
    {
        return Ok(());
    }
    Err(Refusal::Forbidden("only an administrator of the server may do this").into())
}

/// Whether the user administers the server, with a proof that reaches so far.
pub(super) fn is_administrator(tx: &mut Tx<'_>, who: Credential, grant: &AccessGrant) -> Execution<bool> {
    let reaches = grant.check(RequiredScope::ServerAdmin).is_ok();
    Ok(reaches && accounts::user(tx.reader(), who.user.0)?.is_some_and(|me| me.is_admin))
}

/// Makes a user, also when registration is closed.
pub struct AddUser {
    pub who: Credential,
    pub user: NewUser,
    pub is_admin: bool,
}

impl Command for AddUser {
    type Output = Arc<User>;
    const NAME: &'static str = "AddUser";

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<Arc<User>> {
        check_administrator(tx, self.who)?;
        let user = self.user.insert(tx, self.is_admin)?;
        let detail = json!({"username": user.username, "is_admin": user.is_admin});
        tx.audit(self.who, "user.add", ("user", user.id.0), &detail)?;
        Ok(user)
    }
}

/// Shuts a user out, or lets them in again. Logins and access tokens end for good; what the user
/// wrote, and where they belong, stays.
pub struct SetUserActive {
    pub who: Credential,
    pub user: UserId,
    pub active: bool,
}

impl Command for SetUserActive {
    type Output = Arc<User>;
    const NAME: &'static str = "SetUserActive";

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<Arc<User>> {
        check_administrator(tx, self.who)?;
        if self.user == self.who.user {
            return Err(Refusal::Conflict("an administrator cannot deactivate themselves").into());
        }
        let (old, _) =
            accounts::user(tx.reader(), self.user.0)?.ok_or(Refusal::NotFound("user"))?.into_parts();
        if old.active == self.active {
            return Ok(Arc::new(old));
        }
        let logins = accounts::live_logins_of(tx.reader(), self.user.0)?;
        let deactivated_at = (!self.active).then_some(tx.now.0);
        let (user, _) = accounts::set_active(tx.write(), self.user.0, deactivated_at)?.into_parts();
        let action = if self.active { "user.activate" } else { "user.deactivate" };
        tx.audit(self.who, action, ("user", user.id.0), &json!({"username": user.username}))?;
        let user = Arc::new(user);
        tx.announce(Event::UserUpdated { user: user.clone() });
        logins.into_iter().try_for_each(|login| end(tx, LoginId(login), user.id))?;
        if !self.active {
            // They do not come back with the user: a thief may have made them.
            revoke_made_since(tx, user.id, Timestamp(i64::MIN))?;
        }
        Ok(user)
    }
}

/// Gives a user another name. The old one stays theirs: paths of projects below it go on, and no other user gets it.
pub struct RenameUser {
    pub who: Credential,
    pub user: UserId,
    pub name: Username,
}

impl Command for RenameUser {
    type Output = Arc<User>;
    const NAME: &'static str = "RenameUser";

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<Arc<User>> {
        check_administrator(tx, self.who)?;
        let (old, _) =
            accounts::user(tx.reader(), self.user.0)?.ok_or(Refusal::NotFound("user"))?.into_parts();
        let name = self.name.as_str();
        if old.username == name {
            return Ok(Arc::new(old));
        }
        if accounts::holder_of_username(tx.reader(), name)?.is_some_and(|holder| holder != self.user.0) {
            return Err(Refusal::Conflict("the username is taken").into());
        }
        if accounts::former_username_count(tx.reader(), self.user.0)? >= tx.limits.former_names {
            return Err(Refusal::Conflict("the user has left too many names already").into());
        }
        let renamed = accounts::rename_user(tx.write(), self.user.0, &old.username, name)?;
        let user = Arc::new(renamed.into_parts().0);
        let detail = json!({"username": name, "former_username": old.username});
        tx.audit(self.who, "user.rename", ("user", user.id.0), &detail)?;
        tx.announce(Event::UserUpdated { user: user.clone() });
        Ok(user)
    }
}

/// Renames channels after the name of the user who owns their projects; answers the last project of a slice that may not
/// be the last one.
pub struct RenameChannels {
    pub who: Credential,
    pub owner: UserId,
    pub after: ProjectId,
}

impl Command for RenameChannels {
    type Output = Option<ProjectId>;
    const NAME: &'static str = "RenameChannels";

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<Option<ProjectId>> {
        check_administrator(tx, self.who)?;
        let owner = username(tx, self.owner)?;
        let found =
            projects::channels_of_owner(tx.reader(), self.owner.0, self.after.0, CHANNELS_PER_COMMAND)?;
        for (_, project, channel) in &found {
            let Some(chat) = chats::chat(tx.reader(), *channel)? else { continue };
            let name = format!("{owner}/{project}");
            if chat.name.as_ref() == Some(&name) {
                continue;
            }
            chats::set_name(tx.write(), *channel, &name, None)?;
            let mut last_seq = chat.last_seq;
            tx.append_event(chat.id, &mut last_seq, self.owner, Change::Rename { name })?;
        }
        let is_full = i64::try_from(found.len()).is_ok_and(|found| found >= CHANNELS_PER_COMMAND);
        Ok(found.last().filter(|_| is_full).map(|(project, ..)| ProjectId(*project)))
    }
}

/// Makes a user an administrator of the server, or an ordinary user.
pub struct SetUserAdmin {
    pub who: Credential,
    pub user: UserId,
    pub is_admin: bool,
}

impl Command for SetUserAdmin {
    type Output = ();
    const NAME: &'static str = "SetUserAdmin";

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<()> {
        check_administrator(tx, self.who)?;
        let (old, _) =
            accounts::user(tx.reader(), self.user.0)?.ok_or(Refusal::NotFound("user"))?.into_parts();
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
        let (user, _) = accounts::set_admin(tx.write(), self.user.0, self.is_admin)?.into_parts();
        let action = if self.is_admin { "user.promote" } else { "user.demote" };
        tx.audit(self.who, action, ("user", user.id.0), &json!({"username": user.username}))?;
        tx.announce(Event::UserUpdated { user: Arc::new(user) });
        Ok(())
    }
}

/// Gives a user a new password; all their logins and access tokens end.
pub struct ResetPassword {
    pub who: Credential,
    pub user: UserId,
    pub password_hash: String,
}

impl Command for ResetPassword {
    type Output = ();
    const NAME: &'static str = "ResetPassword";

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<()> {
        check_administrator(tx, self.who)?;
        accounts::user(tx.reader(), self.user.0)?.ok_or(Refusal::NotFound("user"))?;
        let user = set_password(tx, self.user, &self.password_hash)?;
        let tokens = revoke_made_since(tx, self.user, Timestamp(i64::MIN))?;
        let detail = json!({"username": user.username, "tokens_revoked": tokens});
        tx.audit(self.who, "user.password", ("user", user.id.0), &detail)
    }
}
