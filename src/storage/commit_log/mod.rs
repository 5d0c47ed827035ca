//! The log of commits, which orders them.
//!
//! On SQLite, a counter in `meta` is enough: one process writes. On PostgreSQL, several nodes
//! write, and each commit is a row of `commits` with its events.
//!
//! Invariants
//! * A transaction that writes holds the *commit lock* from its beginning, reads the rows that
//!   others have committed, and inserts its own row with the next number. The primary key refuses a
//!   transaction that did not read the newest row; the lock only saves such retries.
//! * The row is in the transaction that it describes. After a COMMIT with an unclear outcome, the
//!   row with the batch's id shows whether it was committed.
//! * The newest row is never deleted.

mod events;
mod rows;

use diesel::QueryResult;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

pub use events::{EventsError, FORMAT, decode, encode};
pub use rows::{LOG_ROWS_MAX, LoggedCommit, NewLogRow, Tail};

use super::queries::meta;
use crate::core::database::{Db, PgConnection, Postgres};
use crate::core::fail_points;

/// Advisory lock of the transactions that write.
const COMMIT_LOCK: i64 = 0x6e65_7462_6974_0000;
/// The channel of LISTEN and NOTIFY on which a commit is announced to other nodes.
pub const CHANNEL: &str = "netbit_commits";

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

/// Returns the number of the newest commit; 0 in a new database.
pub fn last(db: &mut Db) -> QueryResult<i64> {
    match db {
        Db::Sqlite(_) => Ok(meta::get(db, meta::COMMIT_NO)?.unwrap_or(0)),
        Db::Postgres(db) => {
            let newest = "SELECT coalesce(max(commit_no), 0) AS value FROM commits";
            Ok(diesel::sql_query(newest).get_result::<Number>(&mut db.queries)?.value)
        }
    }
}

/// Makes the first row of a new log, so that there is always a newest one.
pub fn begin_log(db: &mut PgConnection) -> QueryResult<()> {
    db.batch_execute(
        "INSERT INTO commits (commit_no, batch, node, effect, format, events, created_at)
         SELECT 0, '', 0, 0, 0, '', 0 WHERE NOT EXISTS (SELECT 1 FROM commits) ON CONFLICT DO NOTHING",
    )
}

/// Begins a transaction that writes: waits for the commit lock, then returns the rows of the log
/// from `applied` on, at most [`LOG_ROWS_MAX`].
pub fn begin(db: &mut Postgres, applied: i64) -> QueryResult<Tail> {
    if fail_points::fails(fail_points::NO_COMMIT_LOCK) {
        db.queries.batch_execute("BEGIN")?;
        return tail(db, applied);
    }
    db.queries.batch_execute(&format!("BEGIN; SELECT pg_advisory_xact_lock({COMMIT_LOCK})"))?;
    tail(db, applied)
}

/// Takes the commit lock in an open transaction.
pub fn lock(db: &mut Postgres) -> QueryResult<()> {
    db.queries.batch_execute(&format!("SELECT pg_advisory_xact_lock({COMMIT_LOCK})"))
}

/// Returns the rows of the log from `applied` on, without the commit lock.
pub fn tail(db: &mut Postgres, applied: i64) -> QueryResult<Tail> {
    rows::tail(&mut db.queries, applied)
}

/// Inserts the row of the transaction that [`begin`] began.
pub fn append(db: &mut Postgres, row: &NewLogRow<'_>) -> QueryResult<()> {
    rows::append(&mut db.queries, row)
}

/// Commits, and announces the commit of node `node` to the others.
pub fn commit(db: &mut Postgres, node: i16) -> QueryResult<()> {
    db.queries.batch_execute(&format!("NOTIFY {CHANNEL}, '{node}'; COMMIT"))
}

/// Deletes rows that no node needs any more: those below `below` that are older than `before`.
pub fn trim(db: &mut Postgres, below: i64, before: i64) -> QueryResult<()> {
    rows::trim(&mut db.queries, below, before)
}
