//! Copies of the whole database: taken while it is in use, and reset when one replaces it.

use std::path::Path;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::queries::{accounts, meta};
use crate::core::database::{self, DatabaseError, Db};
use crate::domain::timestamp::Timestamp;

/// Writes a copy of `from` to `to`, which must not exist, in a single read transaction on its own
/// connection. The caller must fsync it.
pub fn vacuum_into(from: &Path, to: &Path) -> Result<(), DatabaseError> {
    let mut db = database::open_reader(from)?;
    // VACUUM INTO changes no page of this database, but SQLite treats it as a write.
    db.batch_execute("PRAGMA query_only = OFF;")?;
    // SQLite accepts an empty target file, so the copy is private from its first byte.
    database::make_private_target(to)?;
    diesel::sql_query("VACUUM INTO ?").bind::<Text, _>(to.display().to_string()).execute(&mut db)?;
    database::make_private(to)
}

/// Sets a new epoch and ends every login, so that no client continues from a state that this copy
/// does not have. Called by a restore. Personal access tokens stay. Returns the epoch, and how many
/// logins were open.
pub fn reset_epoch_and_logins(db: &mut Db) -> QueryResult<(i64, usize)> {
    db.begin_write()?;
    match reset(db) {
        Ok(reset) => db.batch_execute("COMMIT").map(|()| reset),
        Err(error) => {
            db.batch_execute("ROLLBACK")?;
            Err(error)
        }
    }
}

/// Does so in the open transaction, or in one for each statement. Called by a copy, and by the
/// start on an older or another database, where the caller holds the commit lock.
pub fn reset(db: &mut Db) -> QueryResult<(i64, usize)> {
    let epoch = meta::fresh_epoch();
    if let Some(ended) = meta::get(db, meta::EPOCH)? {
        meta::set(db, &meta::ended(ended), epoch)?;
    }
    meta::set(db, meta::EPOCH, epoch)?;
    let ended = accounts::all_live_logins(db)?.len();
    let now = Timestamp::now().0;
    db.batch_execute("DELETE FROM refresh_tokens")?;
    // The backup of an earlier version is migrated at the next start and has no such columns.
    if has_web_logins(db)? {
        db.batch_execute("UPDATE sessions SET web_hash = NULL, device = NULL, address = NULL")?;
    }
    db.batch_execute(&format!("UPDATE sessions SET ended_at = {now} WHERE ended_at IS NULL"))?;
    Ok((epoch, ended))
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

fn has_web_logins(db: &mut Db) -> QueryResult<bool> {
    let Db::Sqlite(db) = db else { return Ok(true) };
    let columns = "SELECT COUNT(*) AS count FROM pragma_table_info('sessions') WHERE name = 'web_hash'";
    diesel::sql_query(columns).get_result::<Count>(db).map(|row| row.count > 0)
}
