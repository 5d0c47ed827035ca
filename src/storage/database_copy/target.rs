//! The target of a copy: empty before, and used by no server until it is complete.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use tracing::debug;

use super::catalog::{self, Table, ask};
use super::{CopyError, Position};
use crate::core::database::{Db, Postgres, postgres};
use crate::core::fail_points;
use crate::storage::nodes;
use crate::storage::queries::meta;

/// Advisory lock of the connection that copies.
const COPY_LOCK: i64 = 0x6e65_7462_6974_0003;
/// How long a copy waits for another one, and the pause between two tries.
const LOCK_WAIT: Duration = Duration::from_secs(5);
const LOCK_AGAIN: Duration = Duration::from_millis(100);
/// How long a copy tries to connect again after its last COMMIT was lost.
const SETTLE_WAIT: Duration = Duration::from_secs(30);
/// The row of `meta` that exists while a copy has not finished.
const UNFINISHED: &str = "copy_unfinished";

/// A foreign key of the target.
#[derive(Debug, QueryableByName)]
pub(super) struct ForeignKey {
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    definition: String,
}

/// Returns whether a copy into this database has not finished. Its schema is current.
pub fn is_unfinished(db: &mut Postgres) -> QueryResult<bool> {
    ask(&mut db.queries, &format!("SELECT EXISTS (SELECT 1 FROM meta WHERE key = '{UNFINISHED}') AS answer"))
}

/// Takes the lock of copies, and fails if the target has rows: nothing is written then.
pub(super) fn claim(to: &mut Db) -> Result<(), CopyError> {
    match to {
        // The caller has created the file, and locked its directory.
        Db::Sqlite(_) => Ok(()),
        Db::Postgres(db) => {
            lock(db)?;
            check_empty(db)
        }
    }
}

/// Fails if a database with any schema has rows of users.
///
/// # Errors
/// [`CopyError::NotEmpty`].
pub fn check_empty(db: &mut Postgres) -> Result<(), CopyError> {
    match catalog::table_with_rows(db)? {
        Some(table) => Err(CopyError::NotEmpty(table)),
        None => Ok(()),
    }
}

/// Fails if a node uses the database, or has used it since [`claim`].
fn check_unused(db: &mut Postgres) -> Result<(), CopyError> {
    match nodes::running(db, "")?.into_iter().next() {
        Some(node) => Err(CopyError::TargetInUse(node.name)),
        None => check_empty(db),
    }
}

/// Creates the schema. Returns the tables of the target.
pub(super) fn prepare(to: &mut Db) -> Result<Vec<Table>, CopyError> {
    match to {
        // The caller has created the file, with its schema.
        Db::Sqlite(_) => {
            // The file is discarded after a crash: it needs no journal until it is complete.
            to.batch_execute(
                "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF",
            )?;
        }
        Db::Postgres(db) => {
            postgres::migrate(&mut db.queries)?;
        }
    }
    catalog::tables(to)
}

/// Takes the lock of copies. The connection of one that was killed may hold it for a moment.
fn lock(db: &mut Postgres) -> Result<(), CopyError> {
    let begun = Instant::now();
    while !ask(&mut db.queries, &format!("SELECT pg_try_advisory_lock({COPY_LOCK}) AS answer"))? {
        if begun.elapsed() > LOCK_WAIT {
            return Err(CopyError::CopyRuns);
        }
        std::thread::sleep(LOCK_AGAIN);
    }
    Ok(())
}

/// Marks the target as unfinished, unless a node uses it, and begins to write. Returns the foreign
/// keys that [`finish`] creates again: rows are written in any order, and two tables reference each
/// other.
pub(super) fn begin(to: &mut Db) -> Result<Vec<ForeignKey>, CopyError> {
    let Db::Postgres(db) = to else {
        to.batch_execute("DELETE FROM meta")?;
        return Ok(Vec::new());
    };
    let was_marked = is_unfinished(db)?;
    meta::set(to, UNFINISHED, 1)?;
    let Db::Postgres(db) = to else { return Ok(Vec::new()) };
    // A server registers before it reads the mark: at least one of the two finds the other.
    if let Err(error) = check_unused(db) {
        if !was_marked {
            meta::delete(to, UNFINISHED)?;
        }
        return Err(error);
    }
    to_write(db).map_err(CopyError::from)
}

fn to_write(db: &mut Postgres) -> QueryResult<Vec<ForeignKey>> {
    // The rows of a server that has run without users. The mark is a row of `meta`.
    db.queries.batch_execute(
        "BEGIN; DELETE FROM meta; DELETE FROM commits; DELETE FROM nodes; DELETE FROM secrets",
    )?;
    let keys: Vec<ForeignKey> = diesel::sql_query(
        "SELECT CAST(t.relname AS TEXT) AS table_name, CAST(k.conname AS TEXT) AS name, \
             pg_get_constraintdef(k.oid) AS definition \
         FROM pg_constraint k JOIN pg_class t ON t.oid = k.conrelid \
         WHERE k.contype = 'f' AND k.connamespace = CAST(current_schema() AS regnamespace) ORDER BY k.oid",
    )
    .load(&mut db.queries)?;
    for ForeignKey { table_name, name, .. } in &keys {
        db.queries.batch_execute(&format!("ALTER TABLE \"{table_name}\" DROP CONSTRAINT \"{name}\""))?;
    }
    Ok(keys)
}

/// Continues the ids of a table after `largest`.
pub(super) fn set_sequence(to: &mut Db, table: &Table, largest: i64) -> Result<(), CopyError> {
    if largest < 1 {
        return Ok(());
    }
    let name = catalog::sequence_name(to, table)?;
    match to {
        Db::Sqlite(db) => {
            let name = &table.name;
            diesel::sql_query("DELETE FROM sqlite_sequence WHERE name = $1")
                .bind::<Text, _>(name)
                .execute(db)?;
            diesel::sql_query("INSERT INTO sqlite_sequence (name, seq) VALUES ($1, $2)")
                .bind::<Text, _>(name)
                .bind::<BigInt, _>(largest)
                .execute(db)?;
        }
        Db::Postgres(_) => to.batch_execute(&format!("SELECT setval('{name}', {largest}, TRUE)"))?,
    }
    Ok(())
}

/// Continues the numbers of commits: a counter on SQLite, the first row of the log on PostgreSQL.
pub(super) fn set_position(to: &mut Db, position: &Position) -> Result<(), CopyError> {
    let commit_no = position.commit_no;
    match to {
        Db::Sqlite(_) => meta::set(to, meta::COMMIT_NO, commit_no)?,
        Db::Postgres(_) => {
            meta::delete(to, meta::COMMIT_NO)?;
            to.batch_execute(&format!(
                "INSERT INTO commits (commit_no, batch, node, effect, format, events, created_at)
                 VALUES ({commit_no}, '', 0, 0, 0, '', 0)"
            ))?;
        }
    }
    Ok(())
}

/// Creates the foreign keys, which checks every row, and commits unless `check_source` fails.
pub(super) fn finish(
    to: &mut Db,
    keys: &[ForeignKey],
    check_source: impl FnOnce() -> Result<(), CopyError>,
) -> Result<(), CopyError> {
    if let Db::Sqlite(_) = to {
        return check_source();
    }
    for ForeignKey { table_name, name, definition } in keys {
        let create = format!("ALTER TABLE \"{table_name}\" ADD CONSTRAINT \"{name}\" {definition}");
        to.batch_execute(&create).map_err(|source| CopyError::Rows { table: table_name.clone(), source })?;
    }
    // At the end: the foreign keys take long.
    check_source()?;
    let Db::Postgres(db) = to else { return Ok(()) };
    match commit(db) {
        Err(error) if db.lost(&error) => settle(db, error)?,
        committed => committed?,
    }
    // Plans depend on statistics. The server collects them later on its own.
    if let Err(error) = db.queries.batch_execute("ANALYZE") {
        debug!(%error, "no statistics of the copy were collected");
    }
    Ok(())
}

fn commit(db: &mut Postgres) -> QueryResult<()> {
    db.queries.batch_execute("COMMIT")?;
    if fail_points::fails(fail_points::COPY_UNCLEAR) {
        let kind = diesel::result::DatabaseErrorKind::ClosedConnection;
        return Err(diesel::result::Error::DatabaseError(kind, Box::new("the answer is lost".to_owned())));
    }
    Ok(())
}

/// Reads the outcome of a COMMIT without an answer: it has removed the mark, or nothing.
fn settle(db: &mut Postgres, error: diesel::result::Error) -> Result<(), CopyError> {
    let begun = Instant::now();
    while db.reconnect().is_err() {
        if begun.elapsed() > SETTLE_WAIT {
            return Err(CopyError::Unclear(error));
        }
        std::thread::sleep(LOCK_AGAIN);
    }
    // The earlier connection holds the lock for as long as its COMMIT may still run.
    match lock(db).and_then(|()| Ok(is_unfinished(db)?)) {
        Ok(false) => Ok(()),
        Ok(true) => Err(error.into()),
        Err(_) => Err(CopyError::Unclear(error)),
    }
}
