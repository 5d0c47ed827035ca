//! Connections to either engine.

use std::path::PathBuf;
use std::sync::Arc;

use diesel::QueryResult;
use diesel::connection::SimpleConnection;
use diesel::sqlite::SqliteConnection;

use super::postgres::{Postgres, Purpose, Server};
use super::{DatabaseError, open_reader, open_writer};
use crate::core::config::{Config, Synchronous};
use crate::core::data_dir::DataDir;

/// Where the database is.
#[derive(Debug, Clone)]
pub enum Source {
    /// A file of SQLite, which this process alone writes.
    File(PathBuf),
    /// PostgreSQL, which several nodes may write.
    Server(Arc<Server>),
}

impl Source {
    /// Returns where the database of this configuration is. Opens no connection.
    pub fn of(config: &Config) -> Result<Self, DatabaseError> {
        match config.database_url() {
            Some(url) => Ok(Self::Server(Server::new(url)?)),
            None => Ok(Self::File(DataDir::database_in(&config.data_dir.0))),
        }
    }

    /// Opens the writer's connection. `synchronous` is for SQLite.
    pub fn open_writer(&self, synchronous: Synchronous) -> Result<Db, DatabaseError> {
        match self {
            Self::File(path) => open_writer(path, synchronous).map(Db::Sqlite),
            Self::Server(server) => Ok(Db::Postgres(Box::new(server.connect(Purpose::Writer)?))),
        }
    }

    /// Opens a connection that cannot write.
    pub fn open_reader(&self) -> Result<Db, DatabaseError> {
        match self {
            Self::File(path) => open_reader(path).map(Db::Sqlite),
            Self::Server(server) => Ok(Db::Postgres(Box::new(server.connect(Purpose::Reader)?))),
        }
    }

    /// Returns the path of the file, if the database is one.
    pub fn file(&self) -> Option<&PathBuf> {
        match self {
            Self::File(path) => Some(path),
            Self::Server(_) => None,
        }
    }
}

/// A connection to SQLite or PostgreSQL. The functions of `storage` choose their SQL by its kind.
pub enum Db {
    Sqlite(SqliteConnection),
    /// Boxed: the larger of the two by far.
    Postgres(Box<Postgres>),
}

impl Db {
    /// Executes SQL that is the same on both engines, without results.
    pub fn batch_execute(&mut self, sql: &str) -> QueryResult<()> {
        match self {
            Self::Sqlite(db) => db.batch_execute(sql),
            Self::Postgres(db) => db.queries.batch_execute(sql),
        }
    }

    /// Begins a transaction that writes, outside of the writer's batches.
    pub fn begin_write(&mut self) -> QueryResult<()> {
        match self {
            Self::Sqlite(db) => db.batch_execute("BEGIN IMMEDIATE"),
            Self::Postgres(db) => db.queries.batch_execute("BEGIN"),
        }
    }

    /// Begins a transaction in which all reads see the same commit.
    pub fn begin_read(&mut self) -> QueryResult<()> {
        match self {
            Self::Sqlite(db) => db.batch_execute("BEGIN"),
            Self::Postgres(db) => db.queries.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"),
        }
    }

    /// Records that the connection was lost: a pool replaces it.
    pub fn mark_broken(&mut self) {
        if let Self::Postgres(db) = self {
            db.is_broken = true;
        }
    }

    pub fn is_broken(&self) -> bool {
        matches!(self, Self::Postgres(db) if db.is_broken || db.has_ended())
    }

    /// Returns the connection to SQLite, for its checkpoints.
    pub fn as_sqlite(&mut self) -> Option<&mut SqliteConnection> {
        match self {
            Self::Sqlite(db) => Some(db),
            Self::Postgres(_) => None,
        }
    }

    /// Returns the connection of a test to SQLite.
    #[cfg(test)]
    pub fn sqlite(&mut self) -> &mut SqliteConnection {
        match self {
            Self::Sqlite(db) => db,
            Self::Postgres(_) => panic!("the test has a connection to PostgreSQL"),
        }
    }
}

impl From<SqliteConnection> for Db {
    fn from(db: SqliteConnection) -> Self {
        Self::Sqlite(db)
    }
}
