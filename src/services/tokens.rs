//! Personal access tokens.

use std::net::IpAddr;
use std::sync::Arc;

use super::access::RepositoryPath;
use super::accounts::Fields;
use super::own_password::PasswordField;
use super::{ServiceError, Services};
use crate::actors::cache::{AccessTokens, RepositoryPaths, TokenUsesToWrite};
use crate::actors::writer::commands::{
    CreateAccessToken, EndExpiredTokens, RecordTokenUses, RevokeAccessToken, WarnOfExpiringTokens,
};
use crate::core::actor::Caller;
use crate::core::auth::token;
use crate::domain::access::{self, AccessToken, AuthMethod, Credential, Scope, parse_token_name};
use crate::domain::ids::{AccessTokenId, RepositoryId};
use crate::domain::permission::project::Act;
use crate::domain::refusal::Refusal;
use crate::domain::text::Invalid;
use crate::domain::timestamp::Timestamp;
use crate::protocol::code::Code;

/// A request to create a token.
#[derive(Debug)]
pub struct TokenRequest {
    pub name: String,
    pub scopes: Vec<Scope>,
    /// Each is `owner/project/repository`; `None` means all.
    pub repositories: Option<Vec<String>>,
    /// `None` means `limits.token_default_days`; 0 means never.
    pub expires_in_days: Option<i64>,
}

/// The maximum lifetime in days of a token that expires: ten years.
const DAYS_MAX: i64 = 3650;
const DAY_SECONDS: i64 = 24 * 3600;
/// Maximum number of token uses written in one command: each is a row.
const USES_PER_COMMAND: usize = 200;

impl Services {
    /// Creates a token for a user who proves presence: by the password, or by a login that began
    /// recently. The token itself is returned here only.
    ///
    /// # Errors
    /// Fails with `fresh_login_required` without either, and with `forbidden` when the password is
    /// wrong. A wrong password delays the next attempt as at login.
    pub async fn create_token(
        &self,
        who: Credential,
        from: IpAddr,
        request: TokenRequest,
        password: Option<String>,
    ) -> Result<(Arc<AccessToken>, String), ServiceError> {
        access::AccessGrant::person(who.auth_method)?;
        let password_proven = password.is_some();
        if let Some(password) = password {
            self.check_own_password(who, from, password, PasswordField::Password).await?;
        }
        self.make_token(who, request, password_proven).await
    }

    pub(super) async fn make_token(
        &self,
        who: Credential,
        request: TokenRequest,
        password_proven: bool,
    ) -> Result<(Arc<AccessToken>, String), ServiceError> {
        let mut fields = Fields::default();
        let name = fields.check("name", parse_token_name(&request.name));
        if request.scopes.is_empty() {
            fields.check::<()>("scopes", Err(Invalid("must name at least one scope")));
        }
        let days = fields.check("expires_in_days", self.token_days(who, request.expires_in_days)).flatten();
        let repositories_max = self.limits.access_token_repositories;
        if request.repositories.as_ref().is_some_and(|list| list.is_empty() || list.len() > repositories_max)
        {
            fields.check::<()>(
                "repositories",
                Err(Invalid("must name at least one repository, and not too many")),
            );
        }
        fields.done()?;
        let Some(name) = name else { return Err(Refusal::invalid("name", "is missing").into()) };
        let repositories = self.chosen_repositories(who, request.repositories).await?;
        let mut scopes = request.scopes;
        scopes.sort_unstable();
        scopes.dedup();
        self.rates.change(who.user, 1)?;
        let secret = token::fresh_access_token();
        let expires_at = days.map(|days| Timestamp::now().plus_seconds(days * DAY_SECONDS));
        let hash = token::hash_of(&secret);
        let command =
            CreateAccessToken { who, name, scopes, repositories, expires_at, hash, password_proven };
        Ok((self.writer.execute(who, command).await?, secret))
    }

    /// Returns the days until a new token expires, or `None` for never, which the operator may
    /// always choose.
    fn token_days(&self, who: Credential, wanted: Option<i64>) -> Result<Option<i64>, Invalid> {
        let may_be_endless = self.accounts.tokens_without_expiry || who.auth_method == AuthMethod::Operator;
        match wanted {
            None => Ok(Some(self.limits.token_default_days)),
            Some(0) if may_be_endless => Ok(None),
            Some(0) => Err(Invalid("must be 1 to 3650 days; this server has no tokens that never expire")),
            Some(days) if (1..=DAYS_MAX).contains(&days) => Ok(Some(days)),
            Some(_) => Err(Invalid("must be 1 to 3650 days, or 0 for never")),
        }
    }

    /// Returns the ids of the repositories that a token is limited to; `None` means all.
    async fn chosen_repositories(
        &self,
        who: Credential,
        paths: Option<Vec<String>>,
    ) -> Result<Option<Vec<RepositoryId>>, ServiceError> {
        let mut repositories = None;
        for path in paths.into_iter().flatten() {
            let missing = || {
                Refusal::invalid(
                    "repositories",
                    "include a repository that does not exist, or that you may not see",
                )
            };
            let mut parts = path.split('/').map(str::to_owned);
            let (Some(user), Some(project), Some(repo), None) =
                (parts.next(), parts.next(), parts.next(), parts.next())
            else {
                return Err(missing().into());
            };
            let at = RepositoryPath { user, project, repo };
            let found =
                self.repository(Some(who), &at, Act::Read).await.map_err(|error| match error.code {
                    Code::NotFound => missing().into(),
                    _ => error,
                })?;
            let chosen = repositories.get_or_insert_with(Vec::new);
            if !chosen.contains(&found.repository.id) {
                chosen.push(found.repository.id);
            }
        }
        Ok(repositories)
    }

    /// Returns whether users may create tokens that never expire.
    pub fn allows_endless_tokens(&self) -> bool {
        self.accounts.tokens_without_expiry
    }

    pub async fn tokens(&self, who: Credential) -> Result<Vec<Arc<AccessToken>>, ServiceError> {
        Ok(self.cache.ask(who, AccessTokens).await?)
    }

    /// Returns the paths of those of these repositories that the caller may read.
    pub async fn repository_paths(
        &self,
        who: Credential,
        ids: Vec<RepositoryId>,
    ) -> Result<Vec<String>, ServiceError> {
        Ok(self.cache.ask(who, RepositoryPaths(ids)).await?)
    }

    pub async fn revoke_token(&self, who: Credential, token: AccessTokenId) -> Result<(), ServiceError> {
        Ok(self.writer.execute(who, RevokeAccessToken { who, token }).await?)
    }

    /// Ends expired tokens. Returns how many.
    pub async fn end_expired_tokens(&self) -> Result<usize, ServiceError> {
        Ok(self.writer.execute(Caller::Server, EndExpiredTokens).await?)
    }

    /// Notifies owners of tokens that expire soon. Returns how many.
    pub async fn warn_of_expiring_tokens(&self) -> Result<usize, ServiceError> {
        Ok(self.writer.execute(Caller::Server, WarnOfExpiringTokens).await?)
    }

    /// Writes the last uses of tokens that the cache has recorded.
    pub async fn write_token_uses(&self) -> Result<(), ServiceError> {
        loop {
            let uses = self.cache.ask_anonymously(TokenUsesToWrite { count: USES_PER_COMMAND }).await?;
            if uses.is_empty() {
                return Ok(());
            }
            self.writer.execute(Caller::Server, RecordTokenUses { uses }).await?;
        }
    }
}
