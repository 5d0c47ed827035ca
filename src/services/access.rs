//! Authentication and access checks.
//!
//! This is the only place where credentials become a [`Credential`], and where a project or a
//! repository is looked up with an access check. REST and git both call it.

use std::net::IpAddr;

use super::{ServiceError, Services};
use crate::actors::cache::{ProjectNamed, ProjectView, RepositoryNamed, RepositoryView, TokenHolder};
use crate::core::auth::token::{self, ACCESS_TOKEN_PREFIX};
use crate::domain::access::{AuthMethod, Credential, RequiredScope};
use crate::domain::password;
use crate::domain::permission::project::Act;
use crate::protocol::code::Code;

/// The path `owner/project`, as the client sent it.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct ProjectPath {
    pub user: String,
    pub project: String,
}

/// The path `owner/project/repository`, as the client sent it.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct RepositoryPath {
    pub user: String,
    pub project: String,
    pub repo: String,
}

impl Services {
    /// Returns the credential of a token: a login's access token, or a personal access token that
    /// meets `required_scope`.
    pub async fn bearer(
        &self,
        token: &str,
        required_scope: RequiredScope,
    ) -> Result<Credential, ServiceError> {
        if !token.starts_with(ACCESS_TOKEN_PREFIX) {
            return self.credential(token);
        }
        let hash = token::access_token_hash(token).map_err(|_| ServiceError::unauthenticated())?;
        Ok(self.cache.ask_anonymously(TokenHolder { hash, required_scope }).await?)
    }

    /// Returns the credential of a user name and a password (RFC 7617), as git clients send them.
    /// The password may be a token; then the user name is ignored.
    pub async fn basic(
        &self,
        from: IpAddr,
        username: &str,
        password: String,
    ) -> Result<Credential, ServiceError> {
        if password.starts_with(ACCESS_TOKEN_PREFIX)
            || password.split('.').count() == 3 && password.len() > 100
        {
            return self.bearer(&password, RequiredScope::Identity).await;
        }
        let wrong = || ServiceError::new(Code::Unauthenticated, "the user name or the password is wrong");
        if username.is_empty() || username.len() > 64 || password::check_size(&password).is_err() {
            return Err(wrong());
        }
        let user = self.prove(from, None, username.to_owned(), password).await?.ok_or_else(wrong)?;
        Ok(Credential {
            user: user.id,
            auth_method: AuthMethod::Password { token_version: user.token_version },
        })
    }

    /// Returns the project if the caller may `act` on it.
    pub async fn project(
        &self,
        who: Option<Credential>,
        at: &ProjectPath,
        act: Act,
    ) -> Result<ProjectView, ServiceError> {
        let query = ProjectNamed { owner: at.user.clone(), project: at.project.clone(), act };
        self.ask_as_anyone(who, query).await
    }

    /// Returns the repository if the caller may `act` on it.
    pub async fn repository(
        &self,
        who: Option<Credential>,
        at: &RepositoryPath,
        act: Act,
    ) -> Result<RepositoryView, ServiceError> {
        let query = RepositoryNamed {
            owner: at.user.clone(),
            project: at.project.clone(),
            repository: at.repo.clone(),
            act,
        };
        self.ask_as_anyone(who, query).await
    }

    /// Asks with the caller's credential, or anonymously. Anonymous callers get `unauthenticated`
    /// whether the resource is missing, private or forbidden, so existence does not leak.
    pub(super) async fn ask_as_anyone<Q: crate::actors::cache::Query>(
        &self,
        who: Option<Credential>,
        query: Q,
    ) -> Result<Q::Answer, ServiceError> {
        match who {
            Some(who) => Ok(self.cache.ask(who, query).await?),
            None => {
                self.cache.ask_anonymously(query).await.map_err(|error| match ServiceError::from(error) {
                    ServiceError { code: Code::NotFound | Code::Forbidden, .. } => {
                        ServiceError::unauthenticated()
                    }
                    other => other,
                })
            }
        }
    }
}

/// Returns the credential, or the error `unauthenticated` without one.
pub fn required(who: Option<Credential>) -> Result<Credential, ServiceError> {
    who.ok_or_else(ServiceError::unauthenticated)
}
