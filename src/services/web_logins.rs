//! Logins of browsers by a secret in a cookie, and the list of a user's logins.
//!
//! A web login is a login: logout, a new password, deactivation and `limits.logins_per_user` end it
//! at once. Its secret is opaque, does not rotate, and is found by its hash in the directory.

use std::net::IpAddr;
use std::sync::Arc;

use super::accounts::{NewAccount, ProvenUser};
use super::{ServiceError, Services};
use crate::actors::cache::{Me, WebLoginHolder, WebLoginUsesToWrite};
use crate::actors::writer::commands::{EndOwnLogin, LoginSecret, RecordWebLoginUses, StartLogin};
use crate::core::actor::Caller;
use crate::core::auth::web_secret::{WebSecret, web_secret_hash};
use crate::core::database::Db;
use crate::core::shares::Holder;
use crate::domain::access::{AccessGrant, Credential};
use crate::domain::ids::LoginId;
use crate::domain::login::{Login, LoginClient};
use crate::domain::timestamp::Timestamp;
use crate::domain::user::User;
use crate::storage::queries::logins;

/// How long a browser keeps the cookie of a login: the longest that browsers accept (RFC 6265bis,
/// 400 days). The server decides when the login expires, so a use does not send the cookie again.
const COOKIE_SECONDS: i64 = 400 * 24 * 3600;
/// Maximum number of logins in a list: the largest `limits.logins_per_user`.
const LISTED_MAX: i64 = 1_000;
/// Maximum number of login uses written in one command: each is a row.
const USES_PER_COMMAND: usize = 200;

/// A started web login.
pub struct WebLogin {
    /// The value of the cookie: 256 random bits in base64url.
    pub secret: String,
    pub user: Arc<User>,
    /// The `Max-Age` of the cookie, in seconds.
    pub max_age: i64,
}

/// An open login in the list of its user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginView {
    pub login: Login,
    /// Whether the caller uses this login.
    pub current: bool,
}

impl Services {
    /// Checks the password and starts the login of a browser. `device` is its `User-Agent`.
    ///
    /// # Errors
    /// Those of [`Services::login`], with the same delays.
    pub async fn web_login(
        &self,
        from: IpAddr,
        device: &str,
        username: String,
        password: String,
    ) -> Result<WebLogin, ServiceError> {
        let user = self.prove_login(from, username, password).await?;
        self.start_web_login(user, LoginClient::new(device, from)).await
    }

    /// Registers a user and starts the login of the user's browser.
    ///
    /// # Errors
    /// Those of [`Services::register`]. If the login alone fails, the user exists and can log in.
    pub async fn register_and_log_in(
        &self,
        from: IpAddr,
        device: &str,
        new: NewAccount,
    ) -> Result<WebLogin, ServiceError> {
        let user = self.register(from, new).await?;
        self.start_web_login(user, LoginClient::new(device, from)).await
    }

    /// Starts the login of a browser whose user has just changed the password.
    pub async fn log_in_again(
        &self,
        from: IpAddr,
        device: &str,
        user: ProvenUser,
    ) -> Result<WebLogin, ServiceError> {
        self.start_web_login(user.0, LoginClient::new(device, from)).await
    }

    async fn start_web_login(&self, user: Arc<User>, client: LoginClient) -> Result<WebLogin, ServiceError> {
        let secret = WebSecret::fresh();
        let command = StartLogin {
            user: user.id,
            token_version: user.token_version,
            secret: LoginSecret::Web(secret.hash()),
            client,
        };
        self.writer.execute(user.id, command).await?;
        Ok(WebLogin { secret: secret.into_text(), user, max_age: COOKIE_SECONDS })
    }

    /// Returns the credential of a web login by its secret, and notes the use.
    ///
    /// # Errors
    /// Fails with `unauthenticated` if no open login has the secret.
    pub async fn web_credential(&self, secret: &str) -> Result<Credential, ServiceError> {
        let hash = web_secret_hash(secret).map_err(|_| ServiceError::unauthenticated())?;
        Ok(self.cache.ask_anonymously(WebLoginHolder { hash }).await?)
    }

    /// Returns the caller's open logins, the last used first.
    pub async fn logins(&self, who: Credential) -> Result<Vec<LoginView>, ServiceError> {
        AccessGrant::person(who.auth_method)?;
        // The list is read from the database, so the cache checks the caller.
        self.cache.ask(who, Me).await?;
        let (holder, user) = (Holder::Account(who.user), who.user);
        // A task ends expired logins once an hour.
        let open = move |db: &mut Db| logins::open_of(db, user, Timestamp::now(), LISTED_MAX);
        let current = who.auth_method.login();
        let view = |login: Login| LoginView { current: current == Some(login.id), login };
        Ok(self.readers.read(holder, open).await?.into_iter().map(view).collect())
    }

    /// Ends one login of the caller, which may be the current one. Its sessions end.
    ///
    /// # Errors
    /// Fails with `not_found` if the login has ended or is not the caller's.
    pub async fn end_login_by_id(&self, who: Credential, login: LoginId) -> Result<(), ServiceError> {
        Ok(self.writer.execute(who, EndOwnLogin { who, login }).await?)
    }

    /// Writes the last uses of web logins that the cache has recorded.
    pub async fn write_web_login_uses(&self) -> Result<(), ServiceError> {
        loop {
            let uses = self.cache.ask_anonymously(WebLoginUsesToWrite { count: USES_PER_COMMAND }).await?;
            if uses.is_empty() {
                return Ok(());
            }
            self.writer.execute(Caller::Server, RecordWebLoginUses { uses }).await?;
        }
    }
}
