//! The database: SQLite, or PostgreSQL (see [`postgres`]). Here SQLite: opens connections; migrates
//! the schema, checks the file and runs checkpoints.
//!
//! Invariants: WAL, foreign keys on, a bundled library that is new enough; one writable connection
//! (the writer's), all others read-only. A copy of the database is kept before any migration
//! changes it.

mod checkpoints;
mod connection;
mod integrity;
mod migrations;
pub mod postgres;

use std::path::{Path, PathBuf};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

pub use checkpoints::{WalPages, checkpoint_truncate, restart_log, wal_pages};
pub use connection::{Db, Source};
pub use diesel::result::Error as QueryError;
/// For modules that use no SQL and only pass a connection on.
pub use diesel::sqlite::SqliteConnection;

pub use postgres::{PgConnection, Postgres};

pub use integrity::{integrity, quick_check, verify_integrity};
pub use migrations::{
    MIGRATIONS, make_private, make_private_target, migrate, pending_migrations, unknown_migrations,
};

use super::config::Synchronous;

/// Older libraries have a WAL-reset bug that can lose commits (fixed in 3.51.3).
const SQLITE_VERSION_MIN: i64 = 3_051_003;

#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error("cannot open the database {}: {source}", .path.display())]
    Open { path: PathBuf, source: diesel::ConnectionError },
    #[error("the database query failed: {0}")]
    Query(#[from] diesel::result::Error),
    #[error("the bundled SQLite is version {0}, older than {SQLITE_VERSION_MIN}")]
    TooOld(i64),
    #[error("migrating the database failed: {0}")]
    Migration(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error(
        "the database was made by a newer netbit (it has migration {0}); use that version or a newer one"
    )]
    SchemaTooNew(String),
    #[error("the database is damaged: {0}")]
    Damaged(String),
    #[error("cannot keep a copy of the database: {0}")]
    Copy(#[source] std::io::Error),
    #[error(transparent)]
    Postgres(#[from] postgres::PostgresError),
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

/// Returns the one integer that `sql` selects as `value`.
pub fn integer(connection: &mut SqliteConnection, sql: &str) -> QueryResult<i64> {
    Ok(diesel::sql_query(sql).get_result::<Number>(connection)?.value)
}

/// Opens the one writable connection. The checkpointer runs checkpoints, so automatic ones are off.
pub fn open_writer(path: &Path, synchronous: Synchronous) -> Result<SqliteConnection, DatabaseError> {
    let mut connection = establish(&path.display().to_string(), path)?;
    let level = match synchronous {
        Synchronous::Full => "FULL",
        Synchronous::Normal => "NORMAL",
    };
    wait_for_locks(&mut connection, WRITER_WAIT)?;
    connection.batch_execute(&format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = {level}; \
         PRAGMA foreign_keys = ON; PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -16000; \
         PRAGMA journal_size_limit = 67108864; PRAGMA temp_store = MEMORY;"
    ))?;
    let version = integer(
        &mut connection,
        "SELECT CAST(substr(v,1,instr(v,'.')-1) AS INTEGER)*1000000 \
         + CAST(substr(v,instr(v,'.')+1,instr(substr(v,instr(v,'.')+1),'.')-1) AS INTEGER)*1000 \
         + CAST(substr(substr(v,instr(v,'.')+1),instr(substr(v,instr(v,'.')+1),'.')+1) AS INTEGER) AS value \
         FROM (SELECT sqlite_version() AS v)",
    )?;
    if version < SQLITE_VERSION_MIN {
        return Err(DatabaseError::TooOld(version));
    }
    Ok(connection)
}

/// Opens a connection that cannot write.
pub fn open_reader(path: &Path) -> Result<SqliteConnection, DatabaseError> {
    let mut connection = establish(&path.display().to_string(), path)?;
    prepare_reader(&mut connection)?;
    Ok(connection)
}

pub fn prepare_reader(connection: &mut SqliteConnection) -> QueryResult<()> {
    connection.batch_execute("PRAGMA busy_timeout = 2000; PRAGMA query_only = ON; PRAGMA cache_size = -4000;")
}

fn establish(url: &str, path: &Path) -> Result<SqliteConnection, DatabaseError> {
    SqliteConnection::establish(url).map_err(|source| DatabaseError::Open { path: path.to_owned(), source })
}

/// Sets how long statements of this connection wait for locks of others.
pub fn wait_for_locks(connection: &mut SqliteConnection, wait: Duration) -> QueryResult<()> {
    connection.batch_execute(&format!("PRAGMA busy_timeout = {}", wait.as_millis()))
}

/// How long the writer waits for a lock.
const WRITER_WAIT: Duration = Duration::from_secs(5);

/// Returns whether the statement caused the error. The database itself works.
pub fn is_constraint_violation(error: &QueryError) -> bool {
    use diesel::result::DatabaseErrorKind as Kind;
    match error {
        QueryError::DatabaseError(kind, _) => matches!(
            kind,
            Kind::UniqueViolation | Kind::ForeignKeyViolation | Kind::NotNullViolation | Kind::CheckViolation
        ),
        QueryError::NotFound | QueryError::SerializationError(_) | QueryError::DeserializationError(_) => {
            true
        }
        _ => false,
    }
}

/// Returns whether the statement failed because the disk is full. The transaction has ended and may
/// be retried later.
pub fn is_full(error: &diesel::result::Error) -> bool {
    matches!(error, diesel::result::Error::DatabaseError(_, info)
        if info.message().contains("is full") || info.message().contains("No space left on device"))
}

/// Returns whether another connection holds the lock that the statement needs.
pub fn is_busy(error: &diesel::result::Error) -> bool {
    matches!(error, diesel::result::Error::DatabaseError(_, info) if info.message().contains("is locked"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bundled_sqlite_has_the_configured_options() {
        let dir = tempfile::tempdir().unwrap();
        let mut connection = open_writer(&dir.path().join("netbit.db"), Synchronous::Full).unwrap();
        let options = "SELECT count(*) AS value FROM pragma_compile_options
            WHERE compile_options IN ('ENABLE_QPSG', 'THREADSAFE=2')";
        let found = integer(&mut connection, options).unwrap();
        assert_eq!(found, 2, "it works without .cargo/config.toml, and is several times slower");
    }

    #[test]
    fn reader_cannot_write() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("netbit.db");
        migrate(&mut open_writer(&path, Synchronous::Full).unwrap(), &path).unwrap();
        let mut reader = open_reader(&path).unwrap();
        assert!(reader.batch_execute("INSERT INTO meta (key, value) VALUES ('x', 1)").is_err());
    }
}
