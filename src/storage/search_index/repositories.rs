//! The files and commits of repositories in the index.
//!
//! `files` has each file of the indexed commit, `code` the trigrams of those that are text, with
//! the same rowid. Dense files, which are read for each query, have negative ids: they come after
//! all others. `commits` has the commits that lead to it, `commit_terms` their words. The id of
//! a commit begins with its time, so that newer commits have higher ids in all repositories.
//! `repositories` has the commit that was indexed, and the size of the files. It is written in the
//! transaction of the rows.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};

use super::{SearchIndex, SearchIndexError};
use crate::domain::ids::RepositoryId;
use crate::domain::search::CodeTerms;
use crate::domain::timestamp::Timestamp;

pub(super) const TABLES: &str = "
    CREATE TABLE repositories (
        repository_id INTEGER PRIMARY KEY, oid TEXT, is_whole INTEGER NOT NULL,
        is_files_cut INTEGER NOT NULL, is_commits_cut INTEGER NOT NULL,
        files INTEGER NOT NULL, bytes INTEGER NOT NULL, terms INTEGER NOT NULL, dense INTEGER NOT NULL
    );
    CREATE TABLE files (
        id INTEGER PRIMARY KEY AUTOINCREMENT, repository_id INTEGER NOT NULL, path BLOB NOT NULL,
        oid TEXT NOT NULL, bytes INTEGER NOT NULL, terms INTEGER NOT NULL, is_text INTEGER NOT NULL,
        UNIQUE (repository_id, path)
    );
    CREATE VIRTUAL TABLE code USING fts5(
        terms, content = '', contentless_delete = 1, detail = none, tokenize = \"ascii tokenchars '='\"
    );
    CREATE TABLE commits (
        id INTEGER PRIMARY KEY, repository_id INTEGER NOT NULL, oid TEXT NOT NULL, UNIQUE (repository_id, oid)
    );
    CREATE VIRTUAL TABLE commit_terms USING fts5(
        terms, content = '', contentless_delete = 1, detail = none, prefix = '3',
        tokenize = \"ascii tokenchars '.='\"
    );";

/// Bits of the id of a commit below its time, in seconds. Commits of the same second get the next
/// free ids.
const COMMIT_BITS: u32 = 28;
/// Comes before the id of a dense file without room.
const WITHOUT_ROOM: char = '=';

/// How far a repository is in the index.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RepositoryMark {
    /// The commit of the default branch; `None` without one.
    pub oid: Option<String>,
    /// Whether the index has exactly this commit. Otherwise it has a part of the changes to it.
    pub is_whole: bool,
    /// Whether a limit left out files.
    pub is_files_cut: bool,
    /// Whether a limit left out commits.
    pub is_commits_cut: bool,
}

/// A file of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexedFile {
    pub path: Vec<u8>,
    /// Of a file without room for its text, it is empty, or that of
    /// [`dense_without_room`](Self::dense_without_room).
    pub oid: String,
    /// The size of the text.
    pub bytes: usize,
    /// `None`: the file is not text, or is too large.
    pub terms: Option<CodeTerms>,
}

impl IndexedFile {
    /// Returns the id in the index of a dense file without room.
    pub fn dense_without_room(oid: &str) -> String {
        format!("{WITHOUT_ROOM}{oid}")
    }
}

/// A commit of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexedCommit {
    pub oid: String,
    pub committed_at: Timestamp,
    pub terms: Vec<String>,
}

/// A change of the index that belongs to one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryUpdate {
    pub repository: RepositoryId,
    pub files: Vec<IndexedFile>,
    pub removed_files: Vec<Vec<u8>>,
    pub commits: Vec<IndexedCommit>,
    pub removed_commits: Vec<String>,
    pub mark: RepositoryMark,
}

/// The number of the files of a repository, the bytes and different terms of their texts, and the
/// bytes of those that are dense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IndexedSize {
    pub files: usize,
    pub bytes: usize,
    pub terms: usize,
    pub dense: usize,
}

impl IndexedSize {
    /// Reads the four columns from `first` on.
    fn of(row: &Row<'_>, first: usize) -> rusqlite::Result<Self> {
        let count = |at: usize| -> rusqlite::Result<usize> {
            Ok(usize::try_from(row.get::<_, i64>(first + at)?).unwrap_or_default())
        };
        Ok(Self { files: count(0)?, bytes: count(1)?, terms: count(2)?, dense: count(3)? })
    }

    /// Returns the size without a file. The number of files stays.
    pub fn without(self, file: Self) -> Self {
        Self {
            files: self.files,
            bytes: self.bytes.saturating_sub(file.bytes),
            terms: self.terms.saturating_sub(file.terms),
            dense: self.dense.saturating_sub(file.dense),
        }
    }
}

/// A file that the index has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownFile {
    pub path: Vec<u8>,
    pub oid: String,
    /// The size of this file.
    pub size: IndexedSize,
}

impl KnownFile {
    /// Returns whether the repository had no room for the text.
    pub fn is_without_room(&self) -> bool {
        self.oid.is_empty() || self.dense_oid().is_some()
    }

    /// Returns the id of a dense file without room.
    pub fn dense_oid(&self) -> Option<&str> {
        self.oid.strip_prefix(WITHOUT_ROOM)
    }
}

/// Rows that were added, less those that were removed.
#[derive(Debug, Default)]
struct Growth {
    files: i64,
    bytes: i64,
    terms: i64,
    dense: i64,
}

impl Growth {
    fn removed(&mut self, id: i64, (bytes, terms): (i64, i64)) {
        self.files -= 1;
        self.bytes -= bytes;
        self.terms -= terms;
        if id < 0 {
            self.dense -= bytes;
        }
    }
}

/// Returns the lowest id of commits at a time.
pub(super) fn commit_id(at: Timestamp) -> i64 {
    let seconds = at.0.div_euclid(1_000).clamp(0, (1 << (62 - COMMIT_BITS)) - 1);
    seconds << COMMIT_BITS
}

impl SearchIndex {
    /// Returns the marks of all repositories.
    pub fn repository_marks(&self) -> Result<Vec<(RepositoryId, RepositoryMark)>, SearchIndexError> {
        let marks = "SELECT repository_id, oid, is_whole, is_files_cut, is_commits_cut FROM repositories";
        let mut statement = self.db.prepare(marks)?;
        let rows = statement.query_map([], |row| {
            let (oid, is_whole) = (row.get(1)?, row.get(2)?);
            let (is_files_cut, is_commits_cut) = (row.get(3)?, row.get(4)?);
            let mark = RepositoryMark { oid, is_whole, is_files_cut, is_commits_cut };
            Ok((RepositoryId(row.get(0)?), mark))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Returns the files of a repository, by path.
    pub fn files_of(&self, repository: RepositoryId) -> Result<Vec<KnownFile>, SearchIndexError> {
        let select = "SELECT path, oid, 1, bytes, terms, iif(id < 0, bytes, 0) FROM files
            WHERE repository_id = ? ORDER BY path";
        let mut statement = self.db.prepare(select)?;
        let rows = statement.query_map([repository.0], |row| {
            Ok(KnownFile { path: row.get(0)?, oid: row.get(1)?, size: IndexedSize::of(row, 2)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Returns the ids of the commits of a repository.
    pub fn commits_of(&self, repository: RepositoryId) -> Result<HashSet<String>, SearchIndexError> {
        let mut statement = self.db.prepare("SELECT oid FROM commits WHERE repository_id = ?")?;
        let rows = statement.query_map([repository.0], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Returns the size of a repository in the index.
    pub fn size_of(&self, repository: RepositoryId) -> Result<IndexedSize, SearchIndexError> {
        let size = "SELECT files, bytes, terms, dense FROM repositories WHERE repository_id = ?";
        let found = self.db.query_row(size, [repository.0], |row| IndexedSize::of(row, 0));
        Ok(found.optional()?.unwrap_or_default())
    }

    /// Returns the number of files in the index.
    pub fn file_count(&self) -> Result<i64, SearchIndexError> {
        Ok(self.db.query_row("SELECT count(*) FROM files", [], |row| row.get(0))?)
    }

    /// Returns the number of commits in the index.
    pub fn commit_count(&self) -> Result<i64, SearchIndexError> {
        Ok(self.db.query_row("SELECT count(*) FROM commits", [], |row| row.get(0))?)
    }

    /// Returns the bytes of the pages in use. The file does not shrink when rows are removed.
    pub fn used_bytes(&self) -> Result<u64, SearchIndexError> {
        let pragma = |name: &str| -> rusqlite::Result<u64> {
            let value: i64 = self.db.pragma_query_value(None, name, |row| row.get(0))?;
            Ok(u64::try_from(value).unwrap_or_default())
        };
        let pages = pragma("page_count")?.saturating_sub(pragma("freelist_count")?);
        Ok(pages.saturating_mul(pragma("page_size")?))
    }

    /// Applies a change in one transaction. Returns the size of the repository after it.
    pub fn apply_repository(&mut self, update: &RepositoryUpdate) -> Result<IndexedSize, SearchIndexError> {
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let size = apply(&transaction, update)?;
        transaction.commit()?;
        Ok(size)
    }

    /// Removes at most `limit` files and as many commits of a repository, and its mark with the
    /// last of them. Returns whether nothing is left.
    pub fn remove_repository(
        &mut self,
        repository: RepositoryId,
        limit: usize,
    ) -> Result<bool, SearchIndexError> {
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let limit_of = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut growth = Growth::default();
        let files = "SELECT id, bytes, terms FROM files WHERE repository_id = ? LIMIT ?";
        let files: Vec<(i64, (i64, i64))> = transaction
            .prepare(files)?
            .query_map([repository.0, limit_of], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?
            .collect::<Result<_, _>>()?;
        for (id, size) in &files {
            transaction.execute("DELETE FROM code WHERE rowid = ?", [id])?;
            transaction.execute("DELETE FROM files WHERE id = ?", [id])?;
            growth.removed(*id, *size);
        }
        let commits: Vec<i64> = transaction
            .prepare("SELECT id FROM commits WHERE repository_id = ? LIMIT ?")?
            .query_map([repository.0, limit_of], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        for id in &commits {
            transaction.execute("DELETE FROM commit_terms WHERE rowid = ?", [id])?;
            transaction.execute("DELETE FROM commits WHERE id = ?", [id])?;
        }
        let is_last = files.len().max(commits.len()) < limit.max(1);
        if is_last {
            transaction.execute("DELETE FROM repositories WHERE repository_id = ?", [repository.0])?;
        } else {
            set_mark(&transaction, repository, &RepositoryMark::default(), &growth)?;
        }
        transaction.commit()?;
        Ok(is_last)
    }
}

fn set_mark(
    db: &Connection,
    repository: RepositoryId,
    mark: &RepositoryMark,
    growth: &Growth,
) -> rusqlite::Result<IndexedSize> {
    let RepositoryMark { oid, is_whole, is_files_cut, is_commits_cut } = mark;
    let set = "INSERT INTO repositories
            (repository_id, oid, is_whole, is_files_cut, is_commits_cut, files, bytes, terms, dense)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (repository_id) DO UPDATE SET
            oid = excluded.oid, is_whole = excluded.is_whole,
            is_files_cut = excluded.is_files_cut, is_commits_cut = excluded.is_commits_cut,
            files = files + excluded.files, bytes = bytes + excluded.bytes,
            terms = terms + excluded.terms, dense = dense + excluded.dense
        RETURNING files, bytes, terms, dense";
    let Growth { files, bytes, terms, dense } = growth;
    let values =
        params![repository.0, oid, is_whole, is_files_cut, is_commits_cut, files, bytes, terms, dense];
    db.prepare(set)?.query_row(values, |row| IndexedSize::of(row, 0))
}

fn apply(db: &Connection, update: &RepositoryUpdate) -> rusqlite::Result<IndexedSize> {
    let repository = update.repository.0;
    let mut find = db.prepare("SELECT id, bytes, terms FROM files WHERE repository_id = ? AND path = ?")?;
    let mut remove_terms = db.prepare("DELETE FROM code WHERE rowid = ?")?;
    let mut remove = db.prepare("DELETE FROM files WHERE id = ?")?;
    // The id of a dense file is below all others.
    let mut insert = db.prepare(
        "INSERT INTO files (repository_id, path, oid, bytes, terms, is_text, id) VALUES (?, ?, ?, ?, ?, ?,
            CASE WHEN ? THEN (SELECT min(0, coalesce(min(id), 0)) - 1 FROM files) END)",
    )?;
    let mut insert_terms = db.prepare("INSERT INTO code (rowid, terms) VALUES (?, ?)")?;
    let mut growth = Growth::default();
    let replaced = update.files.iter().map(|file| &file.path);
    for path in update.removed_files.iter().chain(replaced) {
        let size = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, (row.get(1)?, row.get(2)?)));
        if let Some((id, size)) = find.query_row(params![repository, path], size).optional()? {
            remove_terms.execute([id])?;
            remove.execute([id])?;
            growth.removed(id, size);
        }
    }
    for IndexedFile { path, oid, bytes, terms } in &update.files {
        let bytes = i64::try_from(*bytes).unwrap_or(i64::MAX);
        let count = terms.as_ref().map_or(0, |found| found.terms.len());
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let is_dense = terms.as_ref().is_some_and(|found| found.is_dense);
        let id = insert.insert(params![repository, path, oid, bytes, count, terms.is_some(), is_dense])?;
        if let Some(CodeTerms { terms, .. }) = terms {
            insert_terms.execute(params![id, terms.join(" ")])?;
        }
        if is_dense {
            growth.dense = growth.dense.saturating_add(bytes);
        }
        growth.files += 1;
        growth.bytes = growth.bytes.saturating_add(bytes);
        growth.terms = growth.terms.saturating_add(count);
    }
    apply_commits(db, update)?;
    set_mark(db, update.repository, &update.mark, &growth)
}

fn apply_commits(db: &Connection, update: &RepositoryUpdate) -> rusqlite::Result<()> {
    let repository = update.repository.0;
    let mut find = db.prepare("SELECT id FROM commits WHERE repository_id = ? AND oid = ?")?;
    let mut remove_terms = db.prepare("DELETE FROM commit_terms WHERE rowid = ?")?;
    let mut remove = db.prepare("DELETE FROM commits WHERE id = ?")?;
    let mut find_last = db.prepare("SELECT max(id) FROM commits WHERE id >= ? AND id < ?")?;
    let mut insert = db.prepare("INSERT INTO commits (id, repository_id, oid) VALUES (?, ?, ?)")?;
    let mut insert_terms = db.prepare("INSERT INTO commit_terms (rowid, terms) VALUES (?, ?)")?;
    let replaced = update.commits.iter().map(|commit| &commit.oid);
    for oid in update.removed_commits.iter().chain(replaced) {
        let id: Option<i64> = find.query_row(params![repository, oid], |row| row.get(0)).optional()?;
        if let Some(id) = id {
            remove_terms.execute([id])?;
            remove.execute([id])?;
        }
    }
    for IndexedCommit { oid, committed_at, terms } in &update.commits {
        // A plan has the oldest commits first: of the same second, newer commits get higher ids.
        let first = commit_id(*committed_at);
        let last: Option<i64> = find_last.query_row([first, first + (1 << COMMIT_BITS)], |row| row.get(0))?;
        let id = last.map_or(first, |last| last + 1);
        insert.execute(params![id, repository, oid])?;
        insert_terms.execute(params![id, terms.join(" ")])?;
    }
    Ok(())
}
