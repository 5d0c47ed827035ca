//! Commands about users and their logins.

use std::sync::Arc;

use serde_json::json;

use super::access_tokens::revoke_made_since;
use crate::actors::writer::command::{Command, Execution, Tx};
use crate::core::auth::refresh::{RefreshKey, RefreshToken};
use crate::core::limits::ROWS_PER_STATEMENT_MAX;
use crate::core::saturate;
use crate::domain::access::{AuthMethod, Credential, RequiredScope};
use crate::domain::event::Event;
use crate::domain::ids::{LoginId, UserId};
use crate::domain::login::{LoginClient, WebHandle};
use crate::domain::refusal::Refusal;
use crate::domain::timestamp::Timestamp;
use crate::domain::user::{User, Username};
use crate::storage::queries::{accounts, logins};
use crate::storage::rows::account::{NewUserRow, RefreshTokenRow};
use crate::storage::rows::login::NewLogin;

/// Maximum number of expired logins that a command ends: two rows each and their tokens.
const EXPIRED_PER_COMMAND: i64 = 100;

/// The refusal of a registration without a setup code on a closed server.
pub const REGISTRATION_CLOSED: Refusal = Refusal::Forbidden("registration is closed on this server");

/// The refusal of a setup code that is wrong or used, or when no setup code exists.
pub const INVALID_SETUP_CODE: Refusal = Refusal::Forbidden(
    "the setup code is not valid; the server prints a valid one at its start while it has no administrator",
);

/// Data of a user to be created.
#[derive(Debug, Clone)]
pub struct NewUser {
    pub username: Username,
    pub display_name: String,
    pub email: Option<String>,
    pub password_hash: String,
}

impl NewUser {
    pub(super) fn insert(&self, tx: &mut Tx<'_>, is_admin: bool) -> Execution<Arc<User>> {
        if accounts::holder_of_username(tx.reader(), self.username.as_str())?.is_some() {
            return Err(Refusal::Taken { field: "username", sentence: "the username is taken" }.into());
        }
        let row = NewUserRow {
            username: self.username.as_str(),
            display_name: &self.display_name,
            email: self.email.as_deref(),
            password_hash: &self.password_hash,
            is_admin,
            created_at: tx.now.0,
        };
        let (user, password_hash) = accounts::insert_user(tx.write(), &row)?.into_parts();
        let user = Arc::new(user);
        tx.announce(Event::UserRegistered { user: user.clone(), password_hash });
        Ok(user)
    }
}

/// Creates an ordinary user, or the administrator of a server that has none.
pub struct RegisterUser {
    pub user: NewUser,
    /// Whether registration is open to users without a setup code.
    pub open: bool,
    /// `Some` if the request contained a valid setup code: the mark of the administrators when the
    /// code was created.
    pub setup: Option<i64>,
}

impl Command for RegisterUser {
    type Output = Arc<User>;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<Arc<User>> {
        if self.setup.is_none() && !self.open {
            return Err(REGISTRATION_CLOSED.into());
        }
        if let Some(mark) = self.setup {
            // Each use creates an administrator, so a used code is never valid again.
            let overtaken = accounts::admin_mark(tx.reader())? != mark;
            if overtaken || accounts::first_admin(tx.reader())?.is_some() {
                return Err(INVALID_SETUP_CODE.into());
            }
        }
        let user = self.user.insert(tx, self.setup.is_some())?;
        if user.is_admin {
            let auth_method = AuthMethod::Password { token_version: user.token_version };
            let who = Credential { user: user.id, auth_method };
            tx.audit(who, "user.setup", ("user", user.id.0), &json!({"username": user.username}))?;
        }
        Ok(user)
    }
}

/// The hash of the secret that renews or finds a login.
#[derive(Debug, Clone, Copy)]
pub enum LoginSecret {
    /// Of the first refresh token.
    Refresh([u8; 32]),
    /// Of the secret in a browser's cookie.
    Web([u8; 32]),
}

/// Starts a login, if the user's `token_version` is still that of the password check.
pub struct StartLogin {
    pub user: UserId,
    pub token_version: i64,
    pub secret: LoginSecret,
    pub client: LoginClient,
}

impl Command for StartLogin {
    type Output = LoginId;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<LoginId> {
        let user = accounts::user(tx.reader(), self.user)?.ok_or(Refusal::Unauthenticated)?;
        if user.token_version != self.token_version || user.deactivated_at.is_some() {
            return Err(Refusal::Unauthenticated.into());
        }
        let live = accounts::live_logins_of(tx.reader(), self.user)?;
        let (now, limits) = (tx.now, tx.limits);
        if saturate::to_i64(live.len()) >= limits.logins_per_user
            && let Some(stalest) = accounts::stalest_login_of(
                tx.reader(),
                self.user,
                limits.refresh_token_seconds.saturating_mul(1000),
            )?
        {
            end(tx, stalest, self.user)?;
        }
        let expires_at = now.plus_seconds(limits.refresh_token_seconds);
        let web = match self.secret {
            LoginSecret::Refresh(_) => None,
            LoginSecret::Web(hash) => Some(WebHandle { hash, expires_at, last_used_at: now }),
        };
        let new = NewLogin {
            user: self.user,
            created_at: now,
            expires_at,
            web_hash: web.as_ref().map(|web| &web.hash),
            client: &self.client,
        };
        let login_id = logins::insert(tx.write(), &new)?;
        if let LoginSecret::Refresh(hash) = &self.secret {
            insert_token(tx, login_id, hash, 1)?;
        }
        tx.announce(Event::LoginStarted { login_id, user_id: self.user, web });
        Ok(login_id)
    }
}

/// Exchanges a refresh token for its successor.
///
/// Tokens of a login form generations. A token can be exchanged for `limits.refresh_repeat_seconds`
/// after its first exchange, but not after a token of a later generation was used. Every exchange
/// returns the same successor, so clients that share a token do not end each other's login. Any
/// later use can only be a theft (or a broken client), and ends the login.
pub struct RefreshLogin {
    pub presented: [u8; 32],
    pub key: RefreshKey,
}

/// The outcome of a refresh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refreshed {
    Renewed {
        who: Credential,
        login: LoginId,
        successor: RefreshToken,
    },
    Refused,
    /// The token was used after a token of a later generation, or too long after its first
    /// exchange: the login has been ended.
    Stolen,
}

impl Command for RefreshLogin {
    type Output = Refreshed;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<Refreshed> {
        let Some(token) = accounts::refresh_token(tx.reader(), &self.presented)? else {
            return Ok(Refreshed::Refused);
        };
        let Some((user, generation, expires_at)) = accounts::live_login(tx.reader(), token.session_id)?
        else {
            return Ok(Refreshed::Refused);
        };
        let (now, limits) = (tx.now, tx.limits);
        let login = token.session_id;
        if let Some(superseded_at) = token.superseded_at {
            // Earlier versions returned different tokens of one generation for two exchanges, and
            // the use of one superseded the other.
            let is_sibling = token.generation >= generation;
            if is_sibling || now.0 - superseded_at < limits.refresh_race_seconds * 1000 {
                return Ok(Refreshed::Refused);
            }
            end(tx, login, user)?;
            return Ok(Refreshed::Stolen);
        }
        let row = accounts::user(tx.reader(), user)?.ok_or(Refusal::Unauthenticated)?;
        if expires_at < now.0 || row.deactivated_at.is_some() {
            return Ok(Refreshed::Refused);
        }
        match token.exchanged_at {
            // A client that shares the token, or whose answer was lost, repeats the exchange soon.
            // A later exchange comes from a second holder.
            Some(first) if now.0 - first >= limits.refresh_repeat_seconds.saturating_mul(1000) => {
                end(tx, login, user)?;
                return Ok(Refreshed::Stolen);
            }
            Some(_) => {}
            None => accounts::set_exchanged(tx.write(), &self.presented, now.0)?,
        }
        let next = token.generation + 1;
        let successor = self.key.successor(login, next);
        if token.generation > generation {
            accounts::advance_generation(tx.write(), login, token.generation, now.0)?;
            accounts::delete_refresh_tokens(tx.write(), login, token.generation - limits.refresh_history)?;
        }
        insert_token(tx, login, &successor.hash(), next)?;
        logins::set_used(tx.write(), login, now, now.plus_seconds(limits.refresh_token_seconds))?;
        let who = Credential::login(user, login, row.token_version);
        Ok(Refreshed::Renewed { who, login, successor })
    }
}

/// The reach of a logout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logout {
    /// This login.
    This,
    /// Every login but this one.
    Others,
    /// Every login, and the access tokens created within `limits.recent_token_seconds`: a stolen
    /// login may have created them.
    AllLogins,
    /// Every login and every access token.
    Everything,
}

/// Ends this login, or every login of the user.
pub struct EndLogin {
    pub who: Credential,
    pub reach: Logout,
}

impl Command for EndLogin {
    type Output = ();

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<()> {
        tx.authenticate(self.who, RequiredScope::Person)?;
        let user = self.who.user;
        let logins = match self.reach {
            Logout::This => self.who.auth_method.login().into_iter().collect(),
            Logout::Others | Logout::AllLogins | Logout::Everything => {
                accounts::live_logins_of(tx.reader(), user)?
            }
        };
        let stays = self.who.auth_method.login().filter(|_| self.reach == Logout::Others);
        let logins = logins.into_iter().filter(|login| Some(*login) != stays);
        end_all(tx, &logins.map(|login| (login, user)).collect::<Vec<_>>())?;
        match self.reach {
            Logout::This | Logout::Others => Ok(()),
            Logout::AllLogins => end_tokens(tx, self.who, recently(tx)),
            Logout::Everything => end_tokens(tx, self.who, Timestamp(i64::MIN)),
        }
    }
}

/// Returns the time since which an access token is recent (`limits.recent_token_seconds`).
fn recently(tx: &Tx<'_>) -> Timestamp {
    tx.now.plus_seconds(0_i64.saturating_sub(tx.limits.recent_token_seconds))
}

/// Ends the access tokens that the user created at `since` or later.
fn end_tokens(tx: &mut Tx<'_>, who: Credential, since: Timestamp) -> Execution<()> {
    let count = revoke_made_since(tx, who.user, since)?;
    if count > 0 {
        tx.audit(who, "token.revoke_all", ("user", who.user.0), &json!({"count": count}))?;
    }
    Ok(())
}

/// Ends logins whose refresh tokens or web secrets have expired. Returns their number.
pub struct EndExpiredLogins;

impl Command for EndExpiredLogins {
    type Output = usize;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<usize> {
        let now = tx.now.0;
        let expired = accounts::expired_logins(tx.reader(), now, EXPIRED_PER_COMMAND)?;
        end_all(tx, &expired)?;
        Ok(expired.len())
    }
}

/// Stores a new password. Every login of the user ends, including the current one, and so do the
/// access tokens created within `limits.recent_token_seconds`: a stolen login may have created
/// them. Returns the user, whose `token_version` is that of the new password.
pub struct ChangePassword {
    pub who: Credential,
    pub password_hash: String,
}

impl Command for ChangePassword {
    type Output = Arc<User>;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<Arc<User>> {
        tx.authenticate(self.who, RequiredScope::Person)?;
        let user = set_password(tx, self.who.user, &self.password_hash)?;
        end_tokens(tx, self.who, recently(tx))?;
        Ok(Arc::new(user))
    }
}

/// Stores another hash of the current password. The logins of the user stay.
pub struct RehashPassword {
    pub user: UserId,
    /// The hash that the password was verified with. If it was replaced since, the command changes
    /// nothing.
    pub old: Arc<str>,
    pub password_hash: String,
}

impl Command for RehashPassword {
    type Output = ();

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<()> {
        let row = accounts::user(tx.reader(), self.user)?.ok_or(Refusal::NotFound("user"))?;
        if row.password_hash != *self.old {
            return Ok(());
        }
        let token_version = row.token_version;
        accounts::set_password_hash(tx.write(), self.user, &self.password_hash)?;
        let password_hash = self.password_hash.as_str().into();
        tx.announce(Event::PasswordChanged { user_id: self.user, password_hash, token_version });
        Ok(())
    }
}

/// Stores a password. Every login of the user ends.
pub(super) fn set_password(tx: &mut Tx<'_>, user: UserId, password_hash: &str) -> Execution<User> {
    let logins = accounts::live_logins_of(tx.reader(), user)?;
    let (user, password_hash) = accounts::set_password(tx.write(), user, password_hash)?.into_parts();
    tx.announce(Event::PasswordChanged {
        user_id: user.id,
        password_hash,
        token_version: user.token_version,
    });
    end_all(tx, &logins.into_iter().map(|login| (login, user.id)).collect::<Vec<_>>())?;
    Ok(user)
}

/// Changes the profile of the user. `None` leaves a field as it is; an inner `None` removes the
/// email.
pub struct UpdateProfile {
    pub who: Credential,
    pub display_name: Option<String>,
    pub email: Option<Option<String>>,
}

impl Command for UpdateProfile {
    type Output = Arc<User>;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<Arc<User>> {
        tx.authenticate(self.who, RequiredScope::Person)?;
        let (old, _) =
            accounts::user(tx.reader(), self.who.user)?.ok_or(Refusal::Unauthenticated)?.into_parts();
        let display_name = self.display_name.as_ref().unwrap_or(&old.display_name);
        let email = self.email.as_ref().unwrap_or(&old.email);
        if *display_name == old.display_name && *email == old.email {
            return Ok(Arc::new(old));
        }
        let (user, _) =
            accounts::set_profile(tx.write(), self.who.user, display_name, email.as_deref())?.into_parts();
        let user = Arc::new(user);
        tx.announce(Event::UserUpdated { user: user.clone() });
        Ok(user)
    }
}

pub(super) fn end(tx: &mut Tx<'_>, login: LoginId, user: UserId) -> Execution<()> {
    end_all(tx, &[(login, user)])
}

/// Ends logins of these users.
pub(super) fn end_all(tx: &mut Tx<'_>, logins: &[(LoginId, UserId)]) -> Execution<()> {
    let now = tx.now.0;
    for logins in logins.chunks(ROWS_PER_STATEMENT_MAX) {
        let ids: Vec<_> = logins.iter().map(|(login, _)| *login).collect();
        accounts::end_logins(tx.write(), &ids, now)?;
    }
    for (login_id, user_id) in logins.iter().copied() {
        tx.announce(Event::LoginEnded { login_id, user_id });
    }
    Ok(())
}

fn insert_token(tx: &mut Tx<'_>, login: LoginId, hash: &[u8; 32], generation: i64) -> Execution<()> {
    let row = RefreshTokenRow {
        token_hash: hash.to_vec(),
        session_id: login,
        generation,
        superseded_at: None,
        exchanged_at: None,
    };
    accounts::insert_refresh_token(tx.write(), &row).map_err(Into::into)
}
