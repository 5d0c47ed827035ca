//! Rows of `commits`.

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Binary, Nullable, SmallInt};

use crate::core::database::{PgConnection, Postgres};
use crate::domain::timestamp::Timestamp;

diesel::table! {
    commits (commit_no) {
        commit_no -> BigInt,
        batch -> Binary,
        node -> SmallInt,
        effect -> SmallInt,
        format -> SmallInt,
        events -> Binary,
        created_at -> BigInt,
    }
}

/// Maximum number of rows that a node reads at once. A node that is further behind loads a new
/// snapshot.
pub const LOG_ROWS_MAX: usize = 257;
/// Maximum number of rows that one transaction deletes.
const TRIMMED_MAX: i64 = 1024;

/// A commit of any node.
#[derive(Debug, Clone, Queryable)]
pub struct LoggedCommit {
    pub commit_no: i64,
    /// The random id of the batch.
    pub batch: Vec<u8>,
    pub node: i16,
    /// The version of the encoding of `events`.
    pub format: i16,
    pub events: Vec<u8>,
    /// The time of the server when the row was read, in milliseconds.
    now: i64,
    /// The epoch of the database when the row was read.
    epoch: Option<i64>,
}

/// The newest rows of the log.
#[derive(Debug)]
pub struct Tail {
    pub rows: Vec<LoggedCommit>,
    /// The time of the server. `None` if the log has no such row.
    pub now: Option<Timestamp>,
    /// The epoch of the database. `None` if the log has no such row, or the database has none yet.
    pub epoch: Option<i64>,
}

/// The row of a batch that is about to be committed.
#[derive(Debug, Insertable)]
#[diesel(table_name = commits)]
pub struct NewLogRow<'a> {
    pub commit_no: i64,
    pub batch: &'a [u8],
    pub node: i16,
    pub effect: i16,
    pub format: i16,
    pub events: &'a [u8],
    pub created_at: i64,
}

/// The epoch of the database, as a column.
const EPOCH: &str = "(SELECT value FROM meta WHERE key = 'epoch')";

/// Selects the rows from a number on, with the time of the server and the epoch. Prepared once.
#[derive(QueryId)]
struct SelectTail {
    from: i64,
    limit: i64,
}

/// The same after the function of [`lock_and_read`] has taken the commit lock.
#[derive(QueryId)]
struct SelectLockedTail {
    from: i64,
    limit: i64,
}

impl Query for SelectTail {
    type SqlType = (BigInt, Binary, SmallInt, SmallInt, Binary, BigInt, Nullable<BigInt>);
}

impl QueryFragment<Pg> for SelectTail {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "SELECT commit_no, batch, node, format, events, \
             CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT), ",
        );
        out.push_sql(EPOCH);
        out.push_sql(" FROM commits WHERE commit_no >= ");
        out.push_bind_param::<BigInt, _>(&self.from)?;
        out.push_sql(" ORDER BY commit_no LIMIT ");
        out.push_bind_param::<BigInt, _>(&self.limit)
    }
}

impl RunQueryDsl<PgConnection> for SelectTail {}

impl Query for SelectLockedTail {
    type SqlType = <SelectTail as Query>::SqlType;
}

impl QueryFragment<Pg> for SelectLockedTail {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "SELECT commit_no, batch, node, format, events, now_ms, epoch FROM netbit_lock_and_read(",
        );
        out.push_bind_param::<BigInt, _>(&self.from)?;
        out.push_sql(", ");
        out.push_bind_param::<BigInt, _>(&self.limit)?;
        out.push_sql(")");
        Ok(())
    }
}

/// Returns the statement that creates the function which takes the lock `key` and then reads the
/// log. In PL/pgSQL each statement of a transaction that is READ COMMITTED has a snapshot of its
/// own: the read sees what was committed during the wait, also a new epoch.
///
/// The columns of a function cannot be changed: another list of columns needs another name.
pub(super) fn lock_and_read(key: i64) -> String {
    format!(
        "CREATE OR REPLACE FUNCTION netbit_lock_and_read(from_no BIGINT, most BIGINT)
         RETURNS TABLE (
             commit_no BIGINT, batch BYTEA, node SMALLINT, format SMALLINT, events BYTEA, now_ms BIGINT,
             epoch BIGINT
         ) LANGUAGE plpgsql VOLATILE AS $$
         BEGIN
             PERFORM pg_advisory_xact_lock({key});
             RETURN QUERY SELECT c.commit_no, c.batch, c.node, c.format, c.events,
                 CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT), {EPOCH}
             FROM commits c WHERE c.commit_no >= from_no ORDER BY c.commit_no LIMIT most;
         END $$"
    )
}

pub(super) fn tail(db: &mut PgConnection, from: i64) -> QueryResult<Tail> {
    Ok(Tail::of(SelectTail { from, limit: limit() }.load(db)?))
}

/// Begins a transaction, takes the commit lock and reads the log.
pub(super) fn begin_locked(db: &mut Postgres, from: i64) -> QueryResult<Tail> {
    Ok(Tail::of(db.execute_and_load("BEGIN", SelectLockedTail { from, limit: limit() })?))
}

fn limit() -> i64 {
    i64::try_from(LOG_ROWS_MAX).unwrap_or(i64::MAX)
}

impl Tail {
    fn of(rows: Vec<LoggedCommit>) -> Self {
        let now = rows.last().map(|row| Timestamp(row.now));
        let epoch = rows.last().and_then(|row| row.epoch);
        Self { rows, now, epoch }
    }
}

/// Returns the statement that inserts the row, with a semicolon at its end.
pub(super) fn insertion(row: &NewLogRow<'_>) -> String {
    let NewLogRow { commit_no, batch, node, effect, format, events, created_at } = row;
    let (batch, events) = (hex(batch), hex(events));
    format!(
        "INSERT INTO commits (commit_no, batch, node, effect, format, events, created_at) VALUES \
         ({commit_no}, decode('{batch}', 'hex'), {node}, {effect}, {format}, decode('{events}', 'hex'), {created_at}); "
    )
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |value: u8| DIGITS.get(usize::from(value)).copied().unwrap_or('0');
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 15));
    }
    text
}

pub(super) fn append(db: &mut PgConnection, row: &NewLogRow<'_>) -> QueryResult<()> {
    diesel::insert_into(commits::table).values(row).execute(db).map(drop)
}

pub(super) fn trim(db: &mut PgConnection, below: i64, before: i64) -> QueryResult<()> {
    diesel::sql_query(
        "DELETE FROM commits WHERE commit_no IN (
             SELECT commit_no FROM commits WHERE commit_no < $1 ORDER BY commit_no LIMIT $3
         ) AND created_at < $2",
    )
    .bind::<BigInt, _>(below)
    .bind::<BigInt, _>(before)
    .bind::<BigInt, _>(TRIMMED_MAX)
    .execute(db)
    .map(drop)
}
