//! Changes of users by administrators of the server who prove their own password.
//!
//! They give power over an account, so a stolen login does not suffice. The operator of the machine
//! makes the same changes without a proof ([`super::administration`]).

use std::net::IpAddr;
use std::sync::Arc;

use super::accounts::{Fields, names_of};
use super::own_password::PasswordField;
use super::{ServiceError, Services};
use crate::actors::cache::{Administrator, PathsFound, PathsToAdminister};
use crate::actors::writer::commands::{ResetPassword, SetUserAdmin};
use crate::core::shares::Holder;
use crate::domain::access::{AccessGrant, Credential};
use crate::domain::password;
use crate::domain::refusal::Refusal;
use crate::domain::user::User;

/// The administrator of a change, with the proof.
pub struct ProvingAdministrator {
    pub who: Credential,
    pub from: IpAddr,
    /// The administrator's own password, as typed.
    pub own_password: String,
}

impl Services {
    /// Makes a user an administrator of the server, or an ordinary user again.
    pub async fn set_user_admin(
        &self,
        by: ProvingAdministrator,
        username: String,
        is_admin: bool,
    ) -> Result<(), ServiceError> {
        let who = by.who;
        let user = self.user_to_change(who, username).await?;
        self.check_own_password(who, by.from, by.own_password, PasswordField::Own).await?;
        Ok(self.writer.execute(who, SetUserAdmin { who, user: user.id, is_admin }).await?)
    }

    /// Sets the password of another user. All logins and access tokens of the user end.
    pub async fn set_password_of(
        &self,
        by: ProvingAdministrator,
        username: String,
        password: String,
    ) -> Result<(), ServiceError> {
        let who = by.who;
        let user = self.user_to_change(who, username).await?;
        let mut fields = Fields::default();
        fields.check("new_password", password::check_new(&password, &names_of(&user)));
        fields.done()?;
        self.check_own_password(who, by.from, by.own_password, PasswordField::Own).await?;
        let password_hash = self.passwords.hash(Holder::Account(who.user), password).await?;
        Ok(self.writer.execute(who, ResetPassword { who, user: user.id, password_hash }).await?)
    }

    /// Refuses a caller who is not an administrator of the server.
    pub async fn check_administrator(&self, who: Credential) -> Result<(), ServiceError> {
        self.cache.ask(who, Administrator).await?;
        Ok(())
    }

    /// Returns another user, for an administrator who is logged in.
    async fn user_to_change(&self, who: Credential, username: String) -> Result<Arc<User>, ServiceError> {
        AccessGrant::person(who.auth_method)?;
        self.check_administrator(who).await?;
        let user = self.person(who, username).await?;
        if user.id == who.user {
            return Err(Refusal::Conflict("another administrator can change your account").into());
        }
        Ok(user)
    }

    /// Returns the paths of projects and repositories, for an administrator of the server.
    pub async fn paths_to_administer(
        &self,
        who: Credential,
        ids: PathsToAdminister,
    ) -> Result<PathsFound, ServiceError> {
        Ok(self.cache.ask(who, ids).await?)
    }
}
