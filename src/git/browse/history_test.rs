//! Tests of commit lists and comparisons.

use super::sample::{SampleRepository, files};
use super::*;

fn pages(browser: &Browser, from: Oid, path: Option<&str>, size: usize) -> Vec<String> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = browser.commits(from, path, after, size).unwrap();
        assert!(page.items.len() <= size && !page.truncated);
        found.extend(page.items.iter().map(|item| item.oid.to_string()));
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}

#[test]
fn commit_pages_list_each_commit_once_in_git_log_order() {
    for seed in 1..=6 {
        let sample = SampleRepository::new();
        let head = sample.random_history(seed, 50, seed % 2 == 0);
        let judged = sample.git(&["log", "--format=%H", &head.to_string()]);
        sample.with_each_graph(head, |browser| {
            for size in [1, 7, 50] {
                assert_eq!(pages(browser, head, None, size), judged, "seed {seed}, pages of {size}");
            }
        });
    }
}

#[test]
fn commits_of_path_match_git_log() {
    for seed in 1..=6 {
        let sample = SampleRepository::new();
        let head = sample.random_history(seed, 60, seed % 2 == 0);
        for path in ["a", "b", "d", "d/x", "d/e", "d/e/z", "d.txt", "never"] {
            let judged = sample.git(&["log", "--format=%H", &head.to_string(), "--", path]);
            sample.with_each_graph(head, |browser| {
                assert_eq!(pages(browser, head, Some(path), 4), judged, "seed {seed}, {path}");
            });
        }
    }
}

#[test]
fn commit_page_returns_texts_dates_and_parents() {
    let sample = SampleRepository::new();
    let tree = sample.tree(&files(&[("a", "1")]));
    let root = sample.commit_tree(1_700_000_000, &[], tree, "One\nline\n\nBody \u{1b}[31m\n");
    let long = "é".repeat(20_000);
    let head = sample.commit_tree(1_700_000_001, &[root], tree, &long);
    let page = sample.browser().commits(head, None, None, 10).unwrap();
    let [second, first] = page.items.as_slice() else { panic!("{page:?}") };
    assert_eq!((first.summary.as_str(), first.message_truncated), ("One line", false));
    assert_eq!(first.message, "One\nline\n\nBody \u{1b}[31m\n");
    assert_eq!((first.author.name.as_str(), first.committer.email.as_str()), ("Ada", "bob@example.org"));
    assert_eq!(first.authored_at.0, 1_700_000_000_000);
    assert_eq!((second.message.len(), second.message_truncated), (16 * 1024, true));
    assert_eq!(second.parents, [root]);
    assert!(second.summary.len() <= 1024);
    let json = serde_json::to_value(first).unwrap();
    assert_eq!(json["committed_at"], "2023-11-14T22:13:20Z");
}

#[test]
fn commit_page_is_truncated_only_when_limit_ends_walk() {
    let sample = SampleRepository::new();
    let mut head = sample.commit(&[], &files(&[("a", "0")]));
    for number in 1..10 {
        head = sample.commit(&[head], &files(&[("a", &number.to_string())]));
    }
    let browser = sample.limited(|limits| limits.walk_commits = 6);
    let page = browser.commits(head, None, None, 4).unwrap();
    assert_eq!((page.items.len(), page.truncated), (4, false));
    let page = browser.commits(head, None, page.next, 4).unwrap();
    assert_eq!((page.items.len(), page.next, page.truncated), (2, None, true));
    let page = sample.limited(|limits| limits.walk_commits = 10).commits(head, None, None, 10).unwrap();
    assert_eq!((page.items.len(), page.next, page.truncated), (10, None, false));
    let late = sample.limited(|limits| limits.walk_ms = 0).commits(head, None, None, 10).unwrap();
    assert_eq!((late.items.len(), late.truncated), (0, true));
}

#[test]
fn commits_reject_cursor_of_another_history() {
    let sample = SampleRepository::new();
    let head = sample.commit(&[], &files(&[("a", "0")]));
    let stranger = sample.commit(&[], &files(&[("a", "1")]));
    let browser = sample.browser();
    assert!(matches!(browser.commits(head, None, Some(stranger), 1), Err(BrowseError::BadRequest(_))));
    let missing = Oid::parse(&"1".repeat(40)).unwrap();
    assert_eq!(browser.commits(missing, None, None, 1), Err(BrowseError::NotFound("commit")));
}

#[test]
fn compare_returns_merge_base_counts_and_head_changes() {
    let sample = SampleRepository::new();
    let root = sample.commit(&[], &files(&[("a", "0\n"), ("b", "0\n")]));
    let base = sample.commit(&[root], &files(&[("a", "base\n"), ("b", "0\n")]));
    let one = sample.commit(&[root], &files(&[("a", "0\n"), ("b", "1\n")]));
    let two = sample.commit(&[one], &files(&[("a", "0\n"), ("b", "2\n")]));
    let browser = sample.browser();
    let seen = browser.compare(base, two).unwrap();
    assert_eq!((seen.merge_base, seen.ahead, seen.behind, seen.commits_truncated), (Some(root), 2, 1, false));
    assert_eq!(seen.commits.iter().map(|c| c.oid).collect::<Vec<_>>(), [two, one]);
    let [file] = seen.diff.files.as_slice() else { panic!("{seen:?}") };
    assert_eq!((file.path.as_str(), file.patch.as_deref()), ("b", Some("@@ -1 +1 @@\n-0\n+2\n")));

    let same = browser.compare(two, two).unwrap();
    assert_eq!((same.merge_base, same.ahead, same.behind, same.diff.files.len()), (Some(two), 0, 0, 0));
    let back = browser.compare(two, root).unwrap();
    assert_eq!((back.merge_base, back.ahead, back.behind, back.diff.files.len()), (Some(root), 0, 2, 0));
    let json = serde_json::to_value(&seen).unwrap();
    assert_eq!((json["ahead"].as_u64(), json["files"][0]["status"].as_str()), (Some(2), Some("modified")));
}

#[test]
fn compare_of_unrelated_histories_has_no_base_and_no_diff() {
    let sample = SampleRepository::new();
    let one = sample.commit(&[], &files(&[("a", "0")]));
    let other = sample.commit(&[], &files(&[("a", "1")]));
    let seen = sample.browser().compare(one, other).unwrap();
    assert_eq!((seen.merge_base, seen.ahead, seen.behind, seen.diff.files.len()), (None, 1, 1, 0));
}

#[test]
fn compare_counts_and_merge_bases_match_git() {
    for seed in 1..=8 {
        let sample = SampleRepository::new();
        let head = sample.random_history(seed, 60, seed % 2 == 0);
        let all = sample.git(&["rev-list", &head.to_string()]);
        sample.with_each_graph(head, |browser| {
            for (at, step) in [(0, 5), (1, 2), (3, 11), (2, 20), (4, 30)] {
                let (Some(one), Some(other)) = (all.get(at), all.get(at + step)) else { continue };
                let seen = browser.compare(Oid::parse(one).unwrap(), Oid::parse(other).unwrap()).unwrap();
                let range = format!("{one}...{other}");
                let counts = sample.git(&["rev-list", "--left-right", "--count", &range]);
                assert_eq!(format!("{}\t{}", seen.behind, seen.ahead), counts[0], "seed {seed}, {range}");
                let bases = sample.git(&["merge-base", "--all", one, other]);
                assert!(bases.contains(&seen.merge_base.unwrap().to_string()), "seed {seed}, {range}");
            }
        });
    }
}

#[test]
fn compare_truncates_long_lists_and_rejects_long_walks() {
    let sample = SampleRepository::new();
    let root = sample.commit(&[], &files(&[("a", "0")]));
    let mut head = root;
    for number in 1..=10 {
        head = sample.commit(&[head], &files(&[("a", &number.to_string())]));
    }
    let seen = sample.limited(|limits| limits.compare_commits = 3).compare(root, head).unwrap();
    assert_eq!((seen.commits.len(), seen.ahead, seen.commits_truncated), (3, 10, true));
    // An error, not a response without a merge base.
    let refused = sample.limited(|limits| limits.walk_commits = 6).compare(root, head);
    assert!(matches!(refused, Err(BrowseError::TooLarge(_))), "{refused:?}");
    let refused = sample.limited(|limits| limits.walk_ms = 0).compare(root, head);
    assert!(matches!(refused, Err(BrowseError::TooLarge(_))), "{refused:?}");
}

/// All errors had the same text, so the client could not see whether a commit-graph or closer
/// commits would help.
#[test]
fn rejected_compare_names_the_exceeded_limit() {
    let sample = SampleRepository::new();
    let root = sample.commit(&[], &files(&[("a", "0")]));
    let mut head = root;
    for number in 1..=10 {
        head = sample.commit(&[head], &files(&[("a", &number.to_string())]));
    }
    let refused = |change: fn(&mut BrowseLimits)| match sample.limited(change).compare(root, head) {
        Err(BrowseError::TooLarge(why)) => why,
        other => panic!("{other:?}"),
    };
    assert!(refused(|limits| limits.walk_commits = 6).contains("(limit walk_commits)"));
    assert!(refused(|limits| limits.walk_ms = 0).contains("(limit walk_ms)"));
    assert!(
        refused(|limits| limits.read_bytes = 1_500).contains("compared in one request (limit read_bytes)")
    );
    assert!(refused(|limits| limits.read_ms = 0).contains("(limit read_ms)"));
}

/// Commits in the commit-graph are not loaded, so they do not count towards `walk_commits`.
#[test]
fn commit_pages_ignore_walk_limit_when_graph_has_commits() {
    let sample = SampleRepository::new();
    let mut head = sample.commit(&[], &files(&[("a", "0"), ("b", "0")]));
    for number in 1..100 {
        let text = if number % 10 == 0 { "0" } else { &number.to_string() };
        head = sample.commit(&[head], &files(&[("a", text), ("b", "0")]));
    }
    sample.write_graph(&head.to_string());
    let newest = sample.commit(&[head], &files(&[("a", "newest"), ("b", "0")]));
    let browser = sample.limited(|limits| limits.walk_commits = 5);
    let all = sample.git(&["rev-list", &newest.to_string()]);
    assert_eq!(pages(&browser, newest, None, 7), all);
    let judged = sample.git(&["rev-list", &newest.to_string(), "--", "b"]);
    assert_eq!(pages(&browser, newest, Some("b"), 7), judged);
    let entries = browser.tree(newest, "", true).unwrap().entries;
    assert!(entries.iter().all(|entry| entry.last_commit.is_some()));
    let root = Oid::parse(judged.last().unwrap()).unwrap();
    let seen = browser.compare(root, newest).unwrap();
    assert_eq!((seen.merge_base, seen.ahead, seen.behind), (Some(root), 100, 0));
    // A graph that is too large to be loaded is read in parts, here more than 400 times.
    let poor = sample.limited(|limits| (limits.graph_bytes, limits.walk_commits) = (0, 5));
    assert_eq!(pages(&poor, newest, None, 7), all);
    assert_eq!(pages(&poor, newest, Some("b"), 7), judged);
}

/// A damaged commit-graph is treated like a missing one.
#[test]
fn history_stays_correct_when_commit_graph_is_damaged() {
    let sample = SampleRepository::new();
    let head = sample.random_history(5, 40, false);
    let judged = sample.git(&["rev-list", &head.to_string()]);
    sample.write_graph(&head.to_string());
    let path = sample.path().join("objects/info/commit-graph");
    let whole = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    for length in [0, 7, 8, 40, 200, 1100, whole.len() / 2] {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert_eq!(pages(&sample.browser(), head, None, 50), judged, "{length}");
    }
    for at in (0..whole.len()).step_by(3) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0xff;
        std::fs::write(&path, &bytes).unwrap();
        let browser = sample.browser();
        drop((browser.commits(head, Some("d/x"), None, 5), browser.tree(head, "", true)));
        drop(browser.compare(head, Oid::parse(&judged[10]).unwrap()));
    }
}
