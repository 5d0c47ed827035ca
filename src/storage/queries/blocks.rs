//! Blocks: pairs of a user and the user that they do not want to be reached by.

use std::collections::HashSet;

use diesel::prelude::*;

use super::Db;
use crate::domain::ids::UserId;
use crate::storage::schema::blocks;

/// Returns whether `user` blocks `other`.
pub fn exists(db: &mut Db, user: UserId, other: UserId) -> QueryResult<bool> {
    diesel::select(diesel::dsl::exists(blocks::table.find((user, other)))).get_result(db)
}

/// Returns those of `users` who block `other`.
pub fn blockers(db: &mut Db, users: &[UserId], other: UserId) -> QueryResult<HashSet<UserId>> {
    let found: Vec<UserId> = blocks::table
        .filter(blocks::user_id.eq_any(users))
        .filter(blocks::blocked_id.eq(other))
        .select(blocks::user_id)
        .load(db)?;
    Ok(found.into_iter().collect())
}

pub fn count_of(db: &mut Db, user: UserId) -> QueryResult<i64> {
    blocks::table.filter(blocks::user_id.eq(user)).count().get_result(db)
}

pub fn insert(db: &mut Db, user: UserId, other: UserId, now: i64) -> QueryResult<()> {
    let row = (blocks::user_id.eq(user), blocks::blocked_id.eq(other), blocks::created_at.eq(now));
    diesel::insert_into(blocks::table).values(row).execute(db).map(drop)
}

pub fn delete(db: &mut Db, user: UserId, other: UserId) -> QueryResult<()> {
    diesel::delete(blocks::table.find((user, other))).execute(db).map(drop)
}

/// Returns all blocks: (blocking user, blocked user).
pub fn all(db: &mut Db) -> QueryResult<Vec<(UserId, UserId)>> {
    blocks::table.select((blocks::user_id, blocks::blocked_id)).load(db)
}
