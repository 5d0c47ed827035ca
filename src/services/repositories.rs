//! Creation, change and deletion of repositories.

use std::sync::Arc;

use super::access::{ProjectPath, RepositoryPath};
use super::accounts::Fields;
use super::blocking::blocking;
use super::{ServiceError, Services};
use crate::actors::cache::{Repositories, RepositoryNamed, RepositoryView};
use crate::actors::writer::commands::{
    AbandonRepository, ActivateRepository, BeginRepository, DeleteRepository, UpdateRepository,
};
use crate::core::actor::Caller;
use crate::core::database::Db;
use crate::core::fail_points;
use crate::core::shares::Holder;
use crate::core::telemetry::chain;
use crate::domain::access::Credential;
use crate::domain::ids::ProjectId;
use crate::domain::name::Name;
use crate::domain::page::Page;
use crate::domain::permission::project::Act;
use crate::domain::project::{check_branch_name, parse_description};
use crate::domain::refusal::Refusal;
use crate::domain::repository::{Repository, StorageKey};
use crate::domain::text::Invalid;
use crate::git::history;
use crate::git::store::StoreError;
use crate::protocol::code::Code;
use crate::storage::nodes;

/// A request to create a repository.
#[derive(Debug)]
pub struct RepositoryRequest {
    pub name: String,
    pub description: Option<String>,
    pub default_branch: Option<String>,
}

/// A requested change; `None` leaves a field unchanged.
#[derive(Debug, Default)]
pub struct RepositoryChange {
    pub name: Option<String>,
    pub description: Option<String>,
    pub default_branch: Option<String>,
}

impl Services {
    pub async fn create_repository(
        self: &Arc<Self>,
        who: Credential,
        at: &ProjectPath,
        request: RepositoryRequest,
    ) -> Result<RepositoryView, ServiceError> {
        let project = self.project(Some(who), at, Act::Maintain).await?;
        let mut fields = Fields::default();
        let name = fields.check("name", Name::parse(&request.name));
        let description =
            fields.check("description", parse_description(request.description.as_deref().unwrap_or("")));
        if let Some(branch) = &request.default_branch {
            fields.check("default_branch", check_branch_name(branch).map_err(Invalid::from));
        }
        fields.done()?;
        let (Some(name), Some(description)) = (name, description) else {
            return Err(Refusal::invalid("name", "is missing").into());
        };
        self.rates.change(who.user, 1)?;
        let lock = self.git.creation_lock(project.project.id).await?;
        let begin = BeginRepository {
            who,
            project: project.project.id,
            name,
            description,
            default_branch: request.default_branch,
            storage_key: StorageKey::fresh(),
            storage: self.git.node.clone(),
        };
        // In a separate task: a client that disconnects must not leave half a repository.
        let services = self.clone();
        let made = actix_web::rt::spawn(async move {
            let _lock = lock;
            services.make(begin).await
        });
        let made = made.await;
        let repository = made.map_err(ServiceError::internal)??;
        let query = RepositoryNamed {
            owner: project.owner,
            project: project.project.name.clone(),
            repository: repository.name.clone(),
            act: Act::Read,
        };
        Ok(self.cache.ask(who, query).await?)
    }

    /// Creates the row, then the directory, then activates the row. The next start rolls back the
    /// rest of a crash in between.
    async fn make(&self, begin: BeginRepository) -> Result<Arc<Repository>, ServiceError> {
        let repository = self.writer.execute(begin.who, begin).await?;
        let (store, key) = (self.git.store.clone(), repository.storage_key);
        let branch = repository.default_branch.clone();
        let make = move || {
            fail_points::reach(fail_points::BEFORE_DIRECTORY);
            store.create(key, &branch)
        };
        let made = blocking(make).await.and_then(|made| made.map_err(ServiceError::from));
        let has_directory = made.is_ok();
        let outcome = match made {
            Ok(()) => {
                let activate = ActivateRepository { repository: repository.id };
                self.writer.execute(Caller::Server, activate).await.map_err(ServiceError::from)
            }
            Err(error) => Err(error),
        };
        // If the outcome of the row is unknown, the reconciler decides. Without a directory the
        // name becomes free again.
        if let Err(error) = &outcome
            && (error.code != Code::Internal || !has_directory)
        {
            self.writer.execute(Caller::Server, AbandonRepository { repository: repository.id }).await?;
            let store = self.git.store.clone();
            let gone = blocking(move || store.discard(key)).await;
            if !matches!(gone, Ok(Ok(()))) {
                tracing::warn!(repository.id = %repository.id, "cannot remove the directory of an abandoned repository");
            }
        }
        outcome
    }

    /// Returns a project's repositories, sorted by name.
    pub async fn repositories(
        &self,
        who: Option<Credential>,
        project: ProjectId,
        after: String,
        limit: usize,
    ) -> Result<Page<RepositoryView>, ServiceError> {
        self.ask_as_anyone(who, Repositories { project, after, limit }).await
    }

    pub async fn update_repository(
        &self,
        who: Credential,
        at: &RepositoryPath,
        change: RepositoryChange,
    ) -> Result<RepositoryView, ServiceError> {
        let view = self.repository(Some(who), at, Act::Maintain).await?;
        let mut fields = Fields::default();
        let name = change.name.map(|name| fields.check("name", Name::parse(&name)));
        let description =
            change.description.map(|text| fields.check("description", parse_description(&text)));
        if let Some(branch) = &change.default_branch {
            let named = fields.check("default_branch", check_branch_name(branch).map_err(Invalid::from));
            if named.is_some() && !self.can_be_default(&view.repository, branch).await? {
                fields.check::<()>("default_branch", Err(Invalid("is not a branch of this repository")));
            }
        }
        fields.done()?;
        self.rates.change(who.user, 1)?;
        let command = UpdateRepository {
            who,
            repository: view.repository.id,
            name: name.flatten(),
            description: description.flatten(),
            default_branch: change.default_branch,
        };
        let repository = self.writer.execute(who, command).await?;
        let query = RepositoryNamed {
            owner: view.owner,
            project: view.project.name.clone(),
            repository: repository.name.clone(),
            act: Act::Read,
        };
        Ok(self.cache.ask(who, query).await?)
    }

    async fn can_be_default(&self, repository: &Repository, branch: &str) -> Result<bool, ServiceError> {
        self.git.check_stored_here(repository)?;
        let (store, key, branch) = (self.git.store.clone(), repository.storage_key, branch.to_owned());
        let found =
            blocking(move || Ok::<_, StoreError>(history::can_be_default(&store.existing(key)?, &branch)?));
        Ok(found.await??)
    }

    pub async fn delete_repository(&self, who: Credential, at: &RepositoryPath) -> Result<(), ServiceError> {
        let repository = self.repository(Some(who), at, Act::Manage).await?.repository;
        self.rates.change(who.user, 1)?;
        self.check_no_other_node_pushes(who, &repository).await?;
        let _lock = self.git.push_lock(repository.id).await?;
        // The result of an interrupted push is announced if it can still be computed. Without the
        // directory it cannot.
        if self.git.stores(&repository)
            && let Err(error) = self.settle_pending_of(repository.id).await
        {
            tracing::warn!(repository.id = %repository.id, error = %chain(&error), "a push to a repository that is being deleted was not settled");
        }
        let command = DeleteRepository { who, repository: repository.id, node: self.git.node.clone() };
        self.writer.execute(who, command).await?;
        self.git.maintain_soon();
        Ok(())
    }

    /// Checks that the storage node is this node or does not run: the push lock of this node
    /// excludes no push of another. [`DeleteRepository`] checks it again.
    ///
    /// # Errors
    /// [`Code::Overloaded`], as for all requests that need the files.
    async fn check_no_other_node_pushes(
        &self,
        who: Credential,
        repository: &Repository,
    ) -> Result<(), ServiceError> {
        let Some(storage) = repository.storage.clone() else { return Ok(()) };
        if self.git.stores(repository) {
            return Ok(());
        }
        let read = move |db: &mut Db| nodes::is_running(db, storage.as_str());
        if self.readers.read(Holder::Account(who.user), read).await? {
            self.git.check_stored_here(repository)?;
        }
        Ok(())
    }
}
