//! Queries of objects and locks of Git LFS.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::Db;
use super::given::given;
use super::repositories::DELETED;
use crate::domain::file::{BlobHash, charged_bytes};
use crate::domain::ids::{LfsLockId, LfsObjectId, RepositoryId, UserId};
use crate::domain::lfs::{LfsLock, LfsObject};
use crate::domain::node::NodeName;
use crate::domain::timestamp::Timestamp;
use crate::storage::nodes;
use crate::storage::rows::lfs::{LfsObjectRow, LockFilter, NewLfsLockRow, NewLfsObjectRow};
use crate::storage::schema::{lfs_locks, lfs_objects, repositories, users};

/// Returns the object, if the repository has it.
pub fn object(db: &mut Db, repository: RepositoryId, oid: &BlobHash) -> QueryResult<Option<LfsObject>> {
    let row = lfs_objects::table
        .filter(lfs_objects::repository_id.eq(repository))
        .filter(lfs_objects::oid.eq(&oid.0[..]))
        .select(LfsObjectRow::as_select())
        .first(db)
        .optional()?;
    row.map(LfsObject::try_from).transpose()
}

/// Returns those of the objects that the repository has, in any order.
pub fn objects_among(
    db: &mut Db,
    repository: RepositoryId,
    oids: &[BlobHash],
) -> QueryResult<Vec<LfsObject>> {
    let oids: Vec<&[u8]> = oids.iter().map(|oid| &oid.0[..]).collect();
    let rows: Vec<LfsObjectRow> = lfs_objects::table
        .filter(lfs_objects::repository_id.eq(repository))
        .filter(lfs_objects::oid.eq_any(oids))
        .select(LfsObjectRow::as_select())
        .load(db)?;
    rows.into_iter().map(LfsObject::try_from).collect()
}

/// Returns objects of all repositories with larger ids, in ascending order.
pub fn objects_above(db: &mut Db, id: LfsObjectId, limit: i64) -> QueryResult<Vec<LfsObject>> {
    let rows: Vec<LfsObjectRow> = lfs_objects::table
        .filter(lfs_objects::id.gt(id))
        .order(lfs_objects::id)
        .limit(limit)
        .select(LfsObjectRow::as_select())
        .load(db)?;
    rows.into_iter().map(LfsObject::try_from).collect()
}

/// Returns objects of a repository with larger ids, in ascending order.
pub fn objects_of(
    db: &mut Db,
    repository: RepositoryId,
    above: LfsObjectId,
    limit: i64,
) -> QueryResult<Vec<LfsObject>> {
    let rows: Vec<LfsObjectRow> = lfs_objects::table
        .filter(lfs_objects::repository_id.eq(repository))
        .filter(lfs_objects::id.gt(above))
        .order(lfs_objects::id)
        .limit(limit)
        .select(LfsObjectRow::as_select())
        .load(db)?;
    rows.into_iter().map(LfsObject::try_from).collect()
}

/// Inserts an object. It counts in the usage of its repository.
pub fn insert_object(db: &mut Db, row: &NewLfsObjectRow<'_>) -> QueryResult<()> {
    diesel::update(repositories::table.find(row.repository_id))
        .set(repositories::lfs_bytes.eq(repositories::lfs_bytes + charged_bytes(row.size)))
        .execute(db)?;
    diesel::insert_into(lfs_objects::table).values(row).execute(db).map(drop)
}

/// Returns the bytes of the objects of a repository.
pub fn usage_of(db: &mut Db, repository: RepositoryId) -> QueryResult<i64> {
    repositories::table.find(repository).select(repositories::lfs_bytes).first(db)
}

#[derive(QueryableByName)]
struct Bytes {
    #[diesel(sql_type = BigInt)]
    bytes: i64,
}

/// Returns the bytes of the objects of all repositories of an owner that are not deleted.
pub fn usage_of_owner(db: &mut Db, owner: UserId) -> QueryResult<i64> {
    let found: Bytes = diesel::sql_query(
        "SELECT CAST(coalesce(sum(r.lfs_bytes), 0) AS BIGINT) AS bytes FROM projects p
         JOIN repositories r ON r.project_id = p.id WHERE p.owner_id = $1 AND r.state <> 'deleted'",
    )
    .bind::<BigInt, _>(owner)
    .get_result(db)?;
    Ok(found.bytes)
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

/// Returns objects of deleted repositories that `node` removes: it has the bytes, or no node that
/// runs has them. Without a node: of all.
pub fn removable(db: &mut Db, node: Option<&NodeName>, limit: i64) -> QueryResult<Vec<LfsObjectId>> {
    // The condition of a partial index: deleted repositories stay in the table.
    let of_deleted = format!(
        "SELECT o.id AS id FROM repositories r JOIN lfs_objects o ON o.repository_id = r.id
         WHERE r.lfs_bytes > 0 AND r.state = '{DELETED}'"
    );
    let found: Vec<Found> = match node {
        None => diesel::sql_query(format!("{of_deleted} LIMIT $1")).bind::<BigInt, _>(limit).load(db)?,
        Some(node) => {
            let runs = nodes::runs();
            let of_node = format!(
                "{of_deleted} AND (r.storage IS NULL OR r.storage = $1 OR NOT EXISTS
                     (SELECT 1 FROM nodes WHERE nodes.name = r.storage AND {runs})) LIMIT $2"
            );
            diesel::sql_query(of_node).bind::<Text, _>(node.as_str()).bind::<BigInt, _>(limit).load(db)?
        }
    };
    Ok(found.into_iter().map(|found| LfsObjectId(found.id)).collect())
}

/// Removes those of the objects whose repository is deleted. Returns their hashes.
pub fn remove_objects(db: &mut Db, ids: &[LfsObjectId]) -> QueryResult<Vec<BlobHash>> {
    let deleted = repositories::table.filter(repositories::state.eq(DELETED)).select(repositories::id);
    let rows: Vec<LfsObjectRow> = diesel::delete(
        lfs_objects::table
            .filter(lfs_objects::id.eq_any(ids))
            .filter(lfs_objects::repository_id.eq_any(deleted)),
    )
    .returning(LfsObjectRow::as_returning())
    .get_results(db)?;
    let mut freed: BTreeMap<RepositoryId, i64> = BTreeMap::new();
    for row in &rows {
        let bytes = freed.entry(row.repository_id).or_default();
        *bytes = bytes.saturating_add(charged_bytes(row.size));
    }
    if !freed.is_empty() {
        let values = freed.into_iter().map(|(repository, bytes)| [repository.0, bytes]);
        let update = "UPDATE repositories SET lfs_bytes = repositories.lfs_bytes - given.bytes FROM given
                      WHERE repositories.id = given.repository_id";
        given("repository_id, bytes", values, update).execute(db)?;
    }
    // A row that cannot be read has no bytes. It must not keep all others.
    Ok(rows.into_iter().filter_map(|row| LfsObject::try_from(row).ok()).map(|object| object.oid).collect())
}

type LockColumns = (LfsLockId, String, UserId, String, i64);

fn lock_of((id, path, user_id, username, created_at): LockColumns) -> LfsLock {
    LfsLock { id, path, user_id, username, created_at: Timestamp(created_at) }
}

/// Returns a lock of the repository.
pub fn lock(db: &mut Db, repository: RepositoryId, id: LfsLockId) -> QueryResult<Option<LfsLock>> {
    let filter = LockFilter { above: LfsLockId(0), id: Some(id), path: None };
    Ok(locks(db, repository, &filter, 1)?.pop())
}

/// Returns the lock of a path.
pub fn lock_of_path(db: &mut Db, repository: RepositoryId, path: &str) -> QueryResult<Option<LfsLock>> {
    let filter = LockFilter { above: LfsLockId(0), id: None, path: Some(path.to_owned()) };
    Ok(locks(db, repository, &filter, 1)?.pop())
}

/// Returns locks of a repository, in ascending order of their ids.
pub fn locks(
    db: &mut Db,
    repository: RepositoryId,
    filter: &LockFilter,
    limit: i64,
) -> QueryResult<Vec<LfsLock>> {
    let mut found = lfs_locks::table
        .inner_join(users::table)
        .filter(lfs_locks::repository_id.eq(repository))
        .filter(lfs_locks::id.gt(filter.above))
        .into_boxed();
    if let Some(id) = filter.id {
        found = found.filter(lfs_locks::id.eq(id));
    }
    if let Some(path) = &filter.path {
        found = found.filter(lfs_locks::path.eq(path));
    }
    let columns =
        (lfs_locks::id, lfs_locks::path, lfs_locks::user_id, users::username, lfs_locks::created_at);
    let rows: Vec<LockColumns> = found.order(lfs_locks::id).limit(limit).select(columns).load(db)?;
    Ok(rows.into_iter().map(lock_of).collect())
}

pub fn lock_count(db: &mut Db, repository: RepositoryId) -> QueryResult<i64> {
    lfs_locks::table.filter(lfs_locks::repository_id.eq(repository)).count().get_result(db)
}

pub fn insert_lock(db: &mut Db, row: &NewLfsLockRow<'_>) -> QueryResult<LfsLockId> {
    diesel::insert_into(lfs_locks::table).values(row).returning(lfs_locks::id).get_result(db)
}

pub fn delete_lock(db: &mut Db, id: LfsLockId) -> QueryResult<()> {
    diesel::delete(lfs_locks::table.find(id)).execute(db).map(drop)
}

/// Removes at most `limit` locks of a repository. Returns how many.
pub fn delete_locks_of(db: &mut Db, repository: RepositoryId, limit: i64) -> QueryResult<usize> {
    diesel::sql_query(
        "DELETE FROM lfs_locks WHERE id IN (SELECT id FROM lfs_locks WHERE repository_id = $1 LIMIT $2)",
    )
    .bind::<BigInt, _>(repository)
    .bind::<BigInt, _>(limit)
    .execute(db)
}
