//! Tests of the diffs of commits.

use super::sample::{FILE, Files, LINK, PROGRAM, SUBMODULE, SampleRepository, files};
use super::*;

/// Returns the diff between two sets of files.
fn diff_with(browser: &Browser, sample: &SampleRepository, old: &Files, new: &Files) -> Diff {
    let root = sample.commit(&[], old);
    let head = sample.commit(&[root], new);
    browser.commit(head).unwrap().diff
}

fn diff(old: &Files, new: &Files) -> Diff {
    let sample = SampleRepository::new();
    diff_with(&sample.browser(), &sample, old, new)
}

fn numbered(count: usize) -> String {
    (0..count).map(|number| format!("line {number}\n")).collect()
}

#[test]
fn diff_lists_added_deleted_and_modified_files() {
    let old =
        files(&[("changed", "one\ntwo\nthree"), ("gone", "x\n"), ("same", "y\n"), ("dir/deep/same", "z\n")]);
    let new = files(&[
        ("changed", "one\n2\nthree\n"),
        ("dir/new", "n\nm\n"),
        ("same", "y\n"),
        ("dir/deep/same", "z\n"),
    ]);
    let seen = diff(&old, &new);
    let rows: Vec<_> =
        seen.files.iter().map(|f| (f.path.as_str(), f.status, f.additions, f.deletions)).collect();
    assert_eq!(
        rows,
        [
            ("changed", ChangeStatus::Modified, 2, 2),
            ("dir/new", ChangeStatus::Added, 2, 0),
            ("gone", ChangeStatus::Deleted, 0, 1),
        ]
    );
    assert_eq!((seen.additions, seen.deletions, seen.truncated), (4, 3, false));
    let patches: Vec<_> = seen.files.iter().map(|f| f.patch.as_deref().unwrap()).collect();
    assert_eq!(
        patches,
        [
            "@@ -1,3 +1,3 @@\n one\n-two\n-three\n\\ No newline at end of file\n+2\n+three\n",
            "@@ -0,0 +1,2 @@\n+n\n+m\n",
            "@@ -1 +0,0 @@\n-x\n",
        ]
    );
    assert!(seen.files[1].old_oid.is_none() && seen.files[1].old_mode.is_none());
    assert!(seen.files[2].new_oid.is_none() && seen.files[2].old_oid.is_some());
}

#[test]
fn diff_uses_empty_tree_for_root_and_first_parent_for_merge() {
    let sample = SampleRepository::new();
    let root = sample.commit(&[], &files(&[("a", "0\n"), ("b", "0\n")]));
    let left = sample.commit(&[root], &files(&[("a", "1\n"), ("b", "0\n")]));
    let right = sample.commit(&[root], &files(&[("a", "0\n"), ("b", "1\n")]));
    let merge = sample.commit(&[left, right], &files(&[("a", "1\n"), ("b", "1\n")]));
    let browser = sample.browser();
    let paths = |oid| browser.commit(oid).unwrap().diff.files.into_iter().map(|f| f.path).collect::<Vec<_>>();
    assert_eq!(paths(root), ["a", "b"]);
    assert_eq!(paths(merge), ["b"]);
    let json = serde_json::to_value(browser.commit(merge).unwrap()).unwrap();
    assert_eq!(
        (json["oid"].as_str(), json["additions"].as_u64()),
        (Some(merge.to_string().as_str()), Some(1))
    );
}

#[test]
fn diff_of_random_histories_matches_git() {
    for seed in 1..=4 {
        let sample = SampleRepository::new();
        let head = sample.random_history(seed, 30, false);
        let browser = sample.browser();
        for oid in sample.git(&["rev-list", "--no-merges", &head.to_string()]) {
            let seen = browser.commit(Oid::parse(&oid).unwrap()).unwrap().diff;
            let letter = |file: &FileDiff| match file.status {
                ChangeStatus::Added => "A",
                ChangeStatus::Deleted => "D",
                ChangeStatus::Modified => "M",
                _ => "R",
            };
            // Rename detection may differ from git; everything else must be equal.
            if seen.files.iter().any(|file| letter(file) == "R") {
                continue;
            }
            let seen: Vec<_> = seen.files.iter().map(|f| format!("{}\t{}", letter(f), f.path)).collect();
            let judged = sample.git(&[
                "diff-tree",
                "--root",
                "-r",
                "--no-renames",
                "--no-commit-id",
                "--name-status",
                &oid,
            ]);
            assert_eq!(seen, judged, "seed {seed}, {oid}");
        }
    }
}

#[test]
fn diff_reports_rename_also_when_file_was_edited() {
    let text = numbered(50);
    let edited = text.replace("line 7\n", "line seven\n");
    let old = files(&[("old/name", &text), ("twin", "exactly the same\n"), ("other", "1\n")]);
    let new = files(&[("new/name", &edited), ("moved", "exactly the same\n"), ("other", "2\n")]);
    let seen = diff(&old, &new);
    let rows: Vec<_> = seen
        .files
        .iter()
        .map(|f| (f.path.as_str(), f.old_path.as_deref(), f.status, f.additions, f.deletions))
        .collect();
    assert_eq!(
        rows,
        [
            ("moved", Some("twin"), ChangeStatus::Renamed, 0, 0),
            ("new/name", Some("old/name"), ChangeStatus::Renamed, 1, 1),
            ("other", None, ChangeStatus::Modified, 1, 1),
        ]
    );
    assert_eq!(seen.files[0].patch.as_deref(), Some(""));
}

#[test]
fn renames_by_content_are_skipped_beyond_limits() {
    let text = numbered(50);
    let edited = text.replace("line 7\n", "line seven\n");
    let (old, new) = (files(&[("a", &text), ("b", "same\n")]), files(&[("c", &edited), ("d", "same\n")]));
    let statuses = |change: fn(&mut BrowseLimits)| {
        let sample = SampleRepository::new();
        let seen = diff_with(&sample.limited(change), &sample, &old, &new);
        seen.files.iter().map(|f| f.status).collect::<Vec<_>>()
    };
    use ChangeStatus::{Added, Deleted, Renamed};
    assert_eq!(statuses(|_| ()), [Renamed, Renamed]);
    // Identical files are still detected: this needs no content.
    assert_eq!(statuses(|limits| limits.rename_files = 3), [Deleted, Added, Renamed]);
    assert_eq!(statuses(|limits| limits.diff_blob_bytes = 100), [Deleted, Added, Renamed]);
    assert_eq!(statuses(|limits| limits.diff_read_bytes = 100), [Deleted, Added, Renamed]);
}

/// For a change of more than 200 files, renames were omitted without a notice.
#[test]
fn moved_folder_is_all_renames_regardless_of_file_count() {
    let path = |folder: &str, number: usize| format!("{folder}/f{number:03}");
    let (mut old, mut new) = (Files::new(), Files::new());
    for number in 0..500 {
        // Every content occurs in five files, which are matched by their names.
        let text = format!("{}\n", number % 100);
        old.insert(path("old", number), (FILE, text.clone().into_bytes()));
        new.insert(path("new", number), (FILE, text.into_bytes()));
    }
    let seen = diff(&old, &new);
    assert_eq!((seen.files.len(), seen.truncated, seen.renames_by_content_skipped), (300, true, false));
    for (number, file) in seen.files.iter().enumerate() {
        assert_eq!((file.status, file.path.as_str()), (ChangeStatus::Renamed, path("new", number).as_str()));
        assert_eq!(file.old_path.as_deref(), Some(path("old", number).as_str()));
        assert_eq!(file.patch.as_deref(), Some(""));
    }
    // A file that was moved and changed is not detected, and the response reports this.
    old.insert("a".into(), (FILE, numbered(50).into_bytes()));
    new.insert("b".into(), (FILE, numbered(51).into_bytes()));
    let seen = diff(&old, &new);
    let statuses: Vec<_> = seen.files.iter().take(3).map(|file| file.status).collect();
    assert_eq!(statuses, [ChangeStatus::Deleted, ChangeStatus::Added, ChangeStatus::Renamed]);
    assert!(seen.renames_by_content_skipped);
    // Changes beyond `changed_files` are truncated.
    let sample = SampleRepository::new();
    let seen = diff_with(&sample.limited(|limits| limits.changed_files = 400), &sample, &old, &new);
    assert!(seen.truncated);
}

#[test]
fn diff_shows_modes_links_submodules_binaries_like_git() {
    let hex = |digit: &str| digit.repeat(40).into_bytes();
    let mut old = files(&[("run", "x\n"), ("becomes-link", "target\n"), ("logo", "a\0b")]);
    old.insert("module".into(), (SUBMODULE, hex("1")));
    old.insert("link".into(), (LINK, b"here".to_vec()));
    let mut new = old.clone();
    new.insert("run".into(), (PROGRAM, b"x\n".to_vec()));
    new.insert("becomes-link".into(), (LINK, b"elsewhere".to_vec()));
    new.insert("logo".into(), (FILE, b"a\0c".to_vec()));
    new.insert("module".into(), (SUBMODULE, hex("2")));
    new.insert("link".into(), (LINK, b"there".to_vec()));
    let seen = diff(&old, &new);
    let rows: Vec<_> =
        seen.files.iter().map(|f| (f.path.as_str(), f.status, f.binary, f.patch.is_some())).collect();
    assert_eq!(
        rows,
        [
            ("becomes-link", ChangeStatus::Typechange, false, true),
            ("link", ChangeStatus::Modified, false, true),
            ("logo", ChangeStatus::Modified, true, false),
            ("module", ChangeStatus::Modified, false, true),
            ("run", ChangeStatus::Modified, false, true),
        ]
    );
    assert_eq!(seen.files[3].new_oid, Oid::parse(&"2".repeat(40)));
    let [one, two] = ["1", "2"].map(|digit| format!("Subproject commit {}", digit.repeat(40)));
    assert_eq!(seen.files[3].patch, Some(format!("@@ -1 +1 @@\n-{one}\n+{two}\n")));
    assert_eq!((seen.files[3].additions, seen.files[3].deletions), (1, 1));
    assert_eq!(seen.files[4].new_mode.as_deref(), Some("100755"));
    assert_eq!((seen.files[4].patch.as_deref(), seen.files[4].additions), (Some(""), 0));
}

#[test]
fn diff_deletes_file_and_adds_children_when_it_becomes_folder() {
    let seen = diff(
        &files(&[("a", "file\n"), ("a.txt", "1\n")]),
        &files(&[("a/b", "other text\n"), ("a.txt", "1\n")]),
    );
    let rows: Vec<_> = seen.files.iter().map(|f| (f.path.as_str(), f.status)).collect();
    assert_eq!(rows, [("a", ChangeStatus::Deleted), ("a/b", ChangeStatus::Added)]);
}

#[test]
fn diff_lists_first_files_when_there_are_too_many() {
    let many: Vec<_> = (0..20).map(|number| (format!("d{}/f{number:02}", number % 3), "x\n")).collect();
    let many: Vec<_> = many.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    let sample = SampleRepository::new();
    let browser = sample.limited(|limits| limits.diff_files = 8);
    let seen = diff_with(&browser, &sample, &Files::new(), &files(&many));
    assert_eq!((seen.files.len(), seen.truncated, seen.additions), (8, true, 8));
    assert_eq!(seen.files[7].path, "d1/f01");
    let browser = sample.limited(|limits| limits.diff_files = 20);
    let seen = diff_with(&browser, &sample, &Files::new(), &files(&many));
    assert_eq!((seen.files.len(), seen.truncated), (20, false));
}

#[test]
fn diff_marks_too_large_file_and_compares_others() {
    let (large, long) = ("x".repeat(500), "\n".repeat(60));
    let sample = SampleRepository::new();
    let browser = sample.limited(|limits| (limits.diff_blob_bytes, limits.diff_blob_lines) = (400, 50));
    let new = files(&[("large", &large), ("long", &long), ("small", "1\n")]);
    let seen = diff_with(&browser, &sample, &Files::new(), &new);
    let rows: Vec<_> = seen.files.iter().map(|f| (f.too_large, f.patch.is_some())).collect();
    assert_eq!((rows, seen.truncated), (vec![(true, false), (true, false), (false, true)], false));
}

#[test]
fn diff_omits_and_counts_patches_beyond_total_limits() {
    let text = numbered(30);
    let new = files(&[("a", "1\n"), ("b", &text), ("c", "2\n")]);
    let seen = |change: fn(&mut BrowseLimits)| {
        let sample = SampleRepository::new();
        let seen = diff_with(&sample.limited(change), &sample, &Files::new(), &new);
        (seen.files.iter().map(|f| f.patch.is_some()).collect::<Vec<_>>(), seen.additions, seen.truncated)
    };
    let without_b = vec![true, false, true];
    assert_eq!(seen(|limits| limits.diff_lines = 10), (without_b.clone(), 32, true));
    assert_eq!(seen(|limits| limits.diff_bytes = 100), (without_b.clone(), 32, true));
    assert_eq!(seen(|limits| limits.diff_read_bytes = 100), (without_b, 2, true));
    assert_eq!(seen(|limits| limits.diff_lines = 35), (vec![true, true, true], 32, false));
    let (patches, _, truncated) = seen(|limits| limits.time_ms = 0);
    assert!(patches.is_empty() && truncated);
}

/// Clients cached responses that lacked a part, because of an exhausted budget or a missing object,
/// for a year.
#[test]
fn diff_is_reported_incomplete_when_object_is_unread() {
    let sample = SampleRepository::new();
    let old = sample.commit(&[], &files(&[("gone", &numbered(30)), ("kept", "1\n")]));
    let new = sample.commit(&[old], &files(&[("came", &numbered(31)), ("kept", "2\n")]));
    let browser = sample.browser();
    assert!(!browser.commit(new).unwrap().diff.renames_by_content_skipped);
    assert!(browser.has_read_all());
    // A file that is always too large does not make a response incomplete.
    let browser = sample.limited(|limits| limits.diff_blob_bytes = 1);
    assert!(browser.commit(new).unwrap().diff.files.iter().all(|file| file.too_large));
    assert!(browser.has_read_all());
    // The budget suffices only for the commits and trees.
    let spent = sample.limited(|limits| limits.read_bytes = 1024);
    assert!(spent.commit(new).unwrap().diff.files.iter().any(|file| file.too_large));
    assert!(!spent.has_read_all());
    sample.lose(sample.blob(b"2\n"));
    let browser = sample.browser();
    let diff = browser.commit(new).unwrap().diff;
    assert!(diff.files.iter().any(|file| file.path == "kept" && file.too_large) && !diff.truncated);
    assert!(!browser.has_read_all());
    let listed = sample.browser();
    assert!(listed.tree(new, "", false).is_ok() && !listed.has_read_all());
}
