//! Rows of `lfs_objects` and `lfs_locks`.

use diesel::prelude::*;

use super::chat::unreadable;
use crate::domain::file::BlobHash;
use crate::domain::ids::{LfsLockId, LfsObjectId, RepositoryId, UserId};
use crate::domain::lfs::LfsObject;
use crate::storage::schema::{lfs_locks, lfs_objects};

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = lfs_objects)]
pub struct LfsObjectRow {
    pub id: LfsObjectId,
    pub repository_id: RepositoryId,
    pub oid: Vec<u8>,
    pub size: i64,
    pub media_type: String,
}

impl TryFrom<LfsObjectRow> for LfsObject {
    type Error = diesel::result::Error;

    fn try_from(row: LfsObjectRow) -> QueryResult<Self> {
        let oid: Result<[u8; 32], _> = row.oid.try_into();
        Ok(Self {
            id: row.id,
            repository_id: row.repository_id,
            oid: oid.map(BlobHash).map_err(|_| unreadable("lfs_objects.oid", "not 32 bytes"))?,
            size: row.size,
            media_type: row.media_type,
        })
    }
}

#[derive(Debug, Insertable)]
#[diesel(table_name = lfs_objects)]
pub struct NewLfsObjectRow<'a> {
    pub repository_id: RepositoryId,
    pub oid: &'a [u8],
    pub size: i64,
    pub media_type: &'a str,
    pub uploader_id: UserId,
    pub created_at: i64,
}

#[derive(Debug, Insertable)]
#[diesel(table_name = lfs_locks)]
pub struct NewLfsLockRow<'a> {
    pub repository_id: RepositoryId,
    pub path: &'a str,
    pub user_id: UserId,
    pub created_at: i64,
}

/// The locks that a list contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockFilter {
    /// Only locks with larger ids.
    pub above: LfsLockId,
    pub id: Option<LfsLockId>,
    pub path: Option<String>,
}
