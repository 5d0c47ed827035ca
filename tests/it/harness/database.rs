//! SQL of a test on the database of its server, which is a file or on PostgreSQL.

use std::path::Path;

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use netbit::core::config::{Config, DataDirPath, Synchronous};
use netbit::core::database::{Db, Source, integrity};
use netbit::storage::commit_log;

use super::postgres;

/// A connection to the database of a data directory.
pub(crate) struct TestDatabase(Db);

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

/// Opens a connection that cannot write.
pub(crate) fn reader(directory: &Path) -> TestDatabase {
    TestDatabase(source(directory).open_reader().unwrap())
}

/// Opens a connection that can write.
pub(crate) fn writer(directory: &Path) -> TestDatabase {
    TestDatabase(source(directory).open_writer(Synchronous::Full).unwrap())
}

/// Returns the number of the last commit.
pub(crate) fn last_commit(directory: &Path) -> i64 {
    commit_log::last(&mut reader(directory).0).unwrap()
}

/// Fails if the file of the database is damaged. PostgreSQL checks its own files.
pub(crate) fn assert_integrity(directory: &Path) {
    if let Db::Sqlite(mut db) = reader(directory).0 {
        assert_eq!(integrity(&mut db).unwrap(), Vec::<String>::new());
    }
}

/// Returns the bytes that the database stores.
pub(crate) fn content(directory: &Path) -> Vec<u8> {
    if let Some(dump) = postgres::dump(directory) {
        return dump;
    }
    let mut bytes = std::fs::read(directory.join("netbit.db")).unwrap();
    bytes.extend(std::fs::read(directory.join("netbit.db-wal")).unwrap_or_default());
    bytes
}

/// Returns the SQL literal of bytes.
pub(crate) fn bytes(bytes: &[u8]) -> String {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    if postgres::is_used() { format!("'\\x{hex}'::bytea") } else { format!("x'{hex}'") }
}

fn source(directory: &Path) -> Source {
    let mut config = Config { data_dir: DataDirPath(directory.to_owned()), ..Config::default() };
    postgres::configure(&mut config);
    Source::of(&config).unwrap()
}

impl TestDatabase {
    /// Returns the one integer that `sql` selects as `value`.
    pub(crate) fn integer(&mut self, sql: &str) -> i64 {
        let query = diesel::sql_query(sql);
        let found: Number = match &mut self.0 {
            Db::Sqlite(db) => query.get_result(db).unwrap(),
            Db::Postgres(db) => query.get_result(&mut db.queries).unwrap(),
        };
        found.value
    }

    /// Executes a statement. Returns the number of changed rows.
    pub(crate) fn execute(&mut self, sql: &str) -> usize {
        let query = diesel::sql_query(sql);
        match &mut self.0 {
            Db::Sqlite(db) => query.execute(db).unwrap(),
            Db::Postgres(db) => query.execute(&mut db.queries).unwrap(),
        }
    }

    /// Begins a transaction that makes the writer of the server wait.
    pub(crate) fn begin_write(&mut self) {
        self.batch_execute(match self.0 {
            Db::Sqlite(_) => "BEGIN IMMEDIATE",
            Db::Postgres(_) => {
                "SET idle_in_transaction_session_timeout = 0; BEGIN; LOCK TABLE commits IN EXCLUSIVE MODE"
            }
        });
    }

    /// Executes statements.
    pub(crate) fn batch_execute(&mut self, sql: &str) {
        self.try_batch_execute(sql).unwrap();
    }

    /// Executes statements that may fail.
    pub(crate) fn try_batch_execute(&mut self, sql: &str) -> QueryResult<()> {
        self.0.batch_execute(sql)
    }
}
