//! The index of the search for messages: a file of SQLite next to the database, on either engine.
//!
//! The table `documents` is an FTS5 table without contents: it holds the terms of
//! [`message_terms`](crate::domain::search::message_terms), not the messages. `marks` holds for
//! each chat the seq up to which its messages are in the index. Both are written in one
//! transaction, so a kill leaves an index that continues where it ended.
//!
//! The index is disposable. It is in no backup, and is built again if it is missing, damaged, of
//! another version of the terms, or of another database. Writes are not fsynced: after a power
//! failure, which another boot of the machine shows, it is built again too.

mod differences;
mod find;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel::sqlite::SqliteConnection;

pub use find::{FindEnd, FoundIds, IndexQuery};

use crate::core::database::{self, is_full};
use crate::core::private_file;
use crate::domain::ids::{ChatId, MessageId, Seq};
use crate::domain::search;

/// The version of the tables below.
const SCHEMA: i64 = 1;

/// `prefix`: the first three characters of each term have a list of their own, so that the
/// beginnings that most words share are found as fast as a word. The tokenizer separates at spaces
/// only: terms have no other ASCII characters than letters, digits, `.` and `=`.
const TABLES: &str = "
    CREATE TABLE meta (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE marks (chat_id INTEGER PRIMARY KEY, seq INTEGER NOT NULL, trimmed_seq INTEGER NOT NULL);
    CREATE VIRTUAL TABLE documents USING fts5(
        terms, chat_id UNINDEXED, content = '', contentless_delete = 1, contentless_unindexed = 1,
        detail = none, prefix = '3', tokenize = \"ascii tokenchars '.='\"
    );";

diesel::table! {
    documents (id) {
        #[sql_name = "rowid"]
        id -> BigInt,
        terms -> Text,
        chat_id -> BigInt,
    }
}

diesel::table! {
    marks (chat_id) {
        chat_id -> BigInt,
        seq -> BigInt,
        trimmed_seq -> BigInt,
    }
}

#[derive(Debug, thiserror::Error)]
pub enum SearchIndexError {
    #[error("cannot open {}: {source}", .path.display())]
    Open { path: PathBuf, source: diesel::ConnectionError },
    #[error("{}: {source}", .path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("the search index failed: {0}")]
    Query(#[from] diesel::result::Error),
}

impl SearchIndexError {
    /// Returns whether the disk is full. The index itself may be intact.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Query(error) => is_full(error),
            Self::Io { source, .. } => source.kind() == io::ErrorKind::StorageFull,
            Self::Open { .. } => false,
        }
    }
}

/// The reason why an index is built from the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rebuild {
    Missing,
    Damaged,
    OtherVersion,
    OtherDatabase,
    PowerFailure,
}

impl Rebuild {
    pub fn reason(self) -> &'static str {
        match self {
            Self::Missing => "it does not exist",
            Self::Damaged => "it is damaged",
            Self::OtherVersion => "another version of netbit made it",
            Self::OtherDatabase => "it belongs to another database",
            Self::PowerFailure => "the machine stopped while it was written",
        }
    }
}

/// How far a chat is in the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark {
    /// The events up to this seq are in the index.
    pub seq: Seq,
    /// The trimmed part of the chat whose messages were removed from the index.
    pub trimmed: Seq,
}

/// The terms of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    pub id: MessageId,
    pub terms: Vec<String>,
}

/// A change of the index that belongs to one chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatUpdate {
    pub chat: ChatId,
    /// Replace the documents with these ids.
    pub documents: Vec<Document>,
    pub removed: Vec<MessageId>,
    /// `None`: the chat has no mark any more.
    pub mark: Option<Mark>,
}

/// The open index. Dropping it makes it durable.
pub struct SearchIndex {
    db: SqliteConnection,
    path: PathBuf,
    /// Whether it is written without fsyncs, and made durable at the end.
    is_in_use: bool,
}

#[derive(QueryableByName)]
struct Value {
    #[diesel(sql_type = Text)]
    value: String,
}

impl SearchIndex {
    /// Opens the index of the database with this epoch. Makes an empty one if there is none that
    /// can be used, and returns the reason.
    ///
    /// # Errors
    /// If no index can be made.
    pub fn open(path: &Path, epoch: i64) -> Result<(Self, Option<Rebuild>), SearchIndexError> {
        let boot = boot_id();
        let unusable = match Self::open_existing(path, epoch, &boot) {
            Ok(Ok(index)) => return Ok((index, None)),
            Ok(Err(unusable)) => unusable,
            Err(error) if error.is_full() => return Err(error),
            Err(error) => {
                tracing::warn!(error = %error, "the search index cannot be opened");
                Rebuild::Damaged
            }
        };
        Ok((Self::create(path, epoch, &boot)?, Some(unusable)))
    }

    fn open_existing(path: &Path, epoch: i64, boot: &str) -> Result<Result<Self, Rebuild>, SearchIndexError> {
        if !path.exists() {
            return Ok(Err(Rebuild::Missing));
        }
        let mut index = Self::connect(path)?;
        let expected = [("schema", SCHEMA), ("terms", search::VERSION)];
        for (key, version) in expected {
            if index.meta(key)? != version.to_string() {
                return Ok(Err(Rebuild::OtherVersion));
            }
        }
        if index.meta("epoch")? != epoch.to_string() {
            return Ok(Err(Rebuild::OtherDatabase));
        }
        if index.meta("closed")? != "1" && index.meta("boot")? != boot {
            return Ok(Err(Rebuild::PowerFailure));
        }
        // A missing table is an error now, not at the first search.
        index.count()?;
        index.marks()?;
        index.begin_use(boot)?;
        Ok(Ok(index))
    }

    fn create(path: &Path, epoch: i64, boot: &str) -> Result<Self, SearchIndexError> {
        Self::remove(path)?;
        // SQLite gives its other files the mode of this one.
        private_file::create_new(path)
            .map_err(|source| SearchIndexError::Io { path: path.to_owned(), source })?;
        let mut index = Self::connect(path)?;
        index.db.batch_execute(&format!("BEGIN IMMEDIATE; {TABLES} COMMIT;"))?;
        let versions = [("schema", SCHEMA), ("terms", search::VERSION), ("epoch", epoch)];
        for (key, value) in versions {
            index.set_meta(key, &value.to_string())?;
        }
        index.begin_use(boot)?;
        Ok(index)
    }

    /// Deletes the files of an index that is not open.
    pub fn remove(path: &Path) -> Result<(), SearchIndexError> {
        for suffix in ["", "-wal", "-shm", "-journal"] {
            let mut file = path.as_os_str().to_owned();
            file.push(suffix);
            match fs::remove_file(&file) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(SearchIndexError::Io { path: file.into(), source });
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn connect(path: &Path) -> Result<Self, SearchIndexError> {
        let url = path.display().to_string();
        let mut db = SqliteConnection::establish(&url)
            .map_err(|source| SearchIndexError::Open { path: path.to_owned(), source })?;
        db.batch_execute(
            "PRAGMA busy_timeout = 2000; PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; \
             PRAGMA cache_size = -16000; PRAGMA journal_size_limit = 16777216; PRAGMA temp_store = MEMORY;",
        )?;
        Ok(Self { db, path: path.to_owned(), is_in_use: false })
    }

    /// Records durably that the index is written from now on, without fsyncs.
    fn begin_use(&mut self, boot: &str) -> Result<(), SearchIndexError> {
        self.set_meta("boot", boot)?;
        self.set_closed(false)?;
        self.is_in_use = true;
        Ok(())
    }

    fn set_closed(&mut self, closed: bool) -> Result<(), SearchIndexError> {
        self.db.batch_execute("PRAGMA synchronous = FULL")?;
        self.set_meta("closed", if closed { "1" } else { "0" })?;
        self.db.batch_execute("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA synchronous = OFF;")?;
        Ok(())
    }

    /// Makes the index durable.
    fn close(&mut self) -> Result<(), SearchIndexError> {
        // Pages that were written without an fsync come before the record that all are on disk.
        self.db.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)")?;
        let synced = File::open(&self.path).and_then(|file| file.sync_all());
        synced.map_err(|source| SearchIndexError::Io { path: self.path.clone(), source })?;
        self.set_closed(true)
    }

    fn meta(&mut self, key: &str) -> QueryResult<String> {
        let found: Option<Value> = diesel::sql_query("SELECT value FROM meta WHERE key = ?")
            .bind::<Text, _>(key)
            .get_result(&mut self.db)
            .optional()?;
        Ok(found.map(|row| row.value).unwrap_or_default())
    }

    fn set_meta(&mut self, key: &str, value: &str) -> QueryResult<()> {
        diesel::sql_query("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)")
            .bind::<Text, _>(key)
            .bind::<Text, _>(value)
            .execute(&mut self.db)
            .map(drop)
    }

    /// Returns the marks of all chats.
    pub fn marks(&mut self) -> Result<Vec<(ChatId, Mark)>, SearchIndexError> {
        let rows: Vec<(ChatId, i64, i64)> = marks::table.load(&mut self.db)?;
        Ok(rows.into_iter().map(|(chat, seq, trimmed)| (chat, Mark { seq, trimmed })).collect())
    }

    /// Applies changes in one transaction.
    pub fn apply(&mut self, updates: &[ChatUpdate]) -> Result<(), SearchIndexError> {
        self.db.batch_execute("BEGIN IMMEDIATE")?;
        let applied = updates.iter().try_for_each(|update| self.apply_one(update));
        let ended = applied.and_then(|()| self.db.batch_execute("COMMIT"));
        if ended.is_err() {
            // SQLite may have ended the transaction already.
            drop(self.db.batch_execute("ROLLBACK"));
        }
        Ok(ended?)
    }

    fn apply_one(&mut self, update: &ChatUpdate) -> QueryResult<()> {
        for id in &update.removed {
            diesel::delete(documents::table.find(id)).execute(&mut self.db)?;
        }
        for document in &update.documents {
            let terms = document.terms.join(" ");
            let row = (
                documents::id.eq(document.id),
                documents::terms.eq(terms),
                documents::chat_id.eq(update.chat),
            );
            diesel::replace_into(documents::table).values(row).execute(&mut self.db)?;
        }
        match update.mark {
            Some(Mark { seq, trimmed }) => {
                let row =
                    (marks::chat_id.eq(update.chat), marks::seq.eq(seq), marks::trimmed_seq.eq(trimmed));
                diesel::replace_into(marks::table).values(row).execute(&mut self.db)?;
            }
            None => drop(diesel::delete(marks::table.find(update.chat)).execute(&mut self.db)?),
        }
        Ok(())
    }

    /// Returns the number of messages in the index.
    pub fn count(&mut self) -> Result<i64, SearchIndexError> {
        Ok(database::integer(&mut self.db, "SELECT count(*) AS value FROM documents_docsize")?)
    }

    /// Returns the size of the file in bytes.
    pub fn bytes(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |file| file.len())
    }
}

impl Drop for SearchIndex {
    fn drop(&mut self) {
        if !self.is_in_use {
            return;
        }
        if let Err(error) = self.close() {
            tracing::debug!(error = %error, "the search index is not durable: it is built again after a power failure");
        }
    }
}

/// Returns an id that changes with each boot of the machine. Without one, an index that was not
/// closed cannot be used again.
fn boot_id() -> String {
    let read = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    read.map_or_else(|_| format!("{:032x}", rand::random::<u128>()), |id| id.trim().to_owned())
}

#[cfg(test)]
mod tests;
