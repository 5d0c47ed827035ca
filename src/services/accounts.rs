//! Registration, login, logout, and the account of a user.

use std::net::IpAddr;
use std::sync::Arc;

use super::logins::note_failure;
use super::own_password::PasswordField;
use super::{FieldProblem, ServiceError, Services};
use crate::actors::cache::{Administrator, Me, PersonNamed};
use crate::actors::writer::commands::{
    ChangePassword, EndExpiredLogins, EndLogin, INVALID_SETUP_CODE, LoginSecret, Logout, NewUser,
    REGISTRATION_CLOSED, RefreshLogin, Refreshed, RegisterUser, SetUserActive, StartLogin, UpdateProfile,
};
use crate::core::actor::Caller;
use crate::core::auth::refresh::RefreshToken;
use crate::core::auth::token::{self, Identity};
use crate::core::config::RegistrationPolicy;
use crate::core::shares::Holder;
use crate::core::telemetry::request_id;
use crate::domain::access::{self, Credential};
use crate::domain::ids::LoginId;
use crate::domain::login::LoginClient;
use crate::domain::password;
use crate::domain::text::Invalid;
use crate::domain::timestamp::Timestamp;
use crate::domain::user::{self, User, Username};
use crate::protocol::code::Code;

/// A registration request.
#[derive(Debug)]
pub struct NewAccount {
    pub username: String,
    pub password: String,
    pub email: Option<String>,
    pub display_name: Option<String>,
    /// A valid code makes the new user the administrator of a server that has none.
    pub setup_code: Option<String>,
}

/// The tokens that a login returns.
#[derive(Debug)]
pub struct IssuedTokens {
    pub token: String,
    pub expires_in: i64,
    pub refresh_token: String,
    pub user: Arc<User>,
}

/// A user whose password was proven, or set, in this request.
#[derive(Debug)]
pub struct ProvenUser(pub(super) Arc<User>);

/// Collects the problems of all fields, so that one error names them all.
#[derive(Default)]
pub(super) struct Fields(Vec<FieldProblem>);

impl Fields {
    pub(super) fn check<T>(&mut self, field: &'static str, parsed: Result<T, Invalid>) -> Option<T> {
        parsed.map_err(|reason| self.0.push(FieldProblem { field, problem: reason.to_string() })).ok()
    }

    pub(super) fn done(self) -> Result<(), ServiceError> {
        if self.0.is_empty() { Ok(()) } else { Err(ServiceError::invalid(self.0)) }
    }
}

/// A registration with every field validated.
pub(super) struct ValidAccount {
    username: Username,
    display_name: String,
    email: Option<String>,
    password: String,
}

impl ValidAccount {
    pub(super) fn parse(new: NewAccount) -> Result<Self, ServiceError> {
        let mut fields = Fields::default();
        let username = fields.check("username", Username::parse(&new.username));
        let names = [Some(&new.username), new.display_name.as_ref(), new.email.as_ref()];
        let names: Vec<_> = names.into_iter().flatten().map(String::as_str).collect();
        fields.check("password", password::check_new(&new.password, &names));
        let email = new.email.as_deref().map(|email| fields.check("email", user::parse_email(email)));
        let shown = new.display_name.as_deref().unwrap_or(&new.username);
        let display_name = fields.check("display_name", user::parse_display_name(shown));
        fields.done()?;
        let (Some(username), Some(display_name)) = (username, display_name) else {
            return Err(ServiceError::new(Code::Validation, "the registration is incomplete"));
        };
        Ok(Self { username, display_name, email: email.flatten(), password: new.password })
    }
}

/// Returns the user's names and email; a password must not equal any of them.
pub(super) fn names_of(user: &User) -> Vec<&str> {
    [Some(&user.username), Some(&user.display_name), user.email.as_ref()]
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect()
}

impl Services {
    /// Hashes the password once the password pool has a permit.
    pub(super) async fn with_hash(
        &self,
        holder: Holder,
        person: ValidAccount,
    ) -> Result<NewUser, ServiceError> {
        let ValidAccount { username, display_name, email, password } = person;
        let password_hash = self.passwords.hash(holder, password).await?;
        Ok(NewUser { username, display_name, email, password_hash })
    }

    pub async fn register(&self, from: IpAddr, new: NewAccount) -> Result<Arc<User>, ServiceError> {
        let setup_code = new.setup_code.clone();
        let person = ValidAccount::parse(new)?;
        self.rates.registration(from)?;
        // Before the hash, so that a wrong setup code costs the server little.
        let setup = match setup_code {
            None => None,
            Some(code) => {
                let checked = self.setup.as_ref().and_then(|setup| setup.check(&code));
                if checked.is_none() {
                    note_failure("setup code", from, person.username.as_str());
                }
                Some(checked.ok_or(INVALID_SETUP_CODE)?)
            }
        };
        let open = self.accounts.registration == RegistrationPolicy::Open;
        if setup.is_none() && !open {
            return Err(REGISTRATION_CLOSED.into());
        }
        let user = self.with_hash(Holder::network(from), person).await?;
        let command = RegisterUser { user, open, setup };
        Ok(self.writer.execute(Caller::Anyone, command).await?)
    }

    /// Checks the password and starts a login. `device` is the `User-Agent` of the client. Status,
    /// body and work are the same for an unknown user and for a wrong password.
    pub async fn login(
        &self,
        from: IpAddr,
        device: &str,
        username: String,
        password: String,
    ) -> Result<IssuedTokens, ServiceError> {
        let user = self.prove_login(from, username, password).await?;
        let refresh_token = RefreshToken::fresh();
        let command = StartLogin {
            user: user.id,
            token_version: user.token_version,
            secret: LoginSecret::Refresh(refresh_token.hash()),
            client: LoginClient::new(device, from),
        };
        let login = self.writer.execute(user.id, command).await?;
        self.issued(user, login, refresh_token)
    }

    /// Returns the user whose name and password these are.
    pub(super) async fn prove_login(
        &self,
        from: IpAddr,
        username: String,
        password: String,
    ) -> Result<Arc<User>, ServiceError> {
        let mut fields = Fields::default();
        fields.check("password", password::check_size(&password));
        if username.trim().is_empty() || username.len() > 64 {
            fields.check::<()>("username", Err(Invalid("must be 1 to 64 bytes")));
        }
        fields.done()?;
        let wrong = || ServiceError::new(Code::Unauthenticated, "the user name or the password is wrong");
        self.prove(from, None, username, password).await?.ok_or_else(wrong)
    }

    fn issued(
        &self,
        user: Arc<User>,
        login: LoginId,
        refresh_token: RefreshToken,
    ) -> Result<IssuedTokens, ServiceError> {
        let identity = Identity { user: user.id.0, login: login.0, token_version: user.token_version };
        let expires_in = self.limits.access_token_seconds;
        let token = self
            .tokens
            .sign(identity, Timestamp::now().0 / 1000, expires_in)
            .map_err(ServiceError::internal)?;
        Ok(IssuedTokens { token, expires_in, refresh_token: refresh_token.into_text(), user })
    }

    pub async fn refresh(&self, presented: &str) -> Result<IssuedTokens, ServiceError> {
        let command =
            RefreshLogin { presented: token::hash_of(presented), key: self.tokens.refresh().clone() };
        let refused = || ServiceError::new(Code::Unauthenticated, "the refresh token is no longer valid");
        match self.writer.execute(Caller::Anyone, command).await? {
            Refreshed::Renewed { who, login, successor } => {
                let (user, _) = self.cache.ask(who, Me).await?;
                self.issued(user, login, successor)
            }
            Refreshed::Refused => Err(refused()),
            Refreshed::Stolen => {
                let request_id = request_id();
                let request_id = request_id.as_deref();
                tracing::warn!(request_id, "an old refresh token was reused; its login was ended");
                Err(refused())
            }
        }
    }

    /// Ends this login, or more of the user's logins, as `reach` selects.
    pub async fn logout(&self, who: Credential, reach: Logout) -> Result<(), ServiceError> {
        Ok(self.writer.execute(who, EndLogin { who, reach }).await?)
    }

    pub async fn me(&self, who: Credential) -> Result<Arc<User>, ServiceError> {
        Ok(self.cache.ask(who, Me).await?.0)
    }

    pub async fn person(&self, who: Credential, username: String) -> Result<Arc<User>, ServiceError> {
        Ok(self.cache.ask(who, PersonNamed(username)).await?)
    }

    /// Updates the profile. `None` leaves a field unchanged; `Some(None)` removes the email.
    pub async fn update_profile(
        &self,
        who: Credential,
        display_name: Option<String>,
        email: Option<Option<String>>,
    ) -> Result<Arc<User>, ServiceError> {
        let mut fields = Fields::default();
        let display_name =
            display_name.map(|name| fields.check("display_name", user::parse_display_name(&name)));
        let email = match email {
            Some(Some(email)) => Some(fields.check("email", user::parse_email(&email))),
            Some(None) => Some(None),
            None => None,
        };
        fields.done()?;
        let command = UpdateProfile { who, display_name: display_name.flatten(), email };
        Ok(self.writer.execute(who, command).await?)
    }

    /// Changes the password. All logins of the user end, including the calling one. The answer
    /// proves the new password.
    pub async fn change_password(
        &self,
        who: Credential,
        from: IpAddr,
        current: String,
        new: String,
    ) -> Result<ProvenUser, ServiceError> {
        let mut fields = Fields::default();
        // Before any comparison: a token must not be a way to guess the password.
        access::AccessGrant::person(who.auth_method)?;
        let (me, _) = self.cache.ask(who, Me).await?;
        fields.check("current_password", password::check_size(&current));
        fields.check("new_password", password::check_new(&new, &names_of(&me)));
        fields.done()?;
        self.check_own_password(who, from, current, PasswordField::Current).await?;
        let password_hash = self.passwords.hash(Holder::Account(who.user), new).await?;
        Ok(ProvenUser(self.writer.execute(who, ChangePassword { who, password_hash }).await?))
    }

    /// Deactivates a user, which ends all of the user's access at once, or reactivates the user.
    /// For administrators of the server.
    pub async fn set_user_active(
        &self,
        who: Credential,
        username: String,
        active: bool,
    ) -> Result<Arc<User>, ServiceError> {
        self.cache.ask(who, Administrator).await?;
        let user = self.user_id(who, username).await?;
        Ok(self.writer.execute(who, SetUserActive { who, user, active }).await?)
    }

    /// Ends logins that can no longer be renewed. Returns how many.
    pub async fn end_expired_logins(&self) -> Result<usize, ServiceError> {
        Ok(self.writer.execute(Caller::Server, EndExpiredLogins).await?)
    }
}
