//! Checks whether the database file is damaged.

use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel::sqlite::SqliteConnection;

use super::DatabaseError;

/// Returns the problems that SQLite finds in the file and between tables; empty: none.
pub fn integrity(connection: &mut SqliteConnection) -> QueryResult<Vec<String>> {
    #[derive(QueryableByName)]
    struct Line {
        #[diesel(sql_type = Text)]
        integrity_check: String,
    }
    #[derive(QueryableByName)]
    struct Orphan {
        #[diesel(sql_type = Text)]
        table: String,
        #[diesel(sql_type = Text)]
        parent: String,
    }
    let mut findings = Vec::new();
    let lines = diesel::sql_query("PRAGMA integrity_check(100)").load::<Line>(connection);
    let lines =
        lines.map(|lines| lines.into_iter().map(|line| line.integrity_check).filter(|line| line != "ok"));
    findings.extend(unless_damaged(lines.map(Iterator::collect))?);
    let orphans = diesel::sql_query("PRAGMA foreign_key_check").load::<Orphan>(connection);
    let of = |row: Orphan| format!("a row of {} references a missing row of {}", row.table, row.parent);
    findings.extend(unless_damaged(orphans.map(|rows| rows.into_iter().map(of).collect()))?);
    // Both stop at the same damage.
    findings.dedup();
    Ok(findings)
}

/// Turns an error into a finding where the damage keeps SQLite from checking further.
fn unless_damaged(found: QueryResult<Vec<String>>) -> QueryResult<Vec<String>> {
    match found {
        Err(error) if is_damage(&error) => Ok(vec![format!("SQLite cannot read the database: {error}")]),
        found => found,
    }
}

/// Returns the problems of a quick check: every page is read, but no index is compared with its
/// table.
pub fn quick_check(connection: &mut SqliteConnection) -> Result<Vec<String>, DatabaseError> {
    #[derive(QueryableByName)]
    struct Line {
        #[diesel(sql_type = Text)]
        quick_check: String,
    }
    let lines = diesel::sql_query("PRAGMA quick_check(10)").load::<Line>(connection);
    let lines = lines.map(|lines| lines.into_iter().map(|line| line.quick_check).filter(|line| line != "ok"));
    Ok(unless_damaged(lines.map(Iterator::collect))?)
}

fn is_damage(error: &diesel::result::Error) -> bool {
    const WORDS: [&str; 2] = ["malformed", "not a database"];
    matches!(error, diesel::result::Error::DatabaseError(_, info)
        if WORDS.iter().any(|word| info.message().contains(word)))
}

/// Fails if SQLite finds any problem in the file.
pub fn verify_integrity(connection: &mut SqliteConnection) -> Result<(), DatabaseError> {
    let findings = integrity(connection)?;
    if findings.is_empty() { Ok(()) } else { Err(DatabaseError::Damaged(findings.join("; "))) }
}
