//! Finds the files and commits of repositories that meet the conditions of a query.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::time::{Duration, Instant};

use rusqlite::{ErrorCode, OptionalExtension, Row, params};

use super::find::{INSTRUCTIONS_PER_CHECK, expression, quoted};
use super::repositories::commit_id;
use super::{SearchIndex, SearchIndexError};
use crate::domain::ids::RepositoryId;
use crate::domain::search::{Candidates, Condition, DENSE_TERM, SearchQuery, repository_term};
use crate::domain::timestamp::Timestamp;

/// Repositories that are named in one condition. Rows of others are never walked, so they cost
/// nothing that a user can measure.
const REPOSITORIES_PER_SLICE: usize = 64;
/// Slices share the time of a query: of many repositories, more are in each slice.
const SLICES_MAX: usize = 8;

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
    /// Whether rows above `next` are missing: the time ended before the first row of some
    /// repositories.
    pub lacks_some: bool,
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
        let walk = |slice: &RepositoryQuery<'_>, repositories: Condition| {
            let matches = with_dense(slice.candidates, repositories);
            self.walk_table(("code", lookup), matches.as_deref(), slice, row, keep)
        };
        self.walk_slices(query, walk, |file| file.id)
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
        let walk = |slice: &RepositoryQuery<'_>, repositories: Condition| {
            let matches = expression(&within(slice.candidates, repositories));
            self.walk_table(("commit_terms", lookup), matches.as_deref(), slice, row, keep)
        };
        self.walk_slices(query, walk, |commit| commit.id)
    }

    /// Walks the rows of some repositories after those of others, within one budget, and returns
    /// those with the highest ids of all. A slice whose time ended before its first row is left
    /// out.
    fn walk_slices<T>(
        &self,
        query: &RepositoryQuery<'_>,
        walk: impl Fn(&RepositoryQuery<'_>, Condition) -> Result<FoundRows<T>, SearchIndexError>,
        id: impl Fn(&T) -> i64,
    ) -> Result<FoundRows<T>, SearchIndexError> {
        let mut ids: Vec<RepositoryId> = query.among.iter().copied().collect();
        ids.sort_unstable();
        let (mut found, mut rows) = (Vec::new(), 0);
        // The highest id down to which a slice was walked, and whether the budget ended it.
        let mut end: Option<(i64, bool)> = None;
        let slices = ids.chunks(REPOSITORIES_PER_SLICE.max(ids.len().div_ceil(SLICES_MAX)));
        let count = slices.len();
        let mut left_out = 0;
        for (at, slice) in slices.enumerate() {
            let repositories = Condition::AnyOf(slice.iter().map(|id| repository_term(*id)).collect());
            // Most slices need little time. With an equal share of it, each of many large slices
            // would be left out.
            let shares = if at + 1 < count { 2 } else { 1 };
            let now = Instant::now();
            let time: Duration = query.until.saturating_duration_since(now) / shares;
            let rows_max = (query.rows_max.saturating_sub(rows)) / (count - at);
            let part = RepositoryQuery { rows_max: rows_max.max(1), until: now + time, ..*query };
            let part = self.in_time(part.until, || walk(&part, repositories))?;
            if part.is_cut && part.rows == 0 {
                left_out += 1;
                continue;
            }
            rows += part.rows;
            found.extend(part.found);
            // At the same id, a slice that was cut is not complete.
            end = end.max(part.next.map(|next| (next, part.is_cut)));
        }
        if left_out == count && count > 0 {
            end = Some((query.below, true));
        }
        found.sort_unstable_by_key(|row| Reverse(id(row)));
        found.retain(|row| end.is_none_or(|(end, _)| id(row) >= end));
        if found.len() > query.limit {
            found.truncate(query.limit);
            end = found.last().map(|row| (id(row), false));
        }
        let (is_cut, lacks_some) = (end.is_some_and(|(_, is_cut)| is_cut), left_out > 0);
        Ok(FoundRows { found, rows, next: end.map(|(end, _)| end), is_cut, lacks_some })
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
        expression: Option<&str>,
        query: &RepositoryQuery<'_>,
        row: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
        keep: impl Fn(&T) -> bool,
    ) -> Result<FoundRows<T>, SearchIndexError> {
        let (next, is_cut, lacks_some) = (Some(query.below), true, false);
        let mut found = FoundRows { found: Vec::new(), rows: 0, next, is_cut, lacks_some };
        let mut walk = || -> rusqlite::Result<()> {
            let matches = if expression.is_some() { format!("{table} MATCH ?3 AND") } else { String::new() };
            let select = format!(
                "SELECT rowid FROM {table} WHERE {matches} rowid > ?1 AND rowid < ?2 ORDER BY rowid DESC"
            );
            let mut statement = self.db.prepare(&select)?;
            let mut lookup = self.db.prepare(lookup)?;
            let mut rows = match expression {
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

/// Adds the condition that rows are of these repositories.
fn within(candidates: &Candidates, repositories: Condition) -> Candidates {
    let mut candidates = candidates.clone();
    candidates.all.push(repositories);
    candidates
}

/// Returns the expression for files of these repositories that meet the conditions, or are dense.
fn with_dense(candidates: &Candidates, repositories: Condition) -> Option<String> {
    let Some(matching) = expression(candidates) else { return expression(&within(candidates, repositories)) };
    let repositories = expression(&within(&Candidates::default(), repositories))?;
    Some(format!("(({matching}) OR {}) AND {repositories}", quoted(DENSE_TERM)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(id: i64) -> CommitRow {
        CommitRow { id, repository: RepositoryId(1), oid: String::new() }
    }

    /// With many repositories, a slice that had no time made the whole search empty.
    #[test]
    fn slice_without_time_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let (index, _) = SearchIndex::open(&dir.path().join("search.db"), 1, "").unwrap();
        let among: HashSet<_> = (1..=150).map(RepositoryId).collect();
        let (candidates, until) = (&Candidates::default(), Instant::now() + Duration::from_secs(60));
        let (above, below, limit, rows_max) = (0, 100, 10, 100);
        let query = RepositoryQuery { candidates, among: &among, above, below, limit, rows_max, until };
        // The slices begin with the repositories 1, 65 and 129.
        let find = |slow: &[i64], next: Option<i64>| {
            let walk = |_: &RepositoryQuery<'_>, repositories: Condition| {
                let Condition::AnyOf(terms) = repositories else { panic!("{repositories:?}") };
                let first =
                    [1, 65, 129].into_iter().find(|id| terms[0] == repository_term(RepositoryId(*id)));
                let first = first.unwrap();
                Ok(if slow.contains(&first) {
                    let (next, is_cut) = (Some(below), true);
                    FoundRows { found: Vec::new(), rows: 0, next, is_cut, lacks_some: false }
                } else {
                    let found = vec![commit(90 - first % 64), commit(50 - first % 64)];
                    FoundRows { found, rows: 2, next, is_cut: next.is_some(), lacks_some: false }
                })
            };
            let found = index.walk_slices(&query, walk, |row: &CommitRow| row.id).unwrap();
            (found.found.len(), found.next, found.is_cut, found.lacks_some)
        };
        assert_eq!(find(&[], None), (6, None, false, false));
        assert_eq!(find(&[65], None), (4, None, false, true));
        assert_eq!(find(&[65], Some(60)), (2, Some(60), true, true));
        assert_eq!(find(&[1, 65, 129], None), (0, Some(below), true, true));
    }

    #[test]
    fn dense_files_are_candidates_within_the_repositories_only() {
        let repositories = || Condition::AnyOf(vec!["=r1".into(), "=r2".into()]);
        let term = |term: &str| Condition::Term(term.into());
        let candidates = Candidates { all: vec![term("abcde"), term("fghij")], none: Vec::new() };
        let expected = r#"(("abcde" AND "fghij") OR "=dense") AND ("=r1" OR "=r2")"#;
        assert_eq!(with_dense(&candidates, repositories()).as_deref(), Some(expected));
        let all = with_dense(&Candidates::default(), repositories());
        assert_eq!(all.as_deref(), Some(r#"("=r1" OR "=r2")"#));
    }
}
