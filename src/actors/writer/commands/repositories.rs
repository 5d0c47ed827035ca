//! Commands about repositories. A row is `creating` until its directory is in place, and `deleting`
//! until its directory is removed. After a crash, the next start uses these states to finish the
//! work.

use std::sync::Arc;

use serde_json::json;

use super::projects::{access, check_room_for_name};
use crate::actors::writer::command::{Command, Execution, Tx};
use crate::core::limits::ROWS_PER_STATEMENT_MAX;
use crate::core::saturate;
use crate::domain::access::Credential;
use crate::domain::event::Event;
use crate::domain::ids::{ProjectId, RepositoryId};
use crate::domain::name::{self, Name};
use crate::domain::node::NodeName;
use crate::domain::permission::project::Act;
use crate::domain::refusal::Refusal;
use crate::domain::repository::{Repository, StorageKey};
use crate::storage::nodes;
use crate::storage::queries::{code_talks, lfs, projects, pushes, repositories};
use crate::storage::rows::project::NewRepositoryRow;
use crate::storage::rows::project::Renamed;

const NAME_TAKEN: Refusal = Refusal::Taken {
    field: "name",
    sentence: "the project has a repository with this name; choose another name",
};

/// The refusal to take repositories of a node that runs.
pub const NODE_RUNS: Refusal =
    Refusal::Conflict("the node runs, or ran within 30 s; stop it, then try again");

/// Reserves a name and a directory for a new repository. It is invisible before
/// [`ActivateRepository`].
pub struct BeginRepository {
    pub who: Credential,
    pub project: ProjectId,
    pub name: Name,
    pub description: String,
    /// `None`: the default of the project settings.
    pub default_branch: Option<String>,
    pub storage_key: StorageKey,
    /// This node, which creates the directory.
    pub storage: Option<NodeName>,
}

impl Command for BeginRepository {
    type Output = Repository;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<Repository> {
        let (project, _) = access(tx, self.who, self.project, None, Act::Maintain)?;
        let name_key = self.name.key();
        if repositories::repository_named(tx.reader(), project.id, &name_key)?.is_some() {
            return Err(NAME_TAKEN.into());
        }
        if repositories::repository_count_of(tx.reader(), project.id)? >= tx.limits.repositories_per_project {
            return Err(Refusal::Conflict(
                "the project has too many repositories; delete a repository first",
            )
            .into());
        }
        let row = NewRepositoryRow {
            project_id: project.id,
            name: self.name.as_str(),
            name_key: &name_key,
            description: &self.description,
            default_branch: self.default_branch.as_deref().unwrap_or(&project.config.default_branch),
            storage_key: &self.storage_key.to_string(),
            state: repositories::CREATING,
            created_at: tx.now.0,
            storage: self.storage.as_ref().map(NodeName::as_str),
        };
        Ok(repositories::insert_repository(tx.write(), &row)?)
    }
}

/// Activates a repository whose directory is in place. Refused if its project was deleted
/// meanwhile.
pub struct ActivateRepository {
    pub repository: RepositoryId,
}

impl Command for ActivateRepository {
    type Output = Arc<Repository>;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<Arc<Repository>> {
        let found = repositories::creating(tx.reader(), self.repository)?;
        let repository = Arc::new(found.ok_or(Refusal::NotFound("repository"))?);
        projects::project(tx.reader(), repository.project_id)?.ok_or(Refusal::NotFound("project"))?;
        repositories::set_state(tx.write(), self.repository, repositories::ACTIVE)?;
        tx.announce(Event::RepositoryChanged { repository: repository.clone() });
        Ok(repository)
    }
}

/// Removes a repository whose directory could not be created: the name is free again.
pub struct AbandonRepository {
    pub repository: RepositoryId,
}

impl Command for AbandonRepository {
    type Output = ();

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<()> {
        if repositories::creating(tx.reader(), self.repository)?.is_some() {
            repositories::delete_repository(tx.write(), self.repository)?;
        }
        Ok(())
    }
}

/// Changes the name, description or default branch of a repository. `None` leaves a field as it is.
pub struct UpdateRepository {
    pub who: Credential,
    pub repository: RepositoryId,
    pub name: Option<Name>,
    pub description: Option<String>,
    pub default_branch: Option<String>,
}

impl Command for UpdateRepository {
    type Output = Arc<Repository>;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<Arc<Repository>> {
        let old = load(tx, self.who, self.repository, Act::Maintain)?;
        let new = Repository {
            name: self.name.as_ref().map_or(old.name.as_str(), Name::as_str).to_owned(),
            description: self.description.as_ref().unwrap_or(&old.description).clone(),
            default_branch: self.default_branch.as_ref().unwrap_or(&old.default_branch).clone(),
            ..old.clone()
        };
        if new == old {
            return Ok(Arc::new(old));
        }
        let (old_key, new_key) = (name::key(&old.name), name::key(&new.name));
        let project = old.project_id;
        let renamed = Renamed::Repository { project, repository: old.id };
        if new_key != old_key && repositories::repository_named(tx.reader(), project, &new_key)?.is_some() {
            return Err(NAME_TAKEN.into());
        }
        if new_key != old_key {
            check_room_for_name(tx, renamed)?;
        }
        let db = tx.write();
        repositories::set_repository(db, old.id, &new.name, &new_key, &new.description, &new.default_branch)?;
        if new_key != old_key {
            projects::leave_name(db, renamed, &old_key)?;
            tx.announce(Event::RepositoryNameLeft {
                project_id: project,
                name_key: old_key,
                repository_id: old.id,
            });
        }
        let detail =
            json!({"name": new.name, "description": new.description, "default_branch": new.default_branch});
        tx.audit(self.who, "repository.update", ("repository", new.id.0), &detail)?;
        let new = Arc::new(new);
        tx.announce(Event::RepositoryChanged { repository: new.clone() });
        Ok(new)
    }
}

/// Deletes a repository. The caller must hold its push lock. Its directory is removed next, then
/// its state becomes `deleted`.
///
/// Invariant: the push lock of another node excludes no push, so a repository of another node is
/// deleted only if that node does not run. A node that only seems to have ended can open no push of
/// a deleted repository ([`OpenPush`](super::OpenPush)). Its row stays `deleting` until that node
/// starts again with the directory, or is replaced ([`MoveRepositories`]).
pub struct DeleteRepository {
    pub who: Credential,
    pub repository: RepositoryId,
    /// This node.
    pub node: Option<NodeName>,
}

impl Command for DeleteRepository {
    type Output = ();

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<()> {
        let repository = load(tx, self.who, self.repository, Act::Manage)?;
        if !repository.is_stored_on(self.node.as_ref())
            && let Some(storage) = &repository.storage
            && nodes::is_running(tx.reader(), storage.as_str())?
        {
            return Err(Refusal::Conflict("another node stores the repository, and runs; try again").into());
        }
        let now = tx.now.0;
        repositories::set_state(tx.write(), repository.id, repositories::DELETING)?;
        let detail = json!({"name": repository.name});
        tx.audit(self.who, "repository.delete", ("repository", repository.id.0), &detail)?;
        // A push to a deleted repository is not announced any more.
        pushes::settle_all_of(tx.write(), repository.id, now)?;
        tx.announce(Event::RepositoryDeleted { repository_id: repository.id });
        Ok(())
    }
}

/// Records that the directory of a deleted repository is removed. Before that, removes the index of
/// messages about its files and the locks of Git LFS, `limits.trimmed_per_command` rows at a time.
/// Returns whether rows are left: send the command again.
pub struct FinishDeletion {
    pub repository: RepositoryId,
}

impl Command for FinishDeletion {
    type Output = bool;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<bool> {
        let limit = tx.limits.trimmed_per_command;
        let removed = code_talks::remove_some(tx.write(), self.repository, limit)?;
        if saturate::to_i64(removed) >= limit {
            return Ok(true);
        }
        let unlocked = lfs::delete_locks_of(tx.write(), self.repository, limit)?;
        if saturate::to_i64(unlocked) >= limit {
            return Ok(true);
        }
        repositories::set_state(tx.write(), self.repository, repositories::DELETED)?;
        Ok(false)
    }
}

/// Records that the repository was packed, and its new size.
pub struct RecordMaintenance {
    pub repository: RepositoryId,
    pub size_bytes: i64,
}

impl Command for RecordMaintenance {
    type Output = ();

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<()> {
        let Some(old) = repositories::repository(tx.reader(), self.repository)? else { return Ok(()) };
        repositories::set_packed(tx.write(), old.id, self.size_bytes)?;
        let repository = Arc::new(Repository { size_bytes: self.size_bytes, ..old });
        tx.announce(Event::RepositoryChanged { repository });
        Ok(())
    }
}

/// Repositories that have another storage node.
#[derive(Debug, Default)]
pub struct Moved {
    /// Those that can be used.
    pub usable: Vec<RepositoryId>,
    /// The number of those that are being deleted.
    pub deleting: usize,
}

/// Makes a node the storage node of repositories of another one that does not run, or of
/// repositories that no node has adopted. The new node also ends the deletions of the old one.
///
/// Invariant: a node that runs loses no repository. A node that only seems to have ended can open
/// no push of a repository that was moved ([`OpenPush`](super::OpenPush)).
pub struct MoveRepositories {
    /// At most [`ROWS_PER_STATEMENT_MAX`].
    pub repositories: Vec<RepositoryId>,
    pub from: Option<NodeName>,
    pub to: NodeName,
}

impl Command for MoveRepositories {
    type Output = Moved;

    fn bytes(&self) -> usize {
        // The events name each repository with its texts.
        1024 * self.repositories.len()
    }

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<Moved> {
        if let Some(from) = &self.from
            && nodes::is_running(tx.reader(), from.as_str())?
        {
            return Err(NODE_RUNS.into());
        }
        let named = self.repositories.get(..ROWS_PER_STATEMENT_MAX).unwrap_or(&self.repositories);
        let moved = repositories::set_storage(tx.write(), named, self.from.as_ref(), &self.to)?;
        let usable = moved.usable.iter().map(|repository| repository.id).collect();
        for repository in moved.usable {
            tx.announce(Event::RepositoryChanged { repository: Arc::new(repository) });
        }
        Ok(Moved { usable, deleting: moved.deleting })
    }
}

/// Returns the repository.
///
/// # Errors
/// A refusal if the caller may not `act` on it.
fn load(tx: &mut Tx<'_>, who: Credential, id: RepositoryId, act: Act) -> Execution<Repository> {
    let repository = repositories::repository(tx.reader(), id)?.ok_or(Refusal::NotFound("repository"))?;
    access(tx, who, repository.project_id, Some(id), act)?;
    Ok(repository)
}
