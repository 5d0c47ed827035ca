//! Removal of objects of deleted repositories, and of bytes that a crash left; which objects of a
//! repository are missing here.

use std::time::Duration;

use super::blocking::blocking;
use super::uploads::io_error;
use super::{ServiceError, Services};
use crate::actors::writer::commands::RemoveLfsObjects;
use crate::core::actor::Caller;
use crate::core::fail_points;
use crate::core::saturate;
use crate::core::shares::Holder;
use crate::domain::ids::{LfsObjectId, RepositoryId};
use crate::storage::queries::lfs;

/// Objects of one command.
const REMOVED_PER_COMMAND: i64 = 100;
/// Objects that are read with one statement.
const ROWS_PER_READ: i64 = 500;

impl Services {
    /// Removes the objects of deleted repositories that this node stored, and their bytes if no
    /// other row names them. Of a node that does not run, it removes the rows: that node finds the
    /// bytes when it starts again.
    /// Does nothing while a backup runs: it copies the bytes of the rows that it has read.
    pub(super) async fn remove_lfs_objects(&self) -> Result<(), ServiceError> {
        loop {
            let node = self.files.node.clone();
            let read = move |db: &mut _| lfs::removable(db, node.as_ref(), REMOVED_PER_COMMAND);
            let objects = self.readers.read(Holder::Operator, read).await?;
            if objects.is_empty() {
                return Ok(());
            }
            self.check_store().await?;
            let Some(_lock) = self.removal_lock().await? else { return Ok(()) };
            let removed = self.writer.execute(Caller::Server, RemoveLfsObjects { objects }).await?;
            if removed.is_empty() {
                return Ok(());
            }
            fail_points::reach(fail_points::BEFORE_BLOB_REMOVAL);
            self.files.metrics.lfs.removed.inc_by(saturate::to_u64(removed.len()));
            self.remove_unused(removed, None).await?;
            self.let_uploads_in().await;
        }
    }

    /// Removes the bytes of uploads that a crash has interrupted.
    pub(super) async fn sweep_lfs_uploads(&self) -> Result<(), ServiceError> {
        let age = Duration::from_secs(self.limits.lfs_staged_seconds);
        let uploads = self.files.incoming.clone();
        let (removed, kept) = blocking(move || uploads.remove_older(age)).await?.map_err(io_error)?;
        let metrics = &self.files.metrics.lfs;
        metrics.abandoned.inc_by(saturate::to_u64(removed));
        metrics.staged.set(saturate::to_i64(kept));
        Ok(())
    }

    /// Returns how many objects of these repositories do not have all bytes on this node.
    pub(super) async fn missing_lfs_objects(
        &self,
        repositories: &[RepositoryId],
    ) -> Result<usize, ServiceError> {
        let mut missing = 0;
        for repository in repositories.iter().copied() {
            let mut above = LfsObjectId(0);
            loop {
                let read = move |db: &mut _| lfs::objects_of(db, repository, above, ROWS_PER_READ);
                let found = self.readers.read(Holder::Operator, read).await?;
                let Some(last) = found.last() else { break };
                above = last.id;
                missing += self.with_bytes(found).await?.iter().filter(|(_, is_stored)| !is_stored).count();
            }
        }
        Ok(missing)
    }
}
