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
//! * The epoch changes behind the commit lock only. A transaction that writes reads it there, so no
//!   commit follows that belongs to an earlier epoch.

mod events;
mod rows;

use diesel::QueryResult;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary};

pub use events::{
    AVATARS_FORMAT, EventsError, FILES_FORMAT, FORMAT, LFS_FORMAT, OLDEST_FORMAT, decode, encode,
};
pub use rows::{LOG_ROWS_MAX, LoggedCommit, NewLogRow, Tail};

use super::queries::meta;
use crate::core::database::{Db, PgConnection, Postgres};
use crate::core::fail_points;

/// Advisory lock of the transactions that write.
const COMMIT_LOCK: i64 = 0x6e65_7462_6974_0000;
/// Advisory lock of the node that runs the chores. Held by its connection that listens.
pub const CHORES_LOCK: i64 = 0x6e65_7462_6974_0002;
/// Selects the newest commit and the epoch, for [`newest`].
pub const NEWEST: &str =
    "SELECT commit_no, encode(batch, 'hex'), (SELECT value FROM meta WHERE key = 'epoch')
     FROM commits ORDER BY commit_no DESC LIMIT 1";
/// Maximum bytes of the events of a row that is sent as text with the COMMIT. As text they take
/// twice the space, and the server parses them.
const TEXT_EVENTS_MAX: usize = 32 * 1024;
/// The channel of LISTEN and NOTIFY on which a commit is announced to other nodes.
pub const CHANNEL: &str = "netbit_commits";

/// The row of a transaction: the statement that inserts it, or nothing if it was inserted.
#[derive(Debug, Default)]
pub struct Appended(String);

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

/// Returns whether the database of PostgreSQL has this commit of this batch, in this epoch.
///
/// A standby that was not promoted may have another batch under the same number.
pub fn includes(db: &mut Db, epoch: i64, commit_no: i64, batch: &[u8]) -> QueryResult<bool> {
    let Db::Postgres(postgres) = db else { return Ok(false) };
    let found =
        diesel::sql_query("SELECT count(*) AS value FROM commits WHERE commit_no = $1 AND batch = $2")
            .bind::<BigInt, _>(commit_no)
            .bind::<Binary, _>(batch)
            .get_result::<Number>(&mut postgres.queries)?;
    Ok(found.value > 0 && meta::get(db, meta::EPOCH)? == Some(epoch))
}

/// The newest commit of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Newest {
    pub commit_no: i64,
    /// The id of the batch.
    pub batch: [u8; 16],
    pub epoch: i64,
}

/// Returns the commit in a row of [`NEWEST`]. `None`: no batch wrote the row.
pub fn newest(row: &[Option<String>]) -> Option<Newest> {
    let [Some(commit_no), Some(batch), Some(epoch)] = row else { return None };
    let batch = u128::from_str_radix(batch, 16).ok().filter(|_| batch.len() == 32)?.to_be_bytes();
    Some(Newest { commit_no: commit_no.parse().ok()?, batch, epoch: epoch.parse().ok()? })
}

/// Makes the first row of a new log, so that there is always a newest one, and the function of
/// [`begin`].
pub fn begin_log(db: &mut PgConnection) -> QueryResult<()> {
    // Nodes that start together would replace the function at the same time.
    let created = db.batch_execute(&format!(
        "BEGIN; SELECT pg_advisory_xact_lock({COMMIT_LOCK}); {}; COMMIT",
        rows::lock_and_read(COMMIT_LOCK)
    ));
    if let Err(error) = created {
        db.batch_execute("ROLLBACK")?;
        return Err(error);
    }
    db.batch_execute(
        "INSERT INTO commits (commit_no, batch, node, effect, format, events, created_at)
         SELECT 0, '', 0, 0, 0, '', 0 WHERE NOT EXISTS (SELECT 1 FROM commits) ON CONFLICT DO NOTHING",
    )
}

/// Begins a transaction that writes: waits for the commit lock, then returns the rows of the log
/// from `applied` on, at most [`LOG_ROWS_MAX`].
///
/// One statement takes the lock and reads the log: no other node waits for a round trip between the
/// two. It is sent with BEGIN.
pub fn begin(db: &mut Postgres, applied: i64) -> QueryResult<Tail> {
    if fail_points::fails(fail_points::NO_COMMIT_LOCK) {
        db.queries.batch_execute("BEGIN")?;
        return rows::tail(&mut db.queries, applied);
    }
    rows::begin_locked(db, applied)
}

/// Takes the commit lock in an open transaction.
pub fn lock(db: &mut Postgres) -> QueryResult<()> {
    db.queries.batch_execute(&format!("SELECT pg_advisory_xact_lock({COMMIT_LOCK})"))
}

/// Returns the rows of the log from `applied` on, without the commit lock.
pub fn tail(db: &mut Postgres, applied: i64) -> QueryResult<Tail> {
    rows::tail(&mut db.queries, applied)
}

/// Prepares the row of the transaction that [`begin`] began, for [`commit`]. A long row is inserted
/// at once.
pub fn append(db: &mut Postgres, row: &NewLogRow<'_>) -> QueryResult<Appended> {
    if row.events.len() <= TEXT_EVENTS_MAX {
        return Ok(Appended(rows::insertion(row)));
    }
    rows::append(&mut db.queries, row)?;
    Ok(Appended(String::new()))
}

/// Inserts the row unless it was inserted, commits, and announces the commit of node `node` to the
/// others: all in one message. If the row is refused, the server does not execute the COMMIT.
pub fn commit(db: &mut Postgres, row: &Appended, node: i16) -> QueryResult<()> {
    db.queries.batch_execute(&format!("{}NOTIFY {CHANNEL}, '{node}'; COMMIT", row.0))
}

/// Deletes rows that no node needs any more: those below `below` that are older than `before`.
pub fn trim(db: &mut Postgres, below: i64, before: i64) -> QueryResult<()> {
    rows::trim(&mut db.queries, below, before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_commit_has_a_number_and_a_batch() {
        let row = |columns: &[&str]| columns.iter().map(|text| Some((*text).to_owned())).collect::<Vec<_>>();
        let batch = "000102030405060708090a0b0c0d0e0f";
        let bytes: [u8; 16] = std::array::from_fn(|n| u8::try_from(n).unwrap());
        let found = Newest { commit_no: 7, batch: bytes, epoch: 5 };
        assert_eq!(newest(&row(&["7", batch, "5"])), Some(found));
        for other in [&["0", "", "5"][..], &["7", "00", "5"], &["x", batch, "5"], &["7", batch], &[]] {
            assert_eq!(newest(&row(other)), None, "{other:?}");
        }
    }

    #[test]
    fn row_with_the_commit_is_written_as_text() {
        let row = NewLogRow {
            commit_no: 7,
            batch: &[0, 255],
            node: 2,
            effect: 0,
            format: FORMAT,
            events: &[0x1a],
            created_at: -5,
        };
        let values = format!("(7, decode('00ff', 'hex'), 2, 0, {FORMAT}, decode('1a', 'hex'), -5); ");
        assert!(rows::insertion(&row).ends_with(&values));
    }
}
