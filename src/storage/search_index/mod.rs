//! The index of the search: a file of SQLite next to the database, on either engine.
//!
//! `repositories` has the tables of files and commits.
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
mod find_in_repositories;
mod repositories;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

pub use find::{FindEnd, FoundIds, IndexQuery};
pub use find_in_repositories::{CommitRow, FileRow, FoundRows, RepositoryQuery, commit_ids_between};
pub use repositories::{
    IndexedCommit, IndexedFile, IndexedSize, KnownFile, RepositoryMark, RepositoryUpdate,
};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, TransactionBehavior, params};

use crate::core::private_file;
use crate::domain::ids::{ChatId, MessageId, Seq};
use crate::domain::search;

/// The version of the tables below.
const SCHEMA: i64 = 4;

/// `prefix`: the first three and four characters of each term have lists of their own, so that the
/// beginnings that most words share are found as fast as a word. The tokenizer separates at spaces
/// only: terms have no other ASCII characters than letters, digits, `.` and `=`.
const TABLES: &str = "
    CREATE TABLE meta (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE marks (chat_id INTEGER PRIMARY KEY, seq INTEGER NOT NULL, trimmed_seq INTEGER NOT NULL);
    CREATE VIRTUAL TABLE documents USING fts5(
        terms, chat_id UNINDEXED, content = '', contentless_delete = 1, contentless_unindexed = 1,
        detail = none, prefix = '3 4', tokenize = \"ascii tokenchars '.='\"
    );
    INSERT INTO documents (documents, rank) VALUES ('automerge', 0);";

/// Each change of the index adds a part to it, and parts are merged. FTS5 would merge some hundred
/// pages from time to time, while searches wait. Instead, each change merges about as many pages as
/// it causes: this number, and another for some changed messages.
const MERGED_PAGES: usize = 8;
const MESSAGES_PER_MERGED_PAGE: usize = 4;

/// Parts of messages of SQLite about a table that is missing or not readable, which have no code of
/// their own.
const DAMAGES: [&str; 5] =
    ["malformed", "no such table", "no such column", "vtable constructor failed", "invalid fts5 file format"];

#[derive(Debug, thiserror::Error)]
pub enum SearchIndexError {
    #[error("{}: {source}", .path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("the search index failed: {0}")]
    Query(#[from] rusqlite::Error),
}

impl SearchIndexError {
    /// Returns whether the file is not a complete index. It must be deleted. After any other error,
    /// such as a full disk, it may be intact.
    pub fn is_damage(&self) -> bool {
        let Self::Query(error) = self else { return false };
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => true,
            Some(ErrorCode::Unknown) => {
                let message = error.to_string();
                DAMAGES.iter().any(|damage| message.contains(damage))
            }
            Some(_) => false,
            // A value that the index does not write.
            None => true,
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
    OtherLimits,
    PowerFailure,
}

impl Rebuild {
    pub fn reason(self) -> &'static str {
        match self {
            Self::Missing => "it does not exist",
            Self::Damaged => "it is damaged",
            Self::OtherVersion => "another version of netbit made it",
            Self::OtherDatabase => "it belongs to another database",
            Self::OtherLimits => "limits of what it has of repositories were changed",
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
    db: Connection,
    path: PathBuf,
    /// Whether it is written without fsyncs, and made durable at the end.
    is_in_use: bool,
}

impl SearchIndex {
    /// Opens the index of the database with this epoch. Makes an empty one if there is none that
    /// can be used, and returns the reason. `limits` is a text of the limits of what the index has:
    /// with others, it is built again.
    ///
    /// # Errors
    /// If no index can be made.
    pub fn open(path: &Path, epoch: i64, limits: &str) -> Result<(Self, Option<Rebuild>), SearchIndexError> {
        let boot = boot_id();
        let unusable = match Self::open_existing(path, epoch, limits, &boot) {
            Ok(Ok(index)) => return Ok((index, None)),
            Ok(Err(unusable)) => unusable,
            Err(error) if error.is_damage() => {
                tracing::warn!(error = %error, "the search index is damaged");
                Rebuild::Damaged
            }
            Err(error) => return Err(error),
        };
        Ok((Self::create(path, epoch, limits, &boot)?, Some(unusable)))
    }

    fn open_existing(
        path: &Path,
        epoch: i64,
        limits: &str,
        boot: &str,
    ) -> Result<Result<Self, Rebuild>, SearchIndexError> {
        if !path.exists() {
            return Ok(Err(Rebuild::Missing));
        }
        let index = Self::connect(path)?;
        let expected = [("schema", SCHEMA), ("terms", search::VERSION)];
        for (key, version) in expected {
            if index.meta(key)? != version.to_string() {
                return Ok(Err(Rebuild::OtherVersion));
            }
        }
        if index.meta("epoch")? != epoch.to_string() {
            return Ok(Err(Rebuild::OtherDatabase));
        }
        if index.meta("limits")? != limits {
            return Ok(Err(Rebuild::OtherLimits));
        }
        if index.meta("closed")? != "1" && index.meta("boot")? != boot {
            return Ok(Err(Rebuild::PowerFailure));
        }
        // A missing table is an error now, not at the first search.
        index.count()?;
        index.marks()?;
        index.file_count()?;
        index.repository_marks()?;
        Ok(Ok(index.begin_use(boot)?))
    }

    fn create(path: &Path, epoch: i64, limits: &str, boot: &str) -> Result<Self, SearchIndexError> {
        Self::remove(path)?;
        // SQLite gives its other files the mode of this one.
        private_file::create_new(path)
            .map_err(|source| SearchIndexError::Io { path: path.to_owned(), source })?;
        let index = Self::connect(path)?;
        index.db.execute_batch(&format!("BEGIN IMMEDIATE; {TABLES} {} COMMIT;", repositories::TABLES))?;
        let versions = [("schema", SCHEMA), ("terms", search::VERSION), ("epoch", epoch)];
        for (key, value) in versions {
            index.set_meta(key, &value.to_string())?;
        }
        index.set_meta("limits", limits)?;
        index.begin_use(boot)
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
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(path, flags)?;
        db.execute_batch(
            "PRAGMA busy_timeout = 2000; PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; \
             PRAGMA cache_size = -16000; PRAGMA journal_size_limit = 16777216; PRAGMA temp_store = MEMORY;",
        )?;
        Ok(Self { db, path: path.to_owned(), is_in_use: false })
    }

    /// Records durably that the index is written from now on, without fsyncs.
    fn begin_use(mut self, boot: &str) -> Result<Self, SearchIndexError> {
        self.set_meta("boot", boot)?;
        self.set_closed(false)?;
        self.is_in_use = true;
        Ok(self)
    }

    fn set_closed(&self, closed: bool) -> Result<(), SearchIndexError> {
        self.db.execute_batch("PRAGMA synchronous = FULL")?;
        self.set_meta("closed", if closed { "1" } else { "0" })?;
        self.db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA synchronous = OFF;")?;
        Ok(())
    }

    /// Makes the index durable.
    fn close(&self) -> Result<(), SearchIndexError> {
        // Pages that were written without an fsync come before the record that all are on disk.
        self.db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
        let synced = File::open(&self.path).and_then(|file| file.sync_all());
        synced.map_err(|source| SearchIndexError::Io { path: self.path.clone(), source })?;
        self.set_closed(true)
    }

    fn meta(&self, key: &str) -> rusqlite::Result<String> {
        let found = self.db.query_row("SELECT value FROM meta WHERE key = ?", [key], |row| row.get(0));
        Ok(found.optional()?.unwrap_or_default())
    }

    fn set_meta(&self, key: &str, value: &str) -> rusqlite::Result<()> {
        self.db.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", [key, value]).map(drop)
    }

    /// Returns the marks of all chats.
    pub fn marks(&self) -> Result<Vec<(ChatId, Mark)>, SearchIndexError> {
        let mut statement = self.db.prepare("SELECT chat_id, seq, trimmed_seq FROM marks")?;
        let rows = statement
            .query_map([], |row| Ok((ChatId(row.get(0)?), Mark { seq: row.get(1)?, trimmed: row.get(2)? })));
        Ok(rows?.collect::<Result<_, _>>()?)
    }

    /// Applies changes in one transaction.
    pub fn apply(&mut self, updates: &[ChatUpdate]) -> Result<(), SearchIndexError> {
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        apply(&transaction, updates)?;
        Ok(transaction.commit()?)
    }

    /// Returns the number of messages in the index.
    pub fn count(&self) -> Result<i64, SearchIndexError> {
        Ok(self.db.query_row("SELECT count(*) FROM documents_docsize", [], |row| row.get(0))?)
    }

    /// Returns the size of the file in bytes.
    pub fn bytes(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |file| file.len())
    }
}

fn apply(db: &Connection, updates: &[ChatUpdate]) -> rusqlite::Result<()> {
    let mut remove = db.prepare("DELETE FROM documents WHERE rowid = ?")?;
    let mut write = db.prepare("REPLACE INTO documents (rowid, terms, chat_id) VALUES (?, ?, ?)")?;
    let mut set_mark = db.prepare("REPLACE INTO marks (chat_id, seq, trimmed_seq) VALUES (?, ?, ?)")?;
    let mut remove_mark = db.prepare("DELETE FROM marks WHERE chat_id = ?")?;
    let mut changed = 0;
    for ChatUpdate { chat, documents, removed, mark } in updates {
        changed += documents.len() + removed.len();
        for id in removed {
            remove.execute([id.0])?;
        }
        for Document { id, terms } in documents {
            write.execute(params![id.0, terms.join(" "), chat.0])?;
        }
        match mark {
            Some(Mark { seq, trimmed }) => set_mark.execute([chat.0, *seq, *trimmed])?,
            None => remove_mark.execute([chat.0])?,
        };
    }
    if changed > 0 {
        let pages = MERGED_PAGES + changed / MESSAGES_PER_MERGED_PAGE;
        let merge = "INSERT INTO documents (documents, rank) VALUES ('merge', ?)";
        db.execute(merge, [i64::try_from(pages).unwrap_or(i64::MAX)])?;
    }
    Ok(())
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
mod repositories_test;
#[cfg(test)]
mod tests;
