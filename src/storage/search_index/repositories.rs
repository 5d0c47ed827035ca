//! The files and commits of repositories in the index.
//!
//! `files` has each file of the indexed commit, `code` the trigrams of those that are text, with
//! the same rowid. `commits` has the commits that lead to it, `commit_terms` their words. The id of
//! a commit begins with its time, so that newer commits have higher ids in all repositories.
//! `repositories` has the commit that was indexed. It is written in the transaction of the rows.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::{SearchIndex, SearchIndexError};
use crate::domain::ids::RepositoryId;
use crate::domain::timestamp::Timestamp;

pub(super) const TABLES: &str = "
    CREATE TABLE repositories (
        repository_id INTEGER PRIMARY KEY, oid TEXT, is_whole INTEGER NOT NULL, is_cut INTEGER NOT NULL
    );
    CREATE TABLE files (
        id INTEGER PRIMARY KEY AUTOINCREMENT, repository_id INTEGER NOT NULL, path BLOB NOT NULL,
        oid TEXT NOT NULL, bytes INTEGER NOT NULL, is_text INTEGER NOT NULL, UNIQUE (repository_id, path)
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
    /// Only the newest commits are kept.
    pub commits_max: usize,
    pub mark: RepositoryMark,
}

/// The number of the files of a repository, and the bytes of their texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IndexedSize {
    pub files: usize,
    pub bytes: usize,
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

    /// Returns the paths and ids of the files of a repository, by path.
    pub fn files_of(&self, repository: RepositoryId) -> Result<Vec<(Vec<u8>, String)>, SearchIndexError> {
        let mut statement =
            self.db.prepare("SELECT path, oid FROM files WHERE repository_id = ? ORDER BY path")?;
        let rows = statement.query_map([repository.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
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
        let sizes = "SELECT count(*), ifnull(sum(bytes), 0) FROM files WHERE repository_id = ?";
        let found = self.db.query_row(sizes, [repository.0], |row| {
            Ok(IndexedSize {
                files: usize::try_from(row.get::<_, i64>(0)?).unwrap_or_default(),
                bytes: usize::try_from(row.get::<_, i64>(1)?).unwrap_or_default(),
            })
        });
        Ok(found?)
    }

    /// Returns the number of files in the index.
    pub fn file_count(&self) -> Result<i64, SearchIndexError> {
        Ok(self.db.query_row("SELECT count(*) FROM files", [], |row| row.get(0))?)
    }

    /// Returns the number of commits in the index.
    pub fn commit_count(&self) -> Result<i64, SearchIndexError> {
        Ok(self.db.query_row("SELECT count(*) FROM commits", [], |row| row.get(0))?)
    }

    /// Applies a change in one transaction.
    pub fn apply_repository(&mut self, update: &RepositoryUpdate) -> Result<(), SearchIndexError> {
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        apply(&transaction, update)?;
        Ok(transaction.commit()?)
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
        let mut removed = 0;
        for (table, terms) in [("files", "code"), ("commits", "commit_terms")] {
            let select = format!("SELECT id FROM {table} WHERE repository_id = ? LIMIT ?");
            let ids: Vec<i64> = transaction
                .prepare(&select)?
                .query_map([repository.0, limit_of], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            for id in &ids {
                transaction.execute(&format!("DELETE FROM {terms} WHERE rowid = ?"), [id])?;
                transaction.execute(&format!("DELETE FROM {table} WHERE id = ?"), [id])?;
            }
            removed = removed.max(ids.len());
        }
        let is_last = removed < limit.max(1);
        if is_last {
            transaction.execute("DELETE FROM repositories WHERE repository_id = ?", [repository.0])?;
        } else {
            let mark =
                "REPLACE INTO repositories (repository_id, oid, is_whole, is_cut) VALUES (?, NULL, 0, 0)";
            transaction.execute(mark, [repository.0])?;
        }
        transaction.commit()?;
        Ok(is_last)
    }
}

fn apply(db: &Connection, update: &RepositoryUpdate) -> rusqlite::Result<()> {
    let repository = update.repository.0;
    let mut find = db.prepare("SELECT id FROM files WHERE repository_id = ? AND path = ?")?;
    let mut remove_terms = db.prepare("DELETE FROM code WHERE rowid = ?")?;
    let mut remove = db.prepare("DELETE FROM files WHERE id = ?")?;
    let mut insert =
        db.prepare("INSERT INTO files (repository_id, path, oid, bytes, is_text) VALUES (?, ?, ?, ?, ?)")?;
    let mut insert_terms = db.prepare("INSERT INTO code (rowid, terms) VALUES (?, ?)")?;
    let replaced = update.files.iter().map(|file| &file.path);
    for path in update.removed_files.iter().chain(replaced) {
        let id: Option<i64> = find.query_row(params![repository, path], |row| row.get(0)).optional()?;
        if let Some(id) = id {
            remove_terms.execute([id])?;
            remove.execute([id])?;
        }
    }
    for IndexedFile { path, oid, bytes, terms } in &update.files {
        let bytes = i64::try_from(*bytes).unwrap_or(i64::MAX);
        let id = insert.insert(params![repository, path, oid, bytes, terms.is_some()])?;
        if let Some(terms) = terms {
            insert_terms.execute(params![id, terms.join(" ")])?;
        }
    }
    apply_commits(db, update)?;
    let RepositoryMark { oid, is_whole, is_cut } = &update.mark;
    let mark = "REPLACE INTO repositories (repository_id, oid, is_whole, is_cut) VALUES (?, ?, ?, ?)";
    db.prepare(mark)?.execute(params![repository, oid, is_whole, is_cut])?;
    Ok(())
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
    if update.commits.is_empty() {
        return Ok(());
    }
    let kept = i64::try_from(update.commits_max).unwrap_or(i64::MAX);
    let mut older =
        db.prepare("SELECT id FROM commits WHERE repository_id = ? ORDER BY id DESC LIMIT -1 OFFSET ?")?;
    let older: Vec<i64> = older.query_map([repository, kept], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for id in older {
        remove_terms.execute([id])?;
        remove.execute([id])?;
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
        let terms = text.map(|text| code_terms(WEB, text.as_bytes()));
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
            commits_max: 3,
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
        assert_eq!(index.size_of(WEB).unwrap(), IndexedSize { files: 3, bytes: 18 });
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
    fn newest_commits_are_kept_in_the_order_of_time() {
        let dir = tempfile::tempdir().unwrap();
        let (mut index, _) = SearchIndex::open(&dir.path().join("search.db"), 1).unwrap();
        let commits =
            vec![commit("a", 50, "fix one"), commit("b", 20, "fix two"), commit("c", 50, "fix three")];
        index.apply_repository(&update(Vec::new(), &[], commits)).unwrap();
        let older = vec![commit("d", 10, "fix four"), commit("e", 60, "fix five")];
        index.apply_repository(&update(Vec::new(), &[], older)).unwrap();
        let candidates = || SearchQuery::parse("fix ").unwrap().commit_candidates();
        let found = find(candidates(), |query| index.find_commits(query).unwrap());
        let oids: Vec<_> = found.iter().map(|row| &row.oid[..1]).collect();
        assert_eq!(oids, ["e", "c", "a"]);
        let at = |seconds: i64| Some(Timestamp(seconds * 1_000_i64));
        let (above, below) = commit_ids_between(at(50), at(59));
        assert_eq!(found.iter().filter(|row| row.id > above && row.id < below).count(), 2);
    }
}
