//! Finds the files and commits of repositories that meet the conditions of a query.

use std::collections::HashSet;
use std::time::Instant;

use rusqlite::{ErrorCode, OptionalExtension, Row, params};

use super::find::{INSTRUCTIONS_PER_CHECK, expression};
use super::repositories::commit_id;
use super::{SearchIndex, SearchIndexError};
use crate::domain::ids::RepositoryId;
use crate::domain::search::{Candidates, SearchQuery};
use crate::domain::timestamp::Timestamp;

/// A query of the index for files or commits: the highest ids first.
pub struct RepositoryQuery<'a> {
    /// They choose the repositories if these are few.
    pub candidates: &'a Candidates,
    /// Rows of other repositories are skipped.
    pub among: &'a HashSet<RepositoryId>,
    /// Only ids above and below.
    pub above: i64,
    pub below: i64,
    pub limit: usize,
    pub rows_max: usize,
    pub until: Instant,
}

/// A file that may be a hit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRow {
    pub id: i64,
    pub repository: RepositoryId,
    pub path: Vec<u8>,
    pub oid: String,
}

/// A commit that may be a hit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitRow {
    pub id: i64,
    pub repository: RepositoryId,
    pub oid: String,
}

/// The rows found, the highest id first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRows<T> {
    pub found: Vec<T>,
    /// Rows that were walked.
    pub rows: usize,
    /// `None`: no other row meets the conditions. Otherwise the search continues below this id.
    pub next: Option<i64>,
    /// Whether the rows or the time ended the query.
    pub is_cut: bool,
}

/// Returns the ids above and below which commits of this time are.
pub fn commit_ids_between(after: Option<Timestamp>, before: Option<Timestamp>) -> (i64, i64) {
    // The ids of a second begin at its own.
    let above = after.map_or(0, |after| commit_id(after).saturating_sub(1));
    let until = |before: Timestamp| commit_id(Timestamp(before.0.saturating_add(1_000)));
    (above, before.map_or(i64::MAX, until))
}

impl SearchIndex {
    /// Returns the files that meet the conditions, and whose paths the query accepts.
    pub fn find_files(
        &self,
        query: &RepositoryQuery<'_>,
        filters: &SearchQuery,
    ) -> Result<FoundRows<FileRow>, SearchIndexError> {
        let row = |row: &Row<'_>| {
            let (repository, path) = (RepositoryId(row.get(0)?), row.get(1)?);
            Ok(FileRow { id: 0, repository, path, oid: row.get(2)? })
        };
        let lookup = "SELECT repository_id, path, oid FROM files WHERE id = ?";
        let keep =
            |file: &FileRow| query.among.contains(&file.repository) && filters.accepts_path(&file.path);
        self.in_time(query.until, || {
            self.walk_table(("code", lookup), query, row, keep, |file, id| FileRow { id, ..file })
        })
    }

    /// Returns the commits that meet the conditions.
    pub fn find_commits(
        &self,
        query: &RepositoryQuery<'_>,
    ) -> Result<FoundRows<CommitRow>, SearchIndexError> {
        let row =
            |row: &Row<'_>| Ok(CommitRow { id: 0, repository: RepositoryId(row.get(0)?), oid: row.get(1)? });
        let lookup = "SELECT repository_id, oid FROM commits WHERE id = ?";
        let keep = |commit: &CommitRow| query.among.contains(&commit.repository);
        self.in_time(query.until, || {
            self.walk_table(("commit_terms", lookup), query, row, keep, |commit, id| CommitRow {
                id,
                ..commit
            })
        })
    }

    /// Ends the statements of `work` soon after `until`.
    fn in_time<T>(
        &self,
        until: Instant,
        work: impl FnOnce() -> Result<T, SearchIndexError>,
    ) -> Result<T, SearchIndexError> {
        self.db.progress_handler(INSTRUCTIONS_PER_CHECK, Some(move || Instant::now() >= until))?;
        let done = work();
        self.db.progress_handler(0, None::<fn() -> bool>)?;
        done
    }

    fn walk_table<T>(
        &self,
        (table, lookup): (&str, &str),
        query: &RepositoryQuery<'_>,
        row: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
        keep: impl Fn(&T) -> bool,
        with_id: impl Fn(T, i64) -> T,
    ) -> Result<FoundRows<T>, SearchIndexError> {
        let mut found = FoundRows { found: Vec::new(), rows: 0, next: Some(query.below), is_cut: true };
        let mut walk = || -> rusqlite::Result<()> {
            let expression = expression(query.candidates);
            let matches = if expression.is_some() { format!("{table} MATCH ?3 AND") } else { String::new() };
            let select = format!(
                "SELECT rowid FROM {table} WHERE {matches} rowid > ?1 AND rowid < ?2 ORDER BY rowid DESC"
            );
            let mut statement = self.db.prepare(&select)?;
            let mut lookup = self.db.prepare(lookup)?;
            let mut rows = match &expression {
                Some(expression) => statement.query(params![query.above, query.below, expression])?,
                None => statement.query([query.above, query.below])?,
            };
            while let Some(next) = rows.next()? {
                let id: i64 = next.get(0)?;
                found.rows += 1;
                let kept = lookup.query_row([id], &row).optional()?.filter(&keep);
                found.next = Some(id);
                if let Some(kept) = kept {
                    found.found.push(with_id(kept, id));
                    if found.found.len() >= query.limit {
                        found.is_cut = false;
                        return Ok(());
                    }
                }
                if found.rows >= query.rows_max || Instant::now() >= query.until {
                    return Ok(());
                }
            }
            (found.next, found.is_cut) = (None, false);
            Ok(())
        };
        match walk() {
            Err(error) if error.sqlite_error_code() != Some(ErrorCode::OperationInterrupted) => {
                Err(error.into())
            }
            _ => Ok(found),
        }
    }
}
