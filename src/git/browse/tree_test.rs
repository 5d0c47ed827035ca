//! Tests of folders and files.

use super::sample::{FILE, Files, LINK, PROGRAM, SUBMODULE, SampleRepository, files};
use super::*;

fn rich() -> (SampleRepository, Oid) {
    let sample = SampleRepository::new();
    let mut all =
        files(&[("README.md", "# Hi\n"), ("src/main.rs", "fn main() {}\n"), ("src/a b/ü.txt", "é")]);
    all.insert("run".into(), (PROGRAM, b"#!/bin/sh\n".to_vec()));
    all.insert("link".into(), (LINK, b"README.md".to_vec()));
    all.insert("module".into(), (SUBMODULE, b"1111111111111111111111111111111111111111".to_vec()));
    all.insert("logo.png".into(), (FILE, b"\x89PNG\0\0".to_vec()));
    all.insert("latin1.txt".into(), (FILE, b"caf\xe9\n".to_vec()));
    let oid = sample.commit(&[], &all);
    (sample, oid)
}

#[test]
fn tree_lists_every_kind_of_entry_in_git_order() {
    let (sample, oid) = rich();
    let tree = sample.browser().tree(oid, "", false).unwrap();
    let seen: Vec<_> =
        tree.entries.iter().map(|e| (e.name.as_str(), e.kind, e.mode.as_str(), e.size_bytes)).collect();
    assert_eq!(
        seen,
        [
            ("README.md", EntryKind::Blob, "100644", Some(5)),
            ("latin1.txt", EntryKind::Blob, "100644", Some(5)),
            ("link", EntryKind::Symlink, "120000", Some(9)),
            ("logo.png", EntryKind::Blob, "100644", Some(6)),
            ("module", EntryKind::Commit, "160000", None),
            ("run", EntryKind::Blob, "100755", Some(10)),
            ("src", EntryKind::Tree, "040000", None),
        ]
    );
    assert_eq!((tree.commit_oid, tree.path.as_str(), tree.truncated), (oid, "", false));
    let tree = sample.browser().tree(oid, "src", false).unwrap();
    assert_eq!(tree.entries.iter().map(|e| e.path.as_str()).collect::<Vec<_>>(), ["src/a b", "src/main.rs"]);
    assert_eq!(serde_json::to_value(&tree).unwrap()["entries"][0]["kind"], "tree");
}

#[test]
fn tree_is_truncated_when_folder_is_too_long() {
    let (sample, oid) = rich();
    let tree = sample.limited(|limits| limits.tree_entries = 3).tree(oid, "", true).unwrap();
    assert_eq!((tree.entries.len(), tree.truncated), (3, true));
    let refused = sample.limited(|limits| limits.tree_bytes = 100).tree(oid, "", false);
    assert!(matches!(refused, Err(BrowseError::TooLarge(_))));
}

#[test]
fn tree_pages_list_each_entry_once() {
    let (sample, oid) = rich();
    let browser = sample.limited(|limits| limits.tree_entries = 3);
    let whole: Vec<_> = sample.browser().tree(oid, "", false).unwrap().entries;
    for limit in [None, Some(1), Some(2), Some(50)] {
        let (mut met, mut part) = (Vec::new(), TreePart { limit, cursor: None });
        loop {
            let page = browser.tree_part(oid, "", false, part).unwrap();
            assert!((1..=limit.unwrap_or(3).min(3)).contains(&page.entries.len()));
            assert_eq!(page.truncated, page.next.is_some());
            met.extend(page.entries);
            let Some(next) = page.next else { break };
            part.cursor = TreeCursor::parse(&next.to_string());
            assert_eq!(part.cursor, Some(next));
        }
        assert_eq!(met, whole, "{limit:?}");
    }
    // A cursor of another folder, and a cursor after the end.
    let tree = browser.tree(oid, "", false).unwrap();
    let other = browser.tree_part(oid, "src", false, TreePart { limit: None, cursor: tree.next });
    assert!(matches!(other, Err(BrowseError::BadRequest(_))), "{other:?}");
    let behind = TreeCursor::parse(&format!("{}-999", tree.oid));
    let end = browser.tree_part(oid, "", false, TreePart { limit: None, cursor: behind }).unwrap();
    assert_eq!((end.entries.len(), end.next), (0, None));
    for bad in ["", "1", "x-1", &format!("{}-", tree.oid), &format!("{}--1", tree.oid)] {
        assert_eq!(TreeCursor::parse(bad), None, "{bad}");
    }
}

#[test]
fn path_lookup_never_interprets_patterns() {
    let (sample, oid) = rich();
    let browser = sample.browser();
    for path in
        [":(top)*", "*", "src/*", "SRC", "src/main.rs/x", "link/x", "module/x", ":/src", "none", "s", "--"]
    {
        assert_eq!(browser.tree(oid, path, false), Err(BrowseError::NotFound("path")), "{path}");
        assert_eq!(browser.blob(oid, path), Err(BrowseError::NotFound("path")), "{path}");
        assert_eq!(browser.raw(oid, path), Err(BrowseError::NotFound("path")), "{path}");
    }
    for path in ["/", "../x", "src/", "/src", "src//main.rs", "./src", "src/.", "src/..", "a\0"] {
        assert!(matches!(browser.tree(oid, path, false), Err(BrowseError::BadRequest(_))), "{path:?}");
        assert!(matches!(browser.blob(oid, path), Err(BrowseError::BadRequest(_))), "{path:?}");
        assert!(
            matches!(browser.commits(oid, Some(path), None, 1), Err(BrowseError::BadRequest(_))),
            "{path:?}"
        );
    }
}

#[test]
fn tree_rejects_files_and_blob_rejects_folders() {
    let (sample, oid) = rich();
    let browser = sample.browser();
    for path in ["README.md", "link", "module"] {
        assert!(matches!(browser.tree(oid, path, false), Err(BrowseError::BadRequest(_))), "{path}");
    }
    for path in ["", "src", "module"] {
        assert!(matches!(browser.blob(oid, path), Err(BrowseError::BadRequest(_))), "{path}");
        assert!(matches!(browser.raw(oid, path), Err(BrowseError::BadRequest(_))), "{path}");
    }
    let missing = Oid::parse(&"1".repeat(40)).unwrap();
    assert_eq!(browser.tree(missing, "", false), Err(BrowseError::NotFound("commit")));
    assert_eq!(browser.blob(missing, "x"), Err(BrowseError::NotFound("commit")));
}

#[test]
fn blob_is_text_lossy_text_binary_or_truncated() {
    let (sample, oid) = rich();
    let browser = sample.limited(|limits| limits.blob_bytes = 9);
    let blob = |path: &str| {
        let blob = browser.blob(oid, path).unwrap();
        (blob.content, blob.lossy, blob.binary, blob.truncated)
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(blob("README.md"), (text("# Hi\n"), false, false, false));
    assert_eq!(blob("src/a b/ü.txt"), (text("é"), false, false, false));
    assert_eq!(blob("link"), (text("README.md"), false, false, false));
    assert_eq!(blob("latin1.txt"), (text("caf\u{fffd}\n"), true, false, false));
    assert_eq!(blob("logo.png"), (None, false, true, false));
    assert_eq!(blob("run"), (None, false, false, true));
    assert_eq!(browser.blob(oid, "run").unwrap().mode, "100755");
    assert_eq!(browser.blob(oid, "run").unwrap().size_bytes, 10);
}

#[test]
fn raw_returns_all_bytes_or_an_error() {
    let (sample, oid) = rich();
    let browser = sample.limited(|limits| limits.raw_bytes = 9);
    let (id, bytes) = browser.raw(oid, "logo.png").unwrap();
    assert_eq!(bytes, b"\x89PNG\0\0");
    assert_eq!(id, browser.blob(oid, "logo.png").unwrap().oid);
    assert_eq!(browser.raw(oid, "link").unwrap().1, b"README.md");
    assert!(matches!(browser.raw(oid, "run"), Err(BrowseError::TooLarge(_))));
}

/// Returns the last commit of every entry, by path.
fn last_commits(browser: &Browser, head: Oid, folder: &str) -> Vec<(String, Option<Oid>)> {
    let tree = browser.tree(head, folder, true).unwrap();
    tree.entries.into_iter().map(|e| (e.path, e.last_commit.map(|commit| commit.oid))).collect()
}

#[test]
fn last_commit_of_each_entry_matches_git_log() {
    for seed in 1..=8 {
        let sample = SampleRepository::new();
        let head = sample.random_history(seed, 60, seed % 2 == 0);
        let checked = std::cell::Cell::new(0);
        sample.with_each_graph(head, |browser| {
            for folder in ["", "d", "d/e"] {
                if browser.tree(head, folder, false) == Err(BrowseError::NotFound("path")) {
                    continue;
                }
                for (path, oid) in last_commits(browser, head, folder) {
                    let judged = sample.git(&["log", "-1", "--format=%H", &head.to_string(), "--", &path]);
                    assert_eq!(
                        oid.map(|oid| oid.to_string()).as_ref(),
                        judged.first(),
                        "seed {seed}, {path}"
                    );
                    checked.set(checked.get() + 1);
                }
            }
        });
        assert!(checked.get() >= 9, "seed {seed} has only {} entries", checked.get());
    }
}

/// Filters of changed paths do not contain empty folders: with and without them, the commits of an
/// empty folder differed.
#[test]
fn empty_folder_has_no_history_as_in_git_log() {
    let sample = SampleRepository::new();
    let empty = sample.tree(&Files::new());
    let commit = |seconds: i64, parents: &[Oid], content: &str, folder: Option<git2::Oid>| {
        let mut builder = sample.repository.treebuilder(None).unwrap();
        builder.insert("a", sample.blob(content.as_bytes()), FILE).unwrap();
        if let Some(folder) = folder {
            builder.insert("d", folder, 0o040_000).unwrap();
        }
        sample.commit_tree(1_700_000_000 + seconds, parents, builder.write().unwrap(), "change")
    };
    let root = commit(0, &[], "0", Some(empty));
    let gone = commit(1, &[root], "0", None);
    let came = commit(2, &[gone], "0", Some(empty));
    let filled = commit(3, &[came], "0", Some(sample.tree(&files(&[("x", "1")]))));
    let emptied = commit(4, &[filled], "0", Some(empty));
    let head = commit(5, &[emptied], "1", Some(empty));
    let judged = sample.git(&["log", "--format=%H", &head.to_string(), "--", "d"]);
    assert_eq!(judged, [emptied, filled].map(|oid| oid.to_string()));
    sample.with_each_graph(head, |browser| {
        let page = browser.commits(head, Some("d"), None, 10).unwrap();
        assert_eq!(page.items.iter().map(|item| item.oid).collect::<Vec<_>>(), [emptied, filled]);
        let entries = |a, d| [("a".to_owned(), Some(a)), ("d".to_owned(), d)];
        assert_eq!(last_commits(browser, head, ""), entries(head, Some(emptied)));
        for always_empty in [root, came] {
            assert_eq!(last_commits(browser, always_empty, ""), entries(root, None));
            assert!(!browser.tree(always_empty, "", true).unwrap().history_truncated);
        }
    });
}

#[test]
fn last_commit_skips_merge_unless_it_mixes_both_sides() {
    let sample = SampleRepository::new();
    let root = sample.commit(&[], &files(&[("a", "0"), ("b", "0"), ("c", "0")]));
    let left = sample.commit(&[root], &files(&[("a", "left"), ("b", "0"), ("c", "left")]));
    let right = sample.commit(&[root], &files(&[("a", "0"), ("b", "right"), ("c", "right")]));
    let merge = sample.commit(&[left, right], &files(&[("a", "left"), ("b", "right"), ("c", "both")]));
    let seen = last_commits(&sample.browser(), merge, "");
    let expected = [("a", left), ("b", right), ("c", merge)];
    assert_eq!(seen, expected.map(|(path, oid)| (path.to_owned(), Some(oid))));
}

#[test]
fn entries_lack_last_commit_when_walk_ends_early() {
    let sample = SampleRepository::new();
    let mut head = sample.commit(&[], &files(&[("old", "1"), ("new", "0")]));
    for number in 1..=10 {
        head = sample.commit(&[head], &files(&[("old", "1"), ("new", &number.to_string())]));
    }
    let tree = sample.limited(|limits| limits.walk_commits = 5).tree(head, "", true).unwrap();
    let found: Vec<_> = tree.entries.iter().map(|e| (e.name.as_str(), e.last_commit.is_some())).collect();
    assert_eq!((found, tree.history_truncated), (vec![("new", true), ("old", false)], true));
    let tree = sample.limited(|limits| limits.walk_ms = 0).tree(head, "", true).unwrap();
    assert!(tree.history_truncated && tree.entries.iter().all(|e| e.last_commit.is_none()));
    let tree = sample.browser().tree(head, "", true).unwrap();
    assert!(!tree.history_truncated && tree.entries.iter().all(|e| e.last_commit.is_some()));
}

#[test]
fn last_commits_of_many_entries_need_one_walk() {
    let sample = SampleRepository::new();
    let mut all = Files::new();
    let mut head = None;
    for number in 0..200 {
        all.insert(format!("f{number:03}"), (FILE, b"x".to_vec()));
        head = Some(sample.commit(head.as_slice(), &all));
    }
    // The limit equals the number of commits: each is loaded once.
    let browser = sample.limited(|limits| limits.walk_commits = 200);
    let tree = browser.tree(head.unwrap(), "", true).unwrap();
    assert!(!tree.history_truncated);
    let distinct: std::collections::HashSet<_> =
        tree.entries.iter().map(|e| e.last_commit.as_ref().unwrap().oid).collect();
    assert_eq!(distinct.len(), 200);
}
