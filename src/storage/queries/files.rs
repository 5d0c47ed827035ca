//! Queries of files in chats.
//!
//! When a message is removed, its foreign key releases the files of the message.

use std::collections::{BTreeMap, HashSet};

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::given::given;
use super::{Backend, Db, meta};
use crate::domain::file::{BlobHash, Contents, StoredFile, charged_bytes};
use crate::domain::ids::{FileId, MessageId, UserId};
use crate::domain::node::NodeName;
use crate::storage::rows::file::{FileRow, NewFileRow, Removable};
use crate::storage::schema::{file_usage, files, lfs_objects, messages};

/// The key of the bytes of all files in `meta`.
const TOTAL: &str = "file_bytes";

/// Inserts a file whose bytes have not arrived. It counts in the usage of its uploader.
pub fn insert(db: &mut Db, row: &NewFileRow<'_>) -> QueryResult<FileId> {
    diesel::sql_query(
        "INSERT INTO file_usage (user_id, bytes) VALUES ($1, $2)
         ON CONFLICT (user_id) DO UPDATE SET bytes = file_usage.bytes + excluded.bytes",
    )
    .bind::<BigInt, _>(row.uploader_id)
    .bind::<BigInt, _>(charged_bytes(row.size))
    .execute(db)?;
    add_to_total(db, charged_bytes(row.size))?;
    diesel::insert_into(files::table).values(row).returning(files::id).get_result(db)
}

pub fn by_id(db: &mut Db, id: FileId) -> QueryResult<Option<StoredFile>> {
    let row = files::table.find(id).select(FileRow::as_select()).first(db).optional()?;
    row.map(StoredFile::try_from).transpose()
}

/// Returns a file as users may see it: one whose message is deleted counts as released, also if a
/// node of an earlier version has deleted the message.
pub fn shown(db: &mut Db, id: FileId) -> QueryResult<Option<StoredFile>> {
    let Some(mut file) = by_id(db, id)? else { return Ok(None) };
    if let Some(message) = file.message_id {
        let kept = messages::table.find(message).filter(messages::deleted_at.is_null());
        let kept: Option<MessageId> = kept.select(messages::id).first(db).optional()?;
        file.message_id = kept;
    }
    Ok(Some(file))
}

#[derive(QueryableByName)]
struct Deleted {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

/// Returns deleted messages that still have files: a node of an earlier version has deleted them.
pub fn unreleased(db: &mut Db, limit: i64) -> QueryResult<Vec<MessageId>> {
    let found: Vec<Deleted> = diesel::sql_query(
        "SELECT DISTINCT m.id AS id FROM files f JOIN messages m ON m.id = f.message_id
         WHERE m.deleted_at IS NOT NULL LIMIT $1",
    )
    .bind::<BigInt, _>(limit)
    .load(db)?;
    Ok(found.into_iter().map(|row| MessageId(row.id)).collect())
}

/// Releases the files of those of the messages that are deleted.
pub fn release_deleted(db: &mut Db, ids: &[MessageId]) -> QueryResult<usize> {
    let (no_files, none): (Option<String>, Option<MessageId>) = (None, None);
    let deleted: Vec<MessageId> = messages::table
        .filter(messages::id.eq_any(ids))
        .filter(messages::deleted_at.is_not_null())
        .select(messages::id)
        .load(db)?;
    let of_deleted = messages::table.filter(messages::id.eq_any(&deleted));
    diesel::update(of_deleted).set(messages::files.eq(no_files)).execute(db)?;
    diesel::update(files::table.filter(files::message_id.assume_not_null().eq_any(&deleted)))
        .set(files::message_id.eq(none))
        .execute(db)
}

/// Returns files by id, in any order. Ids without a row are absent.
pub fn by_ids(db: &mut Db, ids: &[FileId]) -> QueryResult<Vec<StoredFile>> {
    let rows = files::table.filter(files::id.eq_any(ids)).select(FileRow::as_select()).load(db)?;
    stored(rows)
}

fn stored(rows: Vec<FileRow>) -> QueryResult<Vec<StoredFile>> {
    rows.into_iter().map(StoredFile::try_from).collect()
}

/// Records that all bytes of a file have arrived.
pub fn complete(db: &mut Db, id: FileId, contents: &Contents, now: i64) -> QueryResult<()> {
    diesel::update(files::table.find(id))
        .set((
            files::sha256.eq(&contents.hash.0[..]),
            files::media_type.eq(&contents.media_type),
            files::width.eq(contents.pixels.map(|(width, _)| width)),
            files::height.eq(contents.pixels.map(|(_, height)| height)),
            files::completed_at.eq(now),
        ))
        .execute(db)
        .map(drop)
}

/// Binds files to a message, which has its row.
pub fn bind(db: &mut Db, ids: &[FileId], message: MessageId, now: i64) -> QueryResult<()> {
    diesel::update(files::table.filter(files::id.eq_any(ids)))
        .set((files::message_id.eq(message), files::bound_at.eq(now)))
        .execute(db)
        .map(drop)
}

/// Releases the files of a message.
pub fn release(db: &mut Db, message: MessageId) -> QueryResult<()> {
    let none: Option<MessageId> = None;
    diesel::update(files::table.filter(files::message_id.eq(message)))
        .set(files::message_id.eq(none))
        .execute(db)
        .map(drop)
}

/// Releases a file that no message has had.
pub fn drop_unbound(db: &mut Db, id: FileId, now: i64) -> QueryResult<()> {
    diesel::update(files::table.find(id)).set(files::bound_at.eq(now)).execute(db).map(drop)
}

/// Returns the bytes of the files of a user.
pub fn usage_of(db: &mut Db, user: UserId) -> QueryResult<i64> {
    let found = file_usage::table.find(user).select(file_usage::bytes).first(db).optional()?;
    Ok(found.unwrap_or(0))
}

/// Returns the bytes of all files.
pub fn usage(db: &mut Db) -> QueryResult<i64> {
    Ok(meta::get(db, TOTAL)?.unwrap_or(0))
}

fn add_to_total(db: &mut Db, bytes: i64) -> QueryResult<()> {
    diesel::sql_query(
        "INSERT INTO meta (key, value) VALUES ($1, $2)
         ON CONFLICT (key) DO UPDATE SET value = meta.value + excluded.value",
    )
    .bind::<Text, _>(TOTAL)
    .bind::<BigInt, _>(bytes)
    .execute(db)
    .map(drop)
}

/// Returns how many files of a user no message has had, at most `max`.
pub fn unbound_count(db: &mut Db, user: UserId, max: i64) -> QueryResult<i64> {
    let ids: Vec<FileId> = files::table
        .filter(files::uploader_id.eq(user))
        .filter(files::bound_at.is_null())
        .limit(max)
        .select(files::id)
        .load(db)?;
    Ok(i64::try_from(ids.len()).unwrap_or(max))
}

fn removable_rows(which: &Removable) -> files::BoxedQuery<'_, Backend> {
    let is_due = files::bound_at.is_not_null().or(files::created_at.lt(which.unbound_before.0));
    let found = files::table.filter(files::message_id.is_null()).filter(is_due).into_boxed();
    match &which.node {
        Some(node) => found.filter(
            files::node
                .is_null()
                .or(files::node.eq(node.as_str()))
                .or(files::created_at.lt(which.any_node_before.0)),
        ),
        None => found,
    }
}

/// Returns files that can be removed, oldest first.
pub fn removable(db: &mut Db, which: &Removable, limit: i64) -> QueryResult<Vec<FileId>> {
    removable_rows(which).order(files::created_at).limit(limit).select(files::id).load(db)
}

/// Removes those of the files that can be removed. Returns them.
pub fn remove(db: &mut Db, ids: &[FileId], which: &Removable) -> QueryResult<Vec<StoredFile>> {
    let rows = removable_rows(which).filter(files::id.eq_any(ids)).select(FileRow::as_select()).load(db)?;
    let found = stored(rows)?;
    // They no longer count in the usage of their uploaders.
    let mut freed: BTreeMap<UserId, i64> = BTreeMap::new();
    for file in &found {
        *freed.entry(file.uploader_id).or_default() += charged_bytes(file.size);
    }
    if freed.is_empty() {
        return Ok(found);
    }
    add_to_total(db, -freed.values().sum::<i64>())?;
    let users: Vec<UserId> = freed.keys().copied().collect();
    given(
        "user_id, freed",
        freed.into_iter().map(|(user, bytes)| [user.0, bytes]),
        "UPDATE file_usage SET bytes = bytes - given.freed FROM given WHERE file_usage.user_id = given.user_id",
    )
    .execute(db)?;
    let unused = file_usage::table.filter(file_usage::user_id.eq_any(users)).filter(file_usage::bytes.eq(0));
    diesel::delete(unused).execute(db)?;
    let ids: Vec<FileId> = found.iter().map(|file| file.id).collect();
    diesel::delete(files::table.filter(files::id.eq_any(&ids))).execute(db)?;
    Ok(found)
}

/// Returns which of the hashes a file or an object of Git LFS has.
pub fn hashes_in_use(db: &mut Db, hashes: &[BlobHash]) -> QueryResult<HashSet<BlobHash>> {
    let wanted: Vec<&[u8]> = hashes.iter().map(|hash| &hash.0[..]).collect();
    let hash = || files::sha256.assume_not_null();
    let mut found: Vec<Vec<u8>> =
        files::table.filter(hash().eq_any(&wanted)).select(hash()).distinct().load(db)?;
    let of_objects = lfs_objects::table.filter(lfs_objects::oid.eq_any(wanted));
    found.append(&mut of_objects.select(lfs_objects::oid).distinct().load(db)?);
    let hashes = found.into_iter().filter_map(|hash| hash.try_into().ok().map(BlobHash));
    Ok(hashes.collect())
}

/// Returns files with larger ids that another node has received, or no known one. In ascending
/// order.
pub fn elsewhere_above(db: &mut Db, id: FileId, node: &NodeName, limit: i64) -> QueryResult<Vec<StoredFile>> {
    let rows = files::table
        .filter(files::id.gt(id))
        .filter(files::node.is_null().or(files::node.ne(node.as_str())))
        .order(files::id)
        .limit(limit)
        .select(FileRow::as_select())
        .load(db)?;
    stored(rows)
}

/// Records that a node has the bytes of files.
pub fn set_node(db: &mut Db, ids: &[FileId], node: &NodeName) -> QueryResult<usize> {
    diesel::update(files::table.filter(files::id.eq_any(ids))).set(files::node.eq(node.as_str())).execute(db)
}

/// Returns complete files with larger ids, in ascending order.
pub fn complete_above(db: &mut Db, id: FileId, limit: i64) -> QueryResult<Vec<StoredFile>> {
    let rows = files::table
        .filter(files::id.gt(id))
        .filter(files::sha256.is_not_null())
        .order(files::id)
        .limit(limit)
        .select(FileRow::as_select())
        .load(db)?;
    stored(rows)
}
