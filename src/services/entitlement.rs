//! Rechecks the access of running transfers, and ends those whose client lost it.
//!
//! Each transfer has a task that repeats the access query of its start every
//! `limits.git_access_ms`: one message to the cache actor at a time. If the cache is too busy to
//! reply, the transfer continues.

use std::time::Duration;

use tokio_util::sync::{CancellationToken, DropGuard};

use super::access::RepositoryPath;
use super::{ServiceError, Services};
use crate::actors::cache::{CacheHandle, RepositoryNamed, RepositoryView};
use crate::core::telemetry::chain;
use crate::domain::access::Credential;
use crate::domain::ids::RepositoryId;
use crate::domain::permission::project::Act;
use crate::protocol::code::Code;

/// The access that a transfer needs.
pub(super) struct Entitlement {
    cache: CacheHandle,
    who: Option<Credential>,
    at: RepositoryPath,
    repository: RepositoryId,
    act: Act,
    every: Duration,
}

impl Services {
    /// Returns the access of a transfer that has begun.
    pub(super) fn entitlement(
        &self,
        who: Option<Credential>,
        view: &RepositoryView,
        act: Act,
    ) -> Entitlement {
        let at = RepositoryPath {
            user: view.owner.clone(),
            project: view.project.name.to_string(),
            repo: view.repository.name.to_string(),
        };
        let every = Duration::from_millis(self.limits.git_access_ms.max(1));
        Entitlement { cache: self.cache.clone(), who, at, repository: view.repository.id, act, every }
    }
}

impl Entitlement {
    /// Resolves when the access is lost.
    pub(super) async fn lost(self) {
        loop {
            tokio::time::sleep(self.every).await;
            match self.ask().await {
                Ok(view) if view.repository.id == self.repository => {}
                // Another repository has this name now.
                Ok(_) => break,
                Err(ServiceError {
                    code: Code::Unauthenticated | Code::Forbidden | Code::NotFound, ..
                }) => break,
                Err(error) => {
                    tracing::debug!(error = %chain(&error), "cannot check the access of a transfer")
                }
            }
        }
        let RepositoryPath { user, project, repo } = &self.at;
        let user_id = self.who.map(|who| who.user.0);
        tracing::info!(user_id, "ending a transfer of {user}/{project}/{repo}: its client lost access");
    }

    async fn ask(&self) -> Result<RepositoryView, ServiceError> {
        let RepositoryPath { user, project, repo } = self.at.clone();
        let query = RepositoryNamed { owner: user, project, repository: repo, act: self.act };
        Ok(match self.who {
            Some(who) => self.cache.ask(who, query).await?,
            None => self.cache.ask_anonymously(query).await?,
        })
    }

    /// Cancels `end` when the access is lost. The checks stop when the guard is dropped.
    pub(super) fn watch(self, end: CancellationToken) -> DropGuard {
        let over = CancellationToken::new();
        let watched = over.clone();
        tokio::spawn(async move {
            if watched.run_until_cancelled(self.lost()).await.is_some() {
                end.cancel();
            }
        });
        over.drop_guard()
    }
}
