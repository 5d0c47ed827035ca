//! Copies all rows of a database into another one, of the same or of the other engine.
//!
//! The tables and their columns are read from the catalogs of both databases, which must agree: a
//! table or a column cannot be left out. Rows are read in pages, by primary key, in one read
//! transaction.
//!
//! Invariants
//! * On PostgreSQL, the rows are written in one transaction. A mark is committed before it, and the
//!   same transaction removes the mark. A server refuses to start while the mark exists.
//! * On SQLite, the target is a file without its final name; the caller renames it.
//! * At the end, each table of the target has the number of rows that the source had.
//! * The largest id of each table is copied too: ids of removed rows are not assigned again.
//!
//! Deliberately absent: the tables that exist on PostgreSQL only. The new log of commits begins at
//! the number of the copied commit.

mod catalog;
mod rows;
mod source;
mod target;

use diesel::result::Error as SqlError;

use self::catalog::Table;
use super::commit_log;
use super::copy::reset;
use super::queries::meta;
use super::signing_key;
use crate::core::database::{self, DatabaseError, Db, postgres};
use crate::core::{fail_points, saturate};

pub use target::{check_empty, is_unfinished};

/// Rows of the first page of a table.
const PAGE_ROWS_MIN: i64 = 16;
/// Maximum rows of a page.
const PAGE_ROWS_MAX: i64 = 1024;
/// A page of more bytes halves the rows of the next one; a page of a quarter doubles them.
const PAGE_BYTES: usize = 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error("copying the database failed: {0}")]
    Query(#[from] SqlError),
    #[error("copying the rows of {table} failed: {source}")]
    Rows { table: String, source: SqlError },
    #[error(
        "the source has the schema of another netbit version ({0}); start and stop this version on it once"
    )]
    Version(String),
    #[error("a copy into the source did not finish; repeat that copy first")]
    Unfinished,
    #[error("the two databases differ in {0}; the versions of their schemas are not the same")]
    Schema(String),
    #[error(
        "the target has rows in the table {0}: it is the database of a server, or an earlier copy into it has \
         finished; name a new database"
    )]
    NotEmpty(String),
    #[error(
        "node {0} has used the source meanwhile: its changes may not be in the copy, which is not complete. Stop it, \
         wait 30 seconds after a crash, and repeat the command; or copy without --keep-logins"
    )]
    SourceUsed(String),
    #[error(
        "the source has changed meanwhile, and the changes are not in the copy, which is not complete: stop all that \
         writes to it, and repeat the command; or copy without --keep-logins"
    )]
    SourceChanged,
    #[error("node {0} uses the target; stop it first")]
    TargetInUse(String),
    #[error("another process copies into this database; wait until it has ended")]
    CopyRuns,
    #[error(
        "the connection was lost at the end of the copy: {0}. Repeat the command; if the target then has rows, the \
         copy is complete"
    )]
    Unclear(SqlError),
    #[error("{table} has {has} rows in the target, and {expected} in the source")]
    Count { table: String, expected: i64, has: i64 },
}

/// The logins of the copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logins {
    /// They stay, and so does the epoch: the copy takes the place of the source. The copy fails if
    /// a server has used the source meanwhile.
    Keep,
    /// They stay, and so does the epoch: the copy is a backup. A restore ends them.
    Backup,
    /// They end, and the copy has a new epoch: the source may go on to be used.
    End,
}

/// A progress report of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyProgress {
    /// Rows are copied; their number.
    Rows(u64),
    /// This many further rows are copied.
    Done(u64),
    /// The copy is checked, and its foreign keys are created.
    Checks,
}

/// The callback that receives progress reports.
pub type ReportCopy<'a> = &'a mut dyn FnMut(CopyProgress);

/// The result of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    pub tables: usize,
    pub rows: u64,
    /// The epoch of the copy.
    pub epoch: i64,
    /// The number of the last commit in the copy.
    pub commit_no: i64,
    /// The number of logins that were ended.
    pub logins_ended: usize,
    /// The number of texts in which U+0000 was replaced, which PostgreSQL refuses.
    pub texts_changed: u64,
}

/// The position and the logins of the source.
struct Position {
    epoch: i64,
    commit_no: i64,
    /// The largest id that was assigned in each table with a sequence.
    sequences: Vec<(Table, i64)>,
    /// The nodes of the source, and their last processes.
    nodes: Vec<(String, String)>,
}

/// Copies all rows of `from`, which is only read, into `to`, which has no rows.
///
/// # Errors
/// See [`CopyError`]. The target must not be used after an error.
pub fn copy(from: &mut Db, to: &mut Db, logins: Logins, report: ReportCopy<'_>) -> Result<Copied, CopyError> {
    target::claim(to)?;
    check_version(from)?;
    if let Db::Postgres(db) = from
        && is_unfinished(db)?
    {
        return Err(CopyError::Unfinished);
    }
    let targets = target::prepare(to)?;
    from.begin_read()?;
    let sources = catalog::tables(from)?;
    if let Some(difference) = catalog::difference(&sources, &targets) {
        return Err(CopyError::Schema(difference));
    }
    let keys = target::begin(to)?;
    let mut counts = Vec::with_capacity(sources.len());
    for table in &sources {
        counts.push((table, rows::count(from, table)?));
    }
    let total: i64 = counts.iter().map(|(_, count)| count).sum();
    let total = u64::try_from(total).unwrap_or(0);
    report(CopyProgress::Rows(total));
    let mut texts_changed = 0;
    for (table, count) in &counts {
        texts_changed += copy_table(from, to, (table, *count), report)?;
    }
    let position = position(from, &sources, &targets)?;
    from.batch_execute("COMMIT")?;

    report(CopyProgress::Checks);
    for (table, largest) in &position.sequences {
        target::set_sequence(to, table, *largest)?;
    }
    target::set_position(to, &position)?;
    if logins == Logins::Keep {
        copy_signing_key(from, to)?;
    }
    let (epoch, logins_ended) = match logins {
        Logins::Keep | Logins::Backup => (position.epoch, 0),
        Logins::End => reset(to)?,
    };
    for (table, expected) in counts.iter().filter(|(table, _)| table.is_compared(logins)) {
        let (has, expected) = (rows::count(to, table)?, *expected);
        if has != expected {
            return Err(CopyError::Count { table: table.name.clone(), expected, has });
        }
    }
    fail_points::reach(fail_points::BEFORE_COPY_ENDS);
    target::finish(to, &keys, || match logins {
        Logins::Keep => source::check_unused(from, &position),
        Logins::Backup | Logins::End => Ok(()),
    })?;
    Ok(Copied {
        tables: sources.len(),
        rows: total,
        epoch,
        commit_no: position.commit_no,
        logins_ended,
        texts_changed,
    })
}

/// Fails unless the source has the schema of this version.
fn check_version(from: &mut Db) -> Result<(), CopyError> {
    let (unknown, pending) = match from {
        Db::Sqlite(db) => (database::unknown_migrations(db)?, database::pending_migrations(db)?),
        Db::Postgres(db) => postgres::compare_migrations(&mut db.queries)?,
    };
    match unknown.into_iter().chain(pending).next() {
        Some(migration) => Err(CopyError::Version(migration)),
        None => Ok(()),
    }
}

/// Copies the rows of a table. Returns the number of texts that were changed.
fn copy_table(
    from: &mut Db,
    to: &mut Db,
    (table, expected): (&Table, i64),
    report: ReportCopy<'_>,
) -> Result<u64, CopyError> {
    let failed = |source| CopyError::Rows { table: table.name.clone(), source };
    let (mut last, mut limit) = (None, PAGE_ROWS_MIN);
    let (mut copied, mut changed) = (0, 0);
    while copied < expected {
        let mut page = rows::page(from, table, last.as_deref(), limit).map_err(failed)?;
        let Some(newest) = page.last() else { break };
        last = Some(table.key_of(newest));
        let (count, bytes) = (page.len(), page.iter().map(rows::Row::bytes).sum::<usize>());
        if let Db::Postgres(_) = to {
            changed += page.iter_mut().map(rows::Row::replace_nul).sum::<u64>();
        }
        rows::insert(to, table, page).map_err(failed)?;
        copied += saturate::to_i64(count);
        report(CopyProgress::Done(saturate::to_u64(count)));
        limit = next_limit(limit, bytes);
    }
    Ok(changed)
}

fn next_limit(limit: i64, bytes: usize) -> i64 {
    let limit = match bytes {
        bytes if bytes > PAGE_BYTES => limit / 2,
        bytes if bytes < PAGE_BYTES / 4 => limit * 2,
        _ => limit,
    };
    limit.clamp(1, PAGE_ROWS_MAX)
}

/// Copies the key that signs access tokens between two databases of PostgreSQL. The caller does so
/// for a data directory, and its server copies the key of a directory.
fn copy_signing_key(from: &mut Db, to: &mut Db) -> Result<(), CopyError> {
    let (Db::Postgres(from), Db::Postgres(to)) = (from, to) else { return Ok(()) };
    if let Some(key) = signing_key::of_database(from)? {
        signing_key::of_node(to, &key)?;
    }
    Ok(())
}

/// Reads the position of the source in its read transaction.
fn position(from: &mut Db, sources: &[Table], targets: &[Table]) -> Result<Position, CopyError> {
    let mut sequences = Vec::new();
    for table in targets.iter().filter(|table| table.has_sequence) {
        let known = sources.iter().any(|source| source.name == table.name && source.has_sequence);
        let assigned = if known { catalog::sequence(from, table)? } else { 0 };
        sequences.push((table.clone(), assigned.max(rows::largest(from, table)?)));
    }
    Ok(Position {
        epoch: meta::get(from, meta::EPOCH)?.unwrap_or(0),
        commit_no: commit_log::last(from)?,
        sequences,
        nodes: source::processes(from)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_large_rows_are_short() {
        assert_eq!(next_limit(PAGE_ROWS_MAX, 0), PAGE_ROWS_MAX);
        assert_eq!(next_limit(16, 1000), 32);
        assert_eq!(next_limit(16, PAGE_BYTES / 2), 16);
        assert_eq!(next_limit(16, PAGE_BYTES * 2), 8);
        assert_eq!(next_limit(1, PAGE_BYTES * 2), 1);
    }
}
