//! Counters of the database itself.

use diesel::prelude::*;

use super::Db;
use crate::storage::schema::meta;

pub const EPOCH: &str = "epoch";
pub const COMMIT_NO: &str = "commit_no";
/// The epoch and the number of the commit in the backup from which a database of PostgreSQL was
/// restored.
pub const RESTORED_EPOCH: &str = "restored_epoch";
pub const RESTORED_COMMIT_NO: &str = "restored_commit_no";
/// The newest message whose sender's cursors are written. Absent: the cursors of all messages are,
/// as in versions without this counter.
pub const CURSORS_WRITTEN: &str = "cursors_written";

/// Returns a new random epoch: below 2^53, so that every JSON reader represents it exactly; never
/// 0.
pub fn fresh_epoch() -> i64 {
    i64::from(rand::random::<u32>()) << 20 | i64::from(rand::random::<u16>()) | 1
}

/// Returns the key that exists once `epoch` was replaced by a later one.
pub fn ended(epoch: i64) -> String {
    format!("epoch_ended_{epoch}")
}

pub fn get(connection: &mut Db, key: &str) -> QueryResult<Option<i64>> {
    meta::table.find(key).select(meta::value).first(connection).optional()
}

pub fn set(connection: &mut Db, key: &str, value: i64) -> QueryResult<()> {
    diesel::insert_into(meta::table)
        .values((meta::key.eq(key), meta::value.eq(value)))
        .on_conflict(meta::key)
        .do_update()
        .set(meta::value.eq(value))
        .execute(connection)
        .map(drop)
}

pub fn delete(connection: &mut Db, key: &str) -> QueryResult<()> {
    diesel::delete(meta::table.find(key)).execute(connection).map(drop)
}
