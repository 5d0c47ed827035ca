//! Rows of `commits`.

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Binary, SmallInt};

use crate::core::database::PgConnection;
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
}

/// The newest rows of the log.
#[derive(Debug)]
pub struct Tail {
    pub rows: Vec<LoggedCommit>,
    /// The time of the server. `None` if the log has no such row.
    pub now: Option<Timestamp>,
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

/// Selects the rows from a number on, with the time of the server. Prepared once.
#[derive(QueryId)]
struct SelectTail {
    from: i64,
    limit: i64,
}

impl Query for SelectTail {
    type SqlType = (BigInt, Binary, SmallInt, SmallInt, Binary, BigInt);
}

impl QueryFragment<Pg> for SelectTail {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "SELECT commit_no, batch, node, format, events, \
             CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) FROM commits WHERE commit_no >= ",
        );
        out.push_bind_param::<BigInt, _>(&self.from)?;
        out.push_sql(" ORDER BY commit_no LIMIT ");
        out.push_bind_param::<BigInt, _>(&self.limit)
    }
}

impl RunQueryDsl<PgConnection> for SelectTail {}

pub(super) fn tail(db: &mut PgConnection, from: i64) -> QueryResult<Tail> {
    let limit = i64::try_from(LOG_ROWS_MAX).unwrap_or(i64::MAX);
    let rows: Vec<LoggedCommit> = SelectTail { from, limit }.load(db)?;
    let now = rows.last().map(|row| Timestamp(row.now));
    Ok(Tail { rows, now })
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
