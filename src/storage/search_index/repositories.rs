//! The files and commits of repositories in the index.
//!
//! `files` has each file of the indexed commit, `code` the trigrams of those that are text, with
//! the same rowid. `commits` has the commits that lead to it, `commit_terms` their words. The id of
//! a commit begins with its time, so that newer commits have higher ids in all repositories.
//! `repositories` has the commit that was indexed, and the size of the files. It is written in the
//! transaction of the rows.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};

use super::{SearchIndex, SearchIndexError};
use crate::domain::ids::RepositoryId;
use crate::domain::timestamp::Timestamp;

pub(super) const TABLES: &str = "
    CREATE TABLE repositories (
        repository_id INTEGER PRIMARY KEY, oid TEXT, is_whole INTEGER NOT NULL, is_cut INTEGER NOT NULL,
        files INTEGER NOT NULL, bytes INTEGER NOT NULL, terms INTEGER NOT NULL
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

/// How far a repository is in the index.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RepositoryMark {
    /// The commit of the default branch; `None` without one.
    pub oid: Option<String>,
    /// Whether the index has exactly this commit. Otherwise it has a part of the changes to it.
    pub is_whole: bool,
    /// Whether a limit left out files or commits.
    pub is_cut: bool,
}

/// A file of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexedFile {
    pub path: Vec<u8>,
    /// Empty if the repository has no room for the text: then the file is planned again.
    pub oid: String,
    /// The size of the text.
    pub bytes: usize,
    /// `None`: the file is not text, or is too large.
    pub terms: Option<Vec<String>>,
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

/// The number of the files of a repository, and the bytes and different terms of their texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IndexedSize {
    pub files: usize,
    pub bytes: usize,
    pub terms: usize,
}

impl IndexedSize {
    /// Reads the three columns from `first` on.
    fn of(row: &Row<'_>, first: usize) -> rusqlite::Result<Self> {
        let count = |at: usize| -> rusqlite::Result<usize> {
            Ok(usize::try_from(row.get::<_, i64>(first + at)?).unwrap_or_default())
        };
        Ok(Self { files: count(0)?, bytes: count(1)?, terms: count(2)? })
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

/// Rows that were added, less those that were removed.
#[derive(Debug, Default)]
struct Growth {
    files: i64,
    bytes: i64,
    terms: i64,
}

impl Growth {
    fn removed(&mut self, (bytes, terms): (i64, i64)) {
        self.files -= 1;
        self.bytes -= bytes;
        self.terms -= terms;
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
        let mut statement =
            self.db.prepare("SELECT repository_id, oid, is_whole, is_cut FROM repositories")?;
        let rows = statement.query_map([], |row| {
            let mark = RepositoryMark { oid: row.get(1)?, is_whole: row.get(2)?, is_cut: row.get(3)? };
            Ok((RepositoryId(row.get(0)?), mark))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Returns the files of a repository, by path.
    pub fn files_of(&self, repository: RepositoryId) -> Result<Vec<KnownFile>, SearchIndexError> {
        let select = "SELECT path, oid, 1, bytes, terms FROM files WHERE repository_id = ? ORDER BY path";
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
        let size = "SELECT files, bytes, terms FROM repositories WHERE repository_id = ?";
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
            growth.removed(*size);
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
    RepositoryMark { oid, is_whole, is_cut }: &RepositoryMark,
    growth: &Growth,
) -> rusqlite::Result<IndexedSize> {
    let mark = "INSERT INTO repositories (repository_id, oid, is_whole, is_cut, files, bytes, terms)
        VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (repository_id) DO UPDATE SET
            oid = excluded.oid, is_whole = excluded.is_whole, is_cut = excluded.is_cut,
            files = files + excluded.files, bytes = bytes + excluded.bytes, terms = terms + excluded.terms
        RETURNING files, bytes, terms";
    let Growth { files, bytes, terms } = growth;
    let values = params![repository.0, oid, is_whole, is_cut, files, bytes, terms];
    db.prepare(mark)?.query_row(values, |row| IndexedSize::of(row, 0))
}

fn apply(db: &Connection, update: &RepositoryUpdate) -> rusqlite::Result<IndexedSize> {
    let repository = update.repository.0;
    let mut find = db.prepare("SELECT id, bytes, terms FROM files WHERE repository_id = ? AND path = ?")?;
    let mut remove_terms = db.prepare("DELETE FROM code WHERE rowid = ?")?;
    let mut remove = db.prepare("DELETE FROM files WHERE id = ?")?;
    let mut insert = db.prepare(
        "INSERT INTO files (repository_id, path, oid, bytes, terms, is_text) VALUES (?, ?, ?, ?, ?, ?)",
    )?;
    let mut insert_terms = db.prepare("INSERT INTO code (rowid, terms) VALUES (?, ?)")?;
    let mut growth = Growth::default();
    let replaced = update.files.iter().map(|file| &file.path);
    for path in update.removed_files.iter().chain(replaced) {
        let size = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, (row.get(1)?, row.get(2)?)));
        if let Some((id, size)) = find.query_row(params![repository, path], size).optional()? {
            remove_terms.execute([id])?;
            remove.execute([id])?;
            growth.removed(size);
        }
    }
    for IndexedFile { path, oid, bytes, terms } in &update.files {
        let bytes = i64::try_from(*bytes).unwrap_or(i64::MAX);
        let count = i64::try_from(terms.as_ref().map_or(0, Vec::len)).unwrap_or(i64::MAX);
        let id = insert.insert(params![repository, path, oid, bytes, count, terms.is_some()])?;
        if let Some(terms) = terms {
            insert_terms.execute(params![id, terms.join(" ")])?;
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::{Duration, Instant};

    use super::super::{FoundRows, RepositoryQuery, commit_ids_between};
    use super::*;
    use crate::domain::search::{Candidates, CommitText, SearchQuery, code_terms, commit_terms};

    const WEB: RepositoryId = RepositoryId(7);

    fn file(path: &str, text: Option<&str>) -> IndexedFile {
        let terms = text.map(|text| code_terms(WEB, text.as_bytes(), 1_000).unwrap());
        IndexedFile { path: path.into(), oid: format!("{path}-oid"), bytes: text.map_or(0, str::len), terms }
    }

    fn commit(oid: &str, seconds: i64, message: &str) -> IndexedCommit {
        let committed_at = Timestamp(seconds * 1_000);
        let text = CommitText { message, author: "Ada", email: "ada@example.org", committed_at };
        IndexedCommit { oid: oid.repeat(40), committed_at, terms: commit_terms(WEB, &text) }
    }

    fn update(files: Vec<IndexedFile>, removed: &[&str], commits: Vec<IndexedCommit>) -> RepositoryUpdate {
        RepositoryUpdate {
            repository: WEB,
            files,
            removed_files: removed.iter().map(|path| path.as_bytes().to_vec()).collect(),
            commits,
            removed_commits: Vec::new(),
            mark: RepositoryMark { oid: Some("0".repeat(40)), is_whole: true, is_cut: false },
        }
    }

    fn paths(index: &SearchIndex, query: &str) -> Vec<String> {
        let query = SearchQuery::parse(query).unwrap();
        let found = find(query.code_candidates(), |of_index| index.find_files(of_index, &query).unwrap());
        found.into_iter().map(|row| String::from_utf8(row.path).unwrap()).collect()
    }

    fn find<T>(candidates: Candidates, run: impl Fn(&RepositoryQuery<'_>) -> FoundRows<T>) -> Vec<T> {
        let (among, until) = (HashSet::from([WEB]), Instant::now() + Duration::from_secs(60));
        let (candidates, among) = (&candidates, &among);
        let (above, below, limit, rows_max) = (0, i64::MAX, 100, 100);
        let query = RepositoryQuery { candidates, among, above, below, limit, rows_max, until };
        let found = run(&query);
        assert!(!found.is_cut && found.next.is_none());
        let nothing = HashSet::new();
        assert!(run(&RepositoryQuery { among: &nothing, ..query }).found.is_empty());
        let one = run(&RepositoryQuery { candidates, among, above, below, limit: 1, rows_max, until });
        assert_eq!(one.found.len(), found.found.len().min(1));
        found.found
    }

    #[test]
    fn files_are_replaced_removed_and_found_by_trigrams() {
        let dir = tempfile::tempdir().unwrap();
        let (mut index, _) = SearchIndex::open(&dir.path().join("search.db"), 1).unwrap();
        let files = vec![file("b", Some("fn main() {}")), file("a", Some("Main()")), file("c", None)];
        index.apply_repository(&update(files, &[], Vec::new())).unwrap();
        assert_eq!(paths(&index, "main()"), ["a", "b"]);
        assert_eq!(paths(&index, "main() path:b"), ["b"]);
        assert_eq!(index.size_of(WEB).unwrap(), IndexedSize { files: 3, bytes: 18, terms: 16 });
        index.apply_repository(&update(vec![file("b", Some("else"))], &["c", "x"], Vec::new())).unwrap();
        assert_eq!((paths(&index, "main()"), paths(&index, "else")), (vec!["a".into()], vec!["b".into()]));
        let expected = |text: &str| {
            let files = [file("a", Some("Main()")), file("b", Some(text))];
            files.into_iter().map(|file| (file.path.clone(), file)).collect::<BTreeMap<_, _>>()
        };
        let none = HashSet::new();
        assert_eq!(index.repository_differences(WEB, expected("else"), &none).unwrap(), [""; 0]);
        let differences = index.repository_differences(WEB, expected("elsewhere"), &none).unwrap();
        assert_eq!(differences, ["file b has other terms"]);
        while !index.remove_repository(WEB, 1).unwrap() {}
        assert_eq!((index.file_count().unwrap(), paths(&index, "else").len()), (0, 0));
        assert_eq!(index.repository_marks().unwrap(), []);
    }

    #[test]
    fn commits_are_removed_and_found_in_the_order_of_time() {
        let dir = tempfile::tempdir().unwrap();
        let (mut index, _) = SearchIndex::open(&dir.path().join("search.db"), 1).unwrap();
        let commits =
            vec![commit("a", 50, "fix one"), commit("b", 20, "fix two"), commit("c", 50, "fix three")];
        index.apply_repository(&update(Vec::new(), &[], commits)).unwrap();
        let older = vec![commit("d", 10, "fix four"), commit("e", 60, "fix five")];
        let removed_commits = vec!["b".repeat(40), "d".repeat(40)];
        index.apply_repository(&update(Vec::new(), &[], older)).unwrap();
        let removal = RepositoryUpdate { removed_commits, ..update(Vec::new(), &[], Vec::new()) };
        index.apply_repository(&removal).unwrap();
        let candidates = || SearchQuery::parse("fix ").unwrap().commit_candidates();
        let found = find(candidates(), |query| index.find_commits(query).unwrap());
        let oids: Vec<_> = found.iter().map(|row| &row.oid[..1]).collect();
        assert_eq!(oids, ["e", "c", "a"]);
        let at = |seconds: i64| Some(Timestamp(seconds * 1_000_i64));
        let (above, below) = commit_ids_between(at(50), at(59));
        assert_eq!(found.iter().filter(|row| row.id > above && row.id < below).count(), 2);
    }

    #[test]
    fn rows_of_many_repositories_are_found_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let (mut index, _) = SearchIndex::open(&dir.path().join("search.db"), 1).unwrap();
        for id in 1..=200 {
            let terms = code_terms(RepositoryId(id), b"needle", 100);
            let files = vec![IndexedFile { terms, ..file("f", None) }];
            let repository = RepositoryId(id);
            index
                .apply_repository(&RepositoryUpdate { repository, ..update(files, &[], Vec::new()) })
                .unwrap();
        }
        let query = SearchQuery::parse("needle").unwrap();
        let (candidates, among) = (query.code_candidates(), (1..=200).step_by(2).map(RepositoryId).collect());
        let (mut found, mut below, mut rows) = (Vec::new(), i64::MAX, 0);
        loop {
            let until = Instant::now() + Duration::from_secs(60);
            let (candidates, among) = (&candidates, &among);
            let of_index =
                RepositoryQuery { candidates, among, above: 0, below, limit: 7, rows_max: 50, until };
            let page = index.find_files(&of_index, &query).unwrap();
            assert!(!page.is_cut && page.found.len() <= 7);
            found.extend(page.found.iter().map(|row| row.repository.0));
            rows += page.rows;
            let Some(next) = page.next else { break };
            below = next;
        }
        assert!(found.iter().copied().eq((1..=199_i64).rev().step_by(2)), "{found:?}");
        assert!(rows >= 100);
    }
}
