//! The nodes that share a database of PostgreSQL.
//!
//! Invariant: a number belongs to one name for as long as the row exists; a node that starts again
//! has the same number.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, SmallInt, Text};

use super::commit_log;
use crate::core::database::postgres::IDLE_TRANSACTION_MAX;
use crate::core::database::{Db, Postgres};

/// A node that did not write its row for longer is not counted as running, in milliseconds.
pub const NODE_EXPIRES_MS: i64 = 30_000;
/// The largest number of a node.
const NUMBER_MAX: i16 = 255;

/// A node of the database, whether it runs or not.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Node {
    #[diesel(sql_type = Text)]
    pub name: String,
    #[diesel(sql_type = SmallInt)]
    pub number: i16,
    #[diesel(sql_type = Text)]
    pub address: String,
    /// The process of the node.
    #[diesel(sql_type = Text)]
    pub instance: String,
    /// The newest version of events that it reads.
    #[diesel(sql_type = SmallInt)]
    pub format: i16,
    /// Milliseconds since the node last wrote its row, by the clock of the database.
    #[diesel(sql_type = BigInt)]
    pub silent_ms: i64,
}

impl Node {
    /// Returns whether the node ran within [`NODE_EXPIRES_MS`].
    pub fn is_running(&self) -> bool {
        self.silent_ms < NODE_EXPIRES_MS
    }

    /// Returns the time since the node last wrote its row; `None` after an orderly stop, which sets
    /// the time to 0.
    pub fn silent_ms(&self) -> Option<i64> {
        Some(self.silent_ms).filter(|silent_ms| *silent_ms < i64::from(u32::MAX))
    }
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = SmallInt)]
    number: i16,
}

#[derive(QueryableByName)]
struct Size {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

const NOW: &str = "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)";

/// Returns the condition for rows of nodes that ran within [`NODE_EXPIRES_MS`].
pub fn runs() -> String {
    format!("seen_at > {NOW} - {NODE_EXPIRES_MS}")
}

/// A node that starts.
#[derive(Debug, Clone, Copy)]
pub struct NewNode<'a> {
    pub name: &'a str,
    /// The address at which other nodes reach it.
    pub address: &'a str,
    /// A random text of this process. A later process of the same name replaces it.
    pub instance: &'a str,
}

/// Registers this node; returns its number, and the other nodes that ran within
/// [`NODE_EXPIRES_MS`]. `alone`: registers only if there is none. Registers never beside an
/// [`incompatible`] node.
pub fn register(db: &mut Postgres, this: NewNode<'_>, alone: bool) -> QueryResult<(i16, Vec<Node>)> {
    // The connection has no such limit, and holds the commit lock.
    let idle = IDLE_TRANSACTION_MAX.as_millis();
    let begin = format!("BEGIN; SET LOCAL idle_in_transaction_session_timeout = {idle}");
    db.queries.batch_execute(&begin)?;
    let registered = commit_log::lock(db).and_then(|()| {
        let others = running(db, this.name)?;
        let is_refused = alone && !others.is_empty() || incompatible(&others).is_some();
        let number = if is_refused { 0 } else { insert(db, this)? };
        Ok((number, others))
    });
    db.queries.batch_execute(if registered.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
    registered
}

/// Returns the first node that cannot run beside this version. A version writes its own format of
/// events and the one before.
pub fn incompatible(others: &[Node]) -> Option<&Node> {
    let beside = commit_log::OLDEST_FORMAT..=commit_log::FORMAT + 1;
    others.iter().find(|other| !beside.contains(&other.format))
}

/// Returns the newest format of events that this node and all others read.
pub fn common_format(others: &[Node]) -> i16 {
    let newest = others.iter().map(|other| other.format).fold(commit_log::FORMAT, i16::min);
    newest.max(commit_log::OLDEST_FORMAT)
}

/// Returns whether a node ran within [`NODE_EXPIRES_MS`]. Without PostgreSQL no other node runs.
pub fn is_running(db: &mut Db, name: &str) -> QueryResult<bool> {
    let Db::Postgres(db) = db else { return Ok(false) };
    let found: Option<Node> = diesel::sql_query(format!(
        "SELECT name, number, address, instance, format, {NOW} - seen_at AS silent_ms FROM nodes
         WHERE name = $1 AND seen_at > {NOW} - {NODE_EXPIRES_MS}"
    ))
    .bind::<Text, _>(name)
    .get_result(&mut db.queries)
    .optional()?;
    Ok(found.is_some())
}

/// Returns all nodes. Without PostgreSQL there are none.
pub fn all(db: &mut Db) -> QueryResult<Vec<Node>> {
    match db {
        Db::Sqlite(_) => Ok(Vec::new()),
        Db::Postgres(db) => all_of(db),
    }
}

/// Returns all nodes.
pub fn all_of(db: &mut Postgres) -> QueryResult<Vec<Node>> {
    let all = format!(
        "SELECT name, number, address, instance, format, {NOW} - seen_at AS silent_ms FROM nodes ORDER BY number"
    );
    diesel::sql_query(all).load(&mut db.queries)
}

/// Returns the other nodes that ran within [`NODE_EXPIRES_MS`].
pub fn running(db: &mut Postgres, name: &str) -> QueryResult<Vec<Node>> {
    diesel::sql_query(format!(
        "SELECT name, number, address, instance, format, {NOW} - seen_at AS silent_ms FROM nodes
         WHERE name <> $1 AND seen_at > {NOW} - {NODE_EXPIRES_MS} ORDER BY number"
    ))
    .bind::<Text, _>(name)
    .load(&mut db.queries)
}

fn insert(db: &mut Postgres, this: NewNode<'_>) -> QueryResult<i16> {
    let number: Number = diesel::sql_query(format!(
        "INSERT INTO nodes (name, number, address, instance, format, seen_at)
         SELECT $1, coalesce(
                    (SELECT number FROM nodes WHERE name = $1),
                    (SELECT CAST(min(n) AS SMALLINT) FROM generate_series(1, {NUMBER_MAX}) n
                     WHERE NOT EXISTS (SELECT 1 FROM nodes WHERE number = n))
                ), $2, $3, {format}, {NOW}
         ON CONFLICT (name) DO UPDATE SET address = excluded.address, instance = excluded.instance,
             format = excluded.format, seen_at = excluded.seen_at
         RETURNING number",
        format = commit_log::FORMAT
    ))
    .bind::<Text, _>(this.name)
    .bind::<Text, _>(this.address)
    .bind::<Text, _>(this.instance)
    .get_result(&mut db.queries)?;
    Ok(number.number)
}

/// Records that this node runs, and its address. Returns `false` if another process has taken its
/// name.
pub fn record_running(db: &mut Postgres, number: i16, instance: &str, address: &str) -> QueryResult<bool> {
    let update = "UPDATE nodes SET address = $3, seen_at";
    diesel::sql_query(format!("{update} = {NOW} WHERE number = $1 AND instance = $2"))
        .bind::<SmallInt, _>(number)
        .bind::<Text, _>(instance)
        .bind::<Text, _>(address)
        .execute(&mut db.queries)
        .map(|updated| updated > 0)
}

/// Records that this node has stopped.
pub fn record_stopped(db: &mut Postgres, number: i16, instance: &str) -> QueryResult<()> {
    diesel::sql_query("UPDATE nodes SET seen_at = 0 WHERE number = $1 AND instance = $2")
        .bind::<SmallInt, _>(number)
        .bind::<Text, _>(instance)
        .execute(&mut db.queries)
        .map(drop)
}

/// Returns the size of the database on the disk of the database server, in bytes.
pub fn database_bytes(db: &mut Postgres) -> QueryResult<i64> {
    let size = "SELECT pg_database_size(current_database()) AS value";
    diesel::sql_query(size).get_result::<Size>(&mut db.queries).map(|size| size.value)
}
