//! Git LFS: objects of repositories, and locks of paths.
//!
//! The bytes of an object reach the store before [`AddLfsObject`], and leave it after
//! [`RemoveLfsObjects`].

use serde_json::json;

use super::projects::access;
use crate::actors::writer::Invalidation;
use crate::actors::writer::command::{Command, Execution, Tx};
use crate::domain::access::Credential;
use crate::domain::file::{BlobHash, Contents, charged_bytes};
use crate::domain::ids::{LfsLockId, LfsObjectId, RepositoryId};
use crate::domain::lfs::{LfsLock, LockPath};
use crate::domain::node::NodeName;
use crate::domain::permission::project::{self as permission, Act};
use crate::domain::project::{Project, ProjectRole};
use crate::domain::refusal::Refusal;
use crate::domain::repository::Repository;
use crate::storage::queries::{lfs, repositories};
use crate::storage::rows::lfs::{NewLfsLockRow, NewLfsObjectRow};

/// Returns a repository that the caller may push to.
fn pushable(
    tx: &mut Tx<'_>,
    who: Credential,
    id: RepositoryId,
) -> Execution<(Repository, Project, Option<ProjectRole>)> {
    let repository = repositories::repository(tx.reader(), id)?.ok_or(Refusal::NotFound("repository"))?;
    let (project, role) = access(tx, who, repository.project_id, Some(id), Act::Push)?;
    Ok((repository, project, role))
}

fn bytes_of(limit: u64) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// Gives a repository an object whose bytes are in the store of this node. Does nothing if the
/// repository has it.
pub struct AddLfsObject {
    pub who: Credential,
    pub repository: RepositoryId,
    pub contents: Contents,
    pub size: i64,
    /// This node, which has the bytes.
    pub node: Option<NodeName>,
    /// Verdict of the versions of all nodes.
    pub is_known_to_nodes: Result<(), Refusal>,
}

impl Command for AddLfsObject {
    type Output = ();
    const INVALIDATION: Invalidation = Invalidation::ChatEvents;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<()> {
        let (repository, project, _) = pushable(tx, self.who, self.repository)?;
        self.is_known_to_nodes.clone()?;
        if !repository.is_stored_on(self.node.as_ref()) {
            return Err(Refusal::Conflict("another node stores the repository now; push again").into());
        }
        if lfs::object(tx.reader(), repository.id, &self.contents.hash)?.is_some() {
            return Ok(());
        }
        let (limits, more) = (tx.limits, charged_bytes(self.size));
        let of_repository = lfs::usage_of(tx.reader(), repository.id)?.saturating_add(more);
        if of_repository > bytes_of(limits.lfs_repository_bytes) {
            return Err(Refusal::TooLarge(
                "the Git LFS objects of the repository would hold more than the server allows; ask the operator \
                 (limits.lfs_repository_bytes)",
            )
            .into());
        }
        let of_owner = lfs::usage_of_owner(tx.reader(), project.owner_id)?.saturating_add(more);
        if of_owner > bytes_of(limits.lfs_account_bytes) {
            return Err(Refusal::TooLarge(
                "the Git LFS objects of all repositories of the owner would hold more than the server allows; ask \
                 the operator (limits.lfs_account_bytes)",
            )
            .into());
        }
        let row = NewLfsObjectRow {
            repository_id: repository.id,
            oid: &self.contents.hash.0,
            size: self.size,
            media_type: &self.contents.media_type,
            uploader_id: self.who.user,
            created_at: tx.now.0,
        };
        Ok(lfs::insert_object(tx.write(), &row)?)
    }
}

/// Removes those of the objects whose repository is deleted. Returns their hashes, so that their
/// bytes can be removed.
pub struct RemoveLfsObjects {
    pub objects: Vec<LfsObjectId>,
}

impl Command for RemoveLfsObjects {
    type Output = Vec<BlobHash>;
    const INVALIDATION: Invalidation = Invalidation::ChatEvents;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<Vec<BlobHash>> {
        Ok(lfs::remove_objects(tx.write(), &self.objects)?)
    }
}

/// Locks a path of a repository for the caller.
pub struct CreateLfsLock {
    pub who: Credential,
    pub repository: RepositoryId,
    pub path: LockPath,
    /// Verdict of the rate limiter.
    pub within_rate: Result<(), Refusal>,
}

/// The lock of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedLock {
    pub lock: LfsLock,
    /// Whether the path had this lock before: of any user.
    pub existed: bool,
}

impl Command for CreateLfsLock {
    type Output = CreatedLock;
    const INVALIDATION: Invalidation = Invalidation::ChatEvents;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<CreatedLock> {
        let (repository, ..) = pushable(tx, self.who, self.repository)?;
        if let Some(lock) = lfs::lock_of_path(tx.reader(), repository.id, self.path.as_str())? {
            return Ok(CreatedLock { lock, existed: true });
        }
        self.within_rate.clone()?;
        if lfs::lock_count(tx.reader(), repository.id)? >= tx.limits.lfs_locks_per_repository {
            return Err(Refusal::Conflict(
                "the repository has too many locks; remove some, or ask the operator \
                 (limits.lfs_locks_per_repository)",
            )
            .into());
        }
        let row = NewLfsLockRow {
            repository_id: repository.id,
            path: self.path.as_str(),
            user_id: self.who.user,
            created_at: tx.now.0,
        };
        let id = lfs::insert_lock(tx.write(), &row)?;
        let lock = lfs::lock(tx.reader(), repository.id, id)?.ok_or(Refusal::NotFound("lock"))?;
        Ok(CreatedLock { lock, existed: false })
    }
}

/// Removes a lock. `is_forced`: also that of another user. Returns the lock.
pub struct DeleteLfsLock {
    pub who: Credential,
    pub repository: RepositoryId,
    pub lock: LfsLockId,
    pub is_forced: bool,
}

impl Command for DeleteLfsLock {
    type Output = LfsLock;
    const INVALIDATION: Invalidation = Invalidation::ChatEvents;

    fn execute(&self, tx: &mut Tx<'_>) -> Execution<LfsLock> {
        let (repository, _, role) = pushable(tx, self.who, self.repository)?;
        let found = lfs::lock(tx.reader(), repository.id, self.lock)?;
        let lock = found.ok_or(Refusal::NotFound("lock"))?;
        let is_own = lock.user_id == self.who.user;
        permission::unlock(role, is_own, self.is_forced)?;
        lfs::delete_lock(tx.write(), lock.id)?;
        if !is_own {
            let detail = json!({"path": lock.path, "user_id": lock.user_id});
            tx.audit(self.who, "lfs.unlock", ("repository", repository.id.0), &detail)?;
        }
        Ok(lock)
    }
}
