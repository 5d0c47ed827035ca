//! Tests of the files and commits of repositories in the index.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use super::*;
use crate::domain::ids::RepositoryId;
use crate::domain::search::{Candidates, CommitText, SearchQuery, code_terms, commit_terms};
use crate::domain::timestamp::Timestamp;

const WEB: RepositoryId = RepositoryId(7);
/// Texts with more different trigrams are dense.
const TRIGRAMS_MAX: usize = 20;

fn file(path: &str, text: Option<&str>) -> IndexedFile {
    let terms = text.map(|text| code_terms(WEB, text.as_bytes(), TRIGRAMS_MAX));
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
        mark: RepositoryMark { oid: Some("0".repeat(40)), is_whole: true, ..RepositoryMark::default() },
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
    let (above, below, limit, rows_max) = (i64::MIN, i64::MAX, 100, 100);
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
    let (mut index, _) = SearchIndex::open(&dir.path().join("search.db"), 1, "").unwrap();
    let files = vec![file("b", Some("fn main() {}")), file("a", Some("Main()")), file("c", None)];
    index.apply_repository(&update(files, &[], Vec::new())).unwrap();
    assert_eq!(paths(&index, "main()"), ["a", "b"]);
    assert_eq!(paths(&index, "main() path:b"), ["b"]);
    assert_eq!(index.size_of(WEB).unwrap(), IndexedSize { files: 3, bytes: 18, terms: 16, dense: 0 });
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
    let (mut index, _) = SearchIndex::open(&dir.path().join("search.db"), 1, "").unwrap();
    let commits = vec![commit("a", 50, "fix one"), commit("b", 20, "fix two"), commit("c", 50, "fix three")];
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
fn dense_files_are_found_last_counted_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let (mut index, _) = SearchIndex::open(&dir.path().join("search.db"), 1, "").unwrap();
    let dense = "fn main() { 0123456789 abcdefghijkl }";
    let files = vec![file("d", Some(dense)), file("c", Some(dense)), file("b", Some("main()"))];
    index.apply_repository(&update(files, &[], Vec::new())).unwrap();
    index.apply_repository(&update(vec![file("a", Some("Main()"))], &[], Vec::new())).unwrap();
    // The index cannot exclude dense files.
    assert_eq!(paths(&index, "main()"), ["a", "b", "d", "c"]);
    assert_eq!(paths(&index, "elsewhere"), ["d", "c"]);
    let bytes = dense.len() * 2;
    let size = index.size_of(WEB).unwrap();
    assert_eq!((size.files, size.bytes, size.dense), (4, bytes + 12, bytes));
    let hidden = RepositoryUpdate { repository: RepositoryId(8), ..update(Vec::new(), &[], Vec::new()) };
    let terms = Some(code_terms(RepositoryId(8), dense.as_bytes(), TRIGRAMS_MAX));
    let hidden = RepositoryUpdate { files: vec![IndexedFile { terms, ..file("h", None) }], ..hidden };
    index.apply_repository(&hidden).unwrap();
    let query = SearchQuery::parse("elsewhere").unwrap();
    let (candidates, among) = (&query.code_candidates(), &HashSet::from([WEB]));
    let until = Instant::now() + Duration::from_secs(60);
    let (above, below, limit, rows_max) = (i64::MIN, i64::MAX, 100, 100);
    let of_index = RepositoryQuery { candidates, among, above, below, limit, rows_max, until };
    assert_eq!(index.find_files(&of_index, &query).unwrap().rows, 2, "a hidden repository costs no row");
    index.apply_repository(&update(vec![file("d", Some("plain"))], &["c"], Vec::new())).unwrap();
    assert_eq!((paths(&index, "elsewhere"), paths(&index, "plain")), (vec![], vec!["d".to_owned()]));
    assert_eq!(index.size_of(WEB).unwrap().dense, 0);
}

#[test]
fn rows_of_many_repositories_are_found_in_order() {
    const COUNT: i64 = 1_000;
    let dir = tempfile::tempdir().unwrap();
    let (mut index, _) = SearchIndex::open(&dir.path().join("search.db"), 1, "").unwrap();
    for id in 1..=COUNT {
        let terms = Some(code_terms(RepositoryId(id), b"needle", TRIGRAMS_MAX));
        let files = vec![IndexedFile { terms, ..file("f", None) }];
        let repository = RepositoryId(id);
        index.apply_repository(&RepositoryUpdate { repository, ..update(files, &[], Vec::new()) }).unwrap();
    }
    let query = SearchQuery::parse("needle").unwrap();
    let (candidates, among) = (query.code_candidates(), (1..=COUNT).step_by(2).map(RepositoryId).collect());
    let (mut found, mut below, mut rows) = (Vec::new(), i64::MAX, 0);
    loop {
        let until = Instant::now() + Duration::from_secs(60);
        let (candidates, among) = (&candidates, &among);
        let of_index = RepositoryQuery { candidates, among, above: 0, below, limit: 7, rows_max: 70, until };
        let page = index.find_files(&of_index, &query).unwrap();
        assert!(!page.is_cut && page.found.len() <= 7);
        found.extend(page.found.iter().map(|row| row.repository.0));
        rows += page.rows;
        let Some(next) = page.next else { break };
        below = next;
    }
    assert!(found.iter().copied().eq((1..COUNT).rev().step_by(2)), "{found:?}");
    assert!(rows >= 500);
    // Of the largest scope, a slice has a condition for 512 repositories.
    let among: HashSet<_> = (1..=4_096).map(RepositoryId).collect();
    let until = Instant::now() + Duration::from_secs(60);
    let (candidates, among) = (&candidates, &among);
    let (above, below, limit, rows_max) = (0, i64::MAX, 2_000, 10_000);
    let of_index = RepositoryQuery { candidates, among, above, below, limit, rows_max, until };
    let page = index.find_files(&of_index, &query).unwrap();
    assert_eq!((page.found.len(), page.next), (1_000, None));
}
