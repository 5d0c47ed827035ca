//! Who is asking, and may they: the one place where credentials become a [`Credential`], and where projects and
//! repositories are looked up for somebody who wants to do something with them. REST and git ask here alike.

use std::net::IpAddr;

use super::{ServiceError, Services};
use crate::actors::cache::{ProjectNamed, ProjectView, RepositoryNamed, RepositoryView, TokenHolder};
use crate::core::auth::token::{self, ACCESS_TOKEN_PREFIX};
use crate::domain::access::{Credential, Need, Proof};
use crate::domain::password;
use crate::domain::permission::project::Act;
use crate::protocol::code::Code;

/// `owner/project`, as a client wrote it.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct ProjectPath {
    pub user: String,
    pub project: String,
}

/// `owner/project/repository`, as a client wrote it.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct RepositoryPath {
    pub user: String,
    pub project: String,
    pub repo: String,
}

impl Services {
    /// Who a token speaks for: a login's access token, or a personal access token that meets the
    /// need.
    pub async fn bearer(&self, token: &str, need: Need) -> Result<Credential, ServiceError> {
        if !token.starts_with(ACCESS_TOKEN_PREFIX) {
            return self.credential(token);
        }
        let hash = token::access_token_hash(token).map_err(|_| ServiceError::unauthenticated())?;
        Ok(self.cache.ask_anonymously(TokenHolder { hash, need }).await?)
    }

    /// Who a user name and password speak for (RFC 7617), as git clients send them. The password may be a token: then the
    /// name does not matter.
    pub async fn basic(
        &self,
        from: IpAddr,
        username: &str,
        password: String,
    ) -> Result<Credential, ServiceError> {
        if password.starts_with(ACCESS_TOKEN_PREFIX)
            || password.split('.').count() == 3 && password.len() > 100
        {
            return self.bearer(&password, Need::Identity).await;
        }
        let wrong = || ServiceError::new(Code::Unauthenticated, "the user name or the password is wrong");
        if username.is_empty() || username.len() > 64 || password::check_size(&password).is_err() {
            return Err(wrong());
        }
        let user = self.prove(from, None, username.to_owned(), password).await?.ok_or_else(wrong)?;
        Ok(Credential { user: user.id, proof: Proof::Password { token_version: user.token_version } })
    }

    /// The project, if whoever asks may `act` on it.
    pub async fn project(
        &self,
        who: Option<Credential>,
        at: &ProjectPath,
        act: Act,
    ) -> Result<ProjectView, ServiceError> {
        let query = ProjectNamed { owner: at.user.clone(), project: at.project.clone(), act };
        self.ask_as_anyone(who, query).await
    }

    /// The repository, if whoever asks may `act` on it.
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

    /// Asks for somebody or for nobody. Nobody learns nothing: what is missing, private or not allowed is a question for
    /// credentials.
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

/// Somebody must be logged in.
pub fn required(who: Option<Credential>) -> Result<Credential, ServiceError> {
    who.ok_or_else(ServiceError::unauthenticated)
}
