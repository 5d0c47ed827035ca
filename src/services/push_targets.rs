//! The target of a push: an existing repository, or one that the push creates
//! (`git.push_to_create`).
//!
//! Invariant: a push creates a repository only after its head has been read, and only if it sets a
//! ref with a valid name. Its ref advertisement creates nothing.

use std::sync::Arc;

use super::access::{ProjectPath, RepositoryPath};
use super::repositories::RepositoryRequest;
use super::{ServiceError, Services};
use crate::actors::cache::{RepositoryToPush, RepositoryView};
use crate::domain::access::Credential;
use crate::domain::name::Name;
use crate::domain::push::RefUpdate;
use crate::domain::refusal::Refusal;
use crate::git::program::Service;
use crate::git::push_request::{PushRequest, check_update_name};
use crate::protocol::code::Code;

/// The repository of a push.
pub enum PushTarget {
    Existing(Box<RepositoryView>),
    /// The repository does not exist, and the caller may create it.
    Missing(RepositoryPath),
}

impl PushTarget {
    /// Returns the repository if it exists.
    pub fn existing(&self) -> Option<&RepositoryView> {
        match self {
            Self::Existing(view) => Some(view),
            Self::Missing(_) => None,
        }
    }
}

impl Services {
    /// Returns the repository that the caller may push to, or may create by a push.
    ///
    /// # Errors
    /// Fails if the caller may do neither, or if the name is not valid for a new repository.
    pub async fn push_target(
        &self,
        who: Option<Credential>,
        at: &RepositoryPath,
    ) -> Result<PushTarget, ServiceError> {
        if !self.git.push_to_create {
            let view = self.git_repository(who, at, Service::ReceivePack).await?;
            return Ok(PushTarget::Existing(Box::new(view)));
        }
        let query = RepositoryToPush {
            owner: at.user.clone(),
            project: at.project.clone(),
            repository: at.repo.clone(),
        };
        if let Some(view) = self.ask_as_anyone(who, query).await? {
            return Ok(PushTarget::Existing(Box::new(view)));
        }
        Name::parse(&at.repo).map_err(|invalid| {
            ServiceError::new(Code::Validation, format!("the name of the repository {invalid}"))
        })?;
        Ok(PushTarget::Missing(at.clone()))
    }

    /// Returns the repository of a push whose head has been read. Creates it if it is missing.
    pub(super) async fn settle_target(
        self: &Arc<Self>,
        who: Credential,
        target: PushTarget,
        head: &PushRequest,
    ) -> Result<RepositoryView, ServiceError> {
        let at = match target {
            PushTarget::Existing(view) => return Ok(*view),
            PushTarget::Missing(at) => at,
        };
        let brings_a_ref = |update: &RefUpdate| update.new.is_some() && check_update_name(update).is_ok();
        if !head.updates.iter().any(brings_a_ref) {
            return Err(Refusal::NotFound("repository").into());
        }
        self.git.program()?;
        let project = ProjectPath { user: at.user.clone(), project: at.project.clone() };
        let request = RepositoryRequest { name: at.repo.clone(), description: None, default_branch: None };
        let taken = match self.create_repository(who, &project, request).await {
            Ok(_) => None,
            // Another request created it meanwhile, or the project is full.
            Err(error) if error.code == Code::Conflict => Some(error),
            Err(error) => return Err(error),
        };
        let found = self.git_repository(Some(who), &at, Service::ReceivePack).await;
        found.map_err(|missing| taken.filter(|_| missing.code == Code::NotFound).unwrap_or(missing))
    }
}
