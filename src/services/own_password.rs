//! The proof of the caller's own password: a stolen login does not suffice for some changes.

use std::net::IpAddr;

use super::accounts::Fields;
use super::{ServiceError, Services};
use crate::actors::cache::Me;
use crate::domain::access::{AccessGrant, Credential};
use crate::domain::password;
use crate::protocol::code::Code;

/// The field of a request that has the caller's password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PasswordField {
    /// Of a request without another password.
    Password,
    /// Next to a new password of the caller.
    Current,
    /// Next to changes of another user.
    Own,
}

impl PasswordField {
    fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Current => "current_password",
            Self::Own => "own_password",
        }
    }

    /// Returns the problem of a wrong password.
    fn problem(self) -> &'static str {
        match self {
            Self::Password => "the password is wrong",
            Self::Current => "the current password is wrong",
            Self::Own => "your own password is wrong",
        }
    }
}

impl Services {
    /// Checks the caller's password as typed. Wrong guesses are delayed as they are at login.
    ///
    /// # Errors
    /// Fails with `forbidden` when the password is wrong, and before any comparison when the caller
    /// has no login: neither a token nor an ended login must be a way to guess.
    pub(super) async fn check_own_password(
        &self,
        who: Credential,
        from: IpAddr,
        typed: String,
        field: PasswordField,
    ) -> Result<(), ServiceError> {
        AccessGrant::person(who.auth_method)?;
        let mut fields = Fields::default();
        fields.check(field.name(), password::check_size(&typed));
        fields.done()?;
        let (me, _) = self.cache.ask(who, Me).await?;
        let proven = self.prove(from, Some(who.user), me.username.clone(), typed).await?;
        let wrong = || ServiceError::new(Code::Forbidden, field.problem()).at(field.name());
        proven.map(drop).ok_or_else(wrong)
    }
}
