//! Personal access tokens.

use std::sync::Arc;

use super::access::RepositoryPath;
use super::accounts::Fields;
use super::{ServiceError, Services};
use crate::actors::cache::AccessTokens;
use crate::actors::writer::commands::{CreateAccessToken, EndExpiredTokens, RevokeAccessToken};
use crate::core::actor::Who;
use crate::core::auth::token;
use crate::domain::access::{AccessToken, Credential, Scope, parse_token_name};
use crate::domain::ids::AccessTokenId;
use crate::domain::permission::project::Act;
use crate::domain::refusal::Refusal;
use crate::domain::timestamp::Timestamp;
use crate::domain::user::Invalid;
use crate::protocol::code::Code;

/// A token that somebody wants.
#[derive(Debug)]
pub struct TokenRequest {
    pub name: String,
    pub scopes: Vec<Scope>,
    /// `owner/project/repository` each; `None`: all.
    pub repositories: Option<Vec<String>>,
    pub expires_in_days: Option<i64>,
}

/// The longest life of a token that expires at all: ten years.
const DAYS_MAX: i64 = 3650;
const DAY_SECONDS: i64 = 24 * 3600;

impl Services {
    /// The token itself is in this answer and nowhere else.
    pub async fn create_token(
        &self,
        who: Credential,
        request: TokenRequest,
    ) -> Result<(Arc<AccessToken>, String), ServiceError> {
        let mut fields = Fields::default();
        let name = fields.check("name", parse_token_name(&request.name));
        if request.scopes.is_empty() {
            fields.check::<()>("scopes", Err(Invalid("must name at least one scope")));
        }
        if request.expires_in_days.is_some_and(|days| !(1..=DAYS_MAX).contains(&days)) {
            fields.check::<()>("expires_in_days", Err(Invalid("must be 1 to 3650 days")));
        }
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
        let mut repositories = None;
        for path in request.repositories.into_iter().flatten() {
            let missing = || Refusal::invalid("repositories", "name one that does not exist");
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
        let mut scopes = request.scopes;
        scopes.sort_unstable();
        scopes.dedup();
        self.rates.change(who.user, 1)?;
        let secret = token::fresh_access_token();
        let expires_at =
            request.expires_in_days.map(|days| Timestamp::now().plus_seconds(days * DAY_SECONDS));
        let hash = token::hash_of(&secret);
        let command = CreateAccessToken { who, name, scopes, repositories, expires_at, hash };
        Ok((self.writer.execute(Who::User(who.user.0), command).await?, secret))
    }

    pub async fn tokens(&self, who: Credential) -> Result<Vec<Arc<AccessToken>>, ServiceError> {
        Ok(self.cache.ask(who, AccessTokens).await?)
    }

    pub async fn revoke_token(&self, who: Credential, token: AccessTokenId) -> Result<(), ServiceError> {
        Ok(self.writer.execute(Who::User(who.user.0), RevokeAccessToken { who, token }).await?)
    }

    /// Ends tokens that have expired; answers how many.
    pub async fn end_expired_tokens(&self) -> Result<usize, ServiceError> {
        Ok(self.writer.execute(Who::Server, EndExpiredTokens).await?)
    }
}
