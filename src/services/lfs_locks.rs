//! Locks of Git LFS: a user keeps the others from changing a file that cannot be merged.
//!
//! The Git LFS client honours locks: it refuses to push changes of files that others have locked.
//! The server does not compare pushes with locks.

use super::{ServiceError, Services};
use crate::actors::cache::RepositoryView;
use crate::actors::writer::commands::{CreateLfsLock, CreatedLock, DeleteLfsLock};
use crate::core::saturate;
use crate::domain::access::Credential;
use crate::domain::ids::LfsLockId;
use crate::domain::lfs::{LfsLock, LockPath};
use crate::domain::refusal::Refusal;
use crate::storage::queries::lfs;
use crate::storage::rows::lfs::LockFilter;

/// The locks that a client requests.
#[derive(Debug, Clone, Default)]
pub struct LockRequest {
    pub path: Option<String>,
    pub id: Option<LfsLockId>,
    /// The id of the last lock of the page before.
    pub after: Option<LfsLockId>,
    pub limit: Option<usize>,
}

/// A page of locks.
#[derive(Debug, Clone)]
pub struct LockPage {
    pub locks: Vec<LfsLock>,
    /// Continues after this lock; `None` on the last page.
    pub next: Option<LfsLockId>,
}

impl Services {
    /// Locks a path for the caller. An existing lock is returned as it is.
    pub async fn create_lfs_lock(
        &self,
        who: Credential,
        view: &RepositoryView,
        path: &str,
    ) -> Result<CreatedLock, ServiceError> {
        self.files.check_lfs_versions()?;
        let path = LockPath::parse(path).map_err(|reason| Refusal::Invalid { field: "path", reason })?;
        let within_rate = self.rates.message(who.user);
        let command = CreateLfsLock { who, repository: view.repository.id, path, within_rate };
        let created = self.writer.execute(who, command).await?;
        if !created.existed {
            self.files.metrics.lfs.locks_created.inc();
        }
        Ok(created)
    }

    /// Removes a lock. `is_forced`: also that of another user, for maintainers.
    pub async fn delete_lfs_lock(
        &self,
        who: Credential,
        view: &RepositoryView,
        lock: LfsLockId,
        is_forced: bool,
    ) -> Result<LfsLock, ServiceError> {
        let command = DeleteLfsLock { who, repository: view.repository.id, lock, is_forced };
        let removed = self.writer.execute(who, command).await?;
        self.files.metrics.lfs.locks_removed.inc();
        Ok(removed)
    }

    /// Returns locks of a repository that the caller may read.
    pub async fn lfs_locks(
        &self,
        view: &RepositoryView,
        request: LockRequest,
    ) -> Result<LockPage, ServiceError> {
        let most = self.limits.page_max;
        let limit = request.limit.unwrap_or(most).clamp(1, most);
        let filter =
            LockFilter { above: request.after.unwrap_or(LfsLockId(0)), id: request.id, path: request.path };
        let (repository, count) = (view.repository.id, saturate::to_i64(limit).saturating_add(1));
        let read = move |db: &mut _| lfs::locks(db, repository, &filter, count);
        let mut locks = self.readers.read(view.holder, read).await?;
        let is_cut = locks.len() > limit;
        locks.truncate(limit);
        let next = locks.last().map(|lock| lock.id).filter(|_| is_cut);
        Ok(LockPage { locks, next })
    }
}
