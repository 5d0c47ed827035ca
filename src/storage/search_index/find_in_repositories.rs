//! Finds the files and commits of repositories that meet the conditions of a query.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::time::{Duration, Instant};

use rusqlite::{ErrorCode, OptionalExtension, Row, params};

use super::find::{INSTRUCTIONS_PER_CHECK, expression};
use super::repositories::commit_id;
use super::{SearchIndex, SearchIndexError};
use crate::domain::ids::RepositoryId;
use crate::domain::search::{Candidates, Condition, SearchQuery, repository_term};
use crate::domain::timestamp::Timestamp;

/// Repositories that are named in one condition. Rows of others are never walked, so they cost
/// nothing that a user can measure.
const REPOSITORIES_PER_SLICE: usize = 64;

/// A query of the index for files or commits: the highest ids first.
pub struct RepositoryQuery<'a> {
    pub candidates: &'a Candidates,
    /// Only rows of these.
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
            Ok(FileRow { id: row.get(3)?, repository, path, oid: row.get(2)? })
        };
        let lookup = "SELECT repository_id, path, oid, id FROM files WHERE id = ?";
        let keep =
            |file: &FileRow| query.among.contains(&file.repository) && filters.accepts_path(&file.path);
        self.walk_slices(query, |slice| self.walk_table(("code", lookup), slice, row, keep), |file| file.id)
    }

    /// Returns the commits that meet the conditions.
    pub fn find_commits(
        &self,
        query: &RepositoryQuery<'_>,
    ) -> Result<FoundRows<CommitRow>, SearchIndexError> {
        let row = |row: &Row<'_>| {
            Ok(CommitRow { id: row.get(2)?, repository: RepositoryId(row.get(0)?), oid: row.get(1)? })
        };
        let lookup = "SELECT repository_id, oid, id FROM commits WHERE id = ?";
        let keep = |commit: &CommitRow| query.among.contains(&commit.repository);
        let walk = |slice: &RepositoryQuery<'_>| self.walk_table(("commit_terms", lookup), slice, row, keep);
        self.walk_slices(query, walk, |commit| commit.id)
    }

    /// Walks the rows of some repositories after those of others, within one budget, and returns
    /// those with the highest ids of all.
    fn walk_slices<T>(
        &self,
        query: &RepositoryQuery<'_>,
        walk: impl Fn(&RepositoryQuery<'_>) -> Result<FoundRows<T>, SearchIndexError>,
        id: impl Fn(&T) -> i64,
    ) -> Result<FoundRows<T>, SearchIndexError> {
        let mut ids: Vec<RepositoryId> = query.among.iter().copied().collect();
        ids.sort_unstable();
        let (mut found, mut rows) = (Vec::new(), 0);
        // The highest id down to which a slice was walked, and whether the budget ended it.
        let mut end: Option<(i64, bool)> = None;
        let slices = ids.chunks(REPOSITORIES_PER_SLICE);
        let count = slices.len();
        for (at, slice) in slices.enumerate() {
            let mut candidates = query.candidates.clone();
            candidates.all.push(Condition::AnyOf(slice.iter().map(|id| repository_term(*id)).collect()));
            let slices_left = u32::try_from(count - at).unwrap_or(u32::MAX);
            let now = Instant::now();
            let time: Duration = query.until.saturating_duration_since(now) / slices_left;
            let rows_max = (query.rows_max.saturating_sub(rows)) / (count - at);
            let part = RepositoryQuery {
                candidates: &candidates,
                rows_max: rows_max.max(1),
                until: now + time,
                ..*query
            };
            let part = self.in_time(part.until, || walk(&part))?;
            rows += part.rows;
            found.extend(part.found);
            // At the same id, a slice that was cut is not complete.
            end = end.max(part.next.map(|next| (next, part.is_cut)));
        }
        found.sort_unstable_by_key(|row| Reverse(id(row)));
        found.retain(|row| end.is_none_or(|(end, _)| id(row) >= end));
        if found.len() > query.limit {
            found.truncate(query.limit);
            end = found.last().map(|row| (id(row), false));
        }
        let is_cut = end.is_some_and(|(_, is_cut)| is_cut);
        Ok(FoundRows { found, rows, next: end.map(|(end, _)| end), is_cut })
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
                    found.found.push(kept);
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
