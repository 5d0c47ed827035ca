//! Tests with damaged or malicious repositories: every request ends with a response or an error,
//! without a panic or an endless loop.

use std::fs;

use git2::ObjectType;

use super::sample::{SampleRepository, files};
use super::*;

/// Writes a tree object with these modes, names and ids, unchecked.
fn raw_tree(sample: &SampleRepository, entries: &[(&str, &[u8], git2::Oid)]) -> git2::Oid {
    let mut bytes = Vec::new();
    for (mode, name, oid) in entries {
        bytes.extend_from_slice(format!("{mode} ").as_bytes());
        bytes.extend_from_slice(name);
        bytes.push(0);
        bytes.extend_from_slice(oid.as_bytes());
    }
    sample.object(ObjectType::Tree, &bytes)
}

/// Writes a loose ref with any content.
fn write_ref(sample: &SampleRepository, name: &str, content: &str) {
    let path = sample.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

#[test]
fn cyclic_or_hidden_symbolic_refs_do_not_resolve() {
    let sample = SampleRepository::new();
    let oid = sample.commit(&[], &files(&[("a", "1")]));
    sample.set("refs/heads/main", oid);
    sample.set("refs/netbit/hidden", oid);
    for (name, target) in [
        ("one", "refs/heads/two"),
        ("two", "refs/heads/one"),
        ("self", "refs/heads/self"),
        ("peek", "refs/netbit/hidden"),
        ("outside", "../../config"),
        ("unborn", "refs/heads/none"),
        ("alias", "refs/heads/main"),
    ] {
        write_ref(&sample, &format!("refs/heads/{name}"), &format!("ref: {target}\n"));
    }
    write_ref(&sample, "refs/heads/garbage", "what is this\n");
    let browser = sample.browser();
    for name in ["one", "two", "self", "peek", "unborn"] {
        assert_eq!(browser.resolve(name), Err(BrowseError::NotFound("ref")), "{name}");
    }
    assert!(browser.resolve("outside").is_err() && browser.resolve("garbage").is_err());
    assert_eq!(browser.resolve("alias").unwrap().oid, oid);
    let names: Vec<_> = browser.branches(None, 100).unwrap().items.into_iter().map(|b| b.name).collect();
    assert_eq!(names, ["alias", "main"]);
    assert!(Browser::ref_targets(sample.path(), &["refs/heads/none"]).is_ok());
}

#[test]
fn ref_to_missing_object_is_listed_but_not_resolved() {
    let sample = SampleRepository::new();
    let lost = "1".repeat(40);
    write_ref(&sample, "refs/heads/main", &lost);
    write_ref(&sample, "refs/tags/v1", &lost);
    let browser = sample.browser();
    assert_eq!(browser.resolve(""), Err(BrowseError::NotFound("commit")));
    assert_eq!(browser.resolve("v1"), Err(BrowseError::NotFound("commit")));
    let branch = &browser.branches(None, 1).unwrap().items[0];
    assert_eq!((branch.oid.to_string(), branch.committed_at), (lost.clone(), None));
    let tag = &browser.tags(None, 1).unwrap().items[0];
    assert_eq!((tag.oid.to_string(), tag.target_kind, tag.created_at), (lost, None, None));
}

#[test]
fn tags_without_commit_are_listed_but_not_resolved() {
    let sample = SampleRepository::new();
    let oid = sample.commit(&[], &files(&[("a", "1")]));
    let blob = sample.blob(b"x");
    let tree = sample.tree(&files(&[("a", "1")]));
    write_ref(&sample, "refs/tags/blob", &blob.to_string());
    write_ref(&sample, "refs/tags/tree", &tree.to_string());
    write_ref(&sample, "refs/heads/not-a-commit", &tree.to_string());
    let (mut target, mut kind) = (oid.raw(), "commit");
    for level in 0..100 {
        let text = format!("object {target}\ntype {kind}\ntag t{level}\ntagger T <t@e> 1 +0000\n\nx\n");
        (target, kind) = (sample.object(ObjectType::Tag, text.as_bytes()), "tag");
    }
    write_ref(&sample, "refs/tags/deep", &target.to_string());
    let garbage = sample.object(ObjectType::Tag, b"no tag at all");
    write_ref(&sample, "refs/tags/garbage", &garbage.to_string());
    let browser = sample.browser();
    for name in ["blob", "tree", "deep", "not-a-commit"] {
        assert_eq!(browser.resolve(name), Err(BrowseError::NotFound("commit")), "{name}");
    }
    assert!(matches!(browser.resolve("garbage"), Err(BrowseError::Failed(_))));
    let kinds: Vec<_> = browser.tags(None, 10).unwrap().items.into_iter().map(|t| t.target_kind).collect();
    assert_eq!(kinds, [Some("blob"), Some("tag"), None, Some("tree")]);
    assert_eq!(browser.branches(None, 10).unwrap().items[0].summary, None);
}

/// Such a name was listed with U+FFFD and could not be requested.
#[test]
fn non_utf_8_name_can_be_listed_and_requested() {
    let sample = SampleRepository::new();
    let (first, second, third) = (sample.blob(b"x\n"), sample.blob(b"y\n"), sample.blob(b"z\n"));
    let entries: [(&str, &[u8], _); 4] = [
        ("100644", b"a%E9", second),
        ("100644", b"a\xe9", first),
        ("100644", b"b", first),
        ("100644", b"c%FF", third),
    ];
    let tree = raw_tree(&sample, &entries);
    let folder = raw_tree(&sample, &[("40000", b"d\xff", tree)]);
    let head = sample.commit_tree(1, &[], folder, "m");
    sample.write_graph(&head.to_string());
    let browser = sample.browser();
    let folders = browser.tree(head, "", true).unwrap().entries;
    assert_eq!((folders[0].name.as_str(), folders[0].path.as_str()), ("d\u{fffd}", "d%FF"));
    let listed = browser.tree(head, "d%FF", true).unwrap();
    let seen: Vec<_> = listed.entries.iter().map(|e| (e.name.as_str(), e.path.as_str())).collect();
    let wanted =
        [("a%E9", "d%FF/a%25E9"), ("a\u{fffd}", "d%FF/a%E9"), ("b", "d%FF/b"), ("c%FF", "d%FF/c%25FF")];
    assert_eq!((seen, listed.path.as_str()), (wanted.to_vec(), "d%FF"));
    for (entry, content) in listed.entries.iter().zip(["y\n", "x\n", "x\n", "z\n"]) {
        assert_eq!(entry.last_commit.as_ref().unwrap().oid, head);
        let blob = browser.blob(head, &entry.path).unwrap();
        assert_eq!((blob.content.as_deref(), &blob.path), (Some(content), &entry.path));
        assert_eq!(browser.commits(head, Some(&entry.path), None, 9).unwrap().items.len(), 1);
    }
    // A name that contains a literal escape sequence is found if the unescaped name does not exist.
    assert_eq!(browser.blob(head, "d%FF/c%FF").unwrap().content.as_deref(), Some("z\n"));
    assert_eq!(browser.blob(head, "d\u{fffd}/b"), Err(BrowseError::NotFound("path")));
    assert_eq!(browser.commit(head).unwrap().diff.files[0].path, "d%FF/a%25E9");
}

#[test]
fn malformed_trees_cause_no_panic() {
    let sample = SampleRepository::new();
    let blob = sample.blob(b"x\n");
    let inner = raw_tree(&sample, &[("100644", b"f", blob)]);
    let tree = raw_tree(
        &sample,
        &[
            ("40000", b"z", inner),
            ("100644", b"..", blob),
            ("100664", b".git", blob),
            ("100644", b"a/b", blob),
            ("100644", b"dup", blob),
            ("100644", b"dup", blob),
            ("0", b"none", blob),
            ("40000", b"not-a-tree", blob),
            ("100644", b"not-a-blob", inner),
        ],
    );
    let head = sample.commit_tree(1, &[], tree, "m");
    let next = sample.commit_tree(2, &[head], inner, "n");
    let browser = sample.browser();
    let listed = browser.tree(head, "", true);
    assert!(listed.is_ok_and(|tree| tree.entries.len() == 9));
    for path in ["..", "a/b", "not-a-tree/x", "not-a-tree", "not-a-blob", "none", "dup", ".git"] {
        drop((browser.tree(head, path, true), browser.blob(head, path), browser.raw(head, path)));
        drop(browser.commits(next, Some(path), None, 10));
    }
    drop((browser.commit(head), browser.commit(next), browser.compare(head, next)));
}

#[test]
fn missing_and_malformed_objects_give_errors_or_end_lists() {
    let sample = SampleRepository::new();
    let root = sample.commit(&[], &files(&[("a", "1\n"), ("d/b", "1\n")]));
    let second = sample.commit(&[root], &files(&[("a", "2\n"), ("d/b", "1\n")]));
    let third = sample.commit(&[second], &files(&[("a", "2\n"), ("d/b", "3\n")]));
    sample.lose(sample.blob(b"2\n"));
    let browser = sample.browser();
    assert_eq!(browser.blob(second, "a"), Err(BrowseError::NotFound("file")));
    assert_eq!(browser.raw(second, "a"), Err(BrowseError::NotFound("file")));
    assert_eq!(browser.tree(second, "", true).unwrap().entries[0].size_bytes, None);
    let file = &browser.commit(second).unwrap().diff.files[0];
    assert!(file.too_large && file.patch.is_none());

    sample.lose(root.raw());
    let browser = sample.browser();
    let page = browser.commits(third, None, None, 10).unwrap();
    assert_eq!((page.items.len(), page.truncated), (2, true));
    assert_eq!(browser.commit(second), Err(BrowseError::NotFound("commit")));
    drop((browser.tree(third, "", true).unwrap(), browser.compare(second, third).unwrap()));
    assert!(browser.compare(root, third).is_err());

    let tree = sample.repository.find_commit(third.raw()).unwrap().tree_id();
    sample.lose(tree);
    let browser = sample.browser();
    assert_eq!(browser.tree(third, "", true), Err(BrowseError::NotFound("tree")));
    assert_eq!(browser.commit(third), Err(BrowseError::NotFound("tree")));
    assert!(browser.commits(third, Some("a"), None, 10).is_ok());

    for text in ["", "tree x\n", "tree 1111111111111111111111111111111111111111\nparent\n\n\n"] {
        let garbage = Oid::from(sample.object(ObjectType::Commit, text.as_bytes()));
        let browser = sample.browser();
        assert!(browser.tree(garbage, "", true).is_err() && browser.commit(garbage).is_err());
        assert!(browser.commits(garbage, None, None, 1).is_err());
    }
}

#[test]
fn malformed_author_lines_cause_no_panic() {
    let sample = SampleRepository::new();
    let tree = sample.tree(&files(&[("a", "1\n")]));
    let who = ["A <a@e> 99999999999999999999 +9999", "<> 0 +0000", "\u{1}\u{202e} <\u{fffd}> -5 -0000", "x"];
    for who in who {
        let text = format!("tree {tree}\nauthor {who}\ncommitter {who}\nencoding latin1\n\n\u{1b}[2J\n");
        let oid = Oid::from(sample.object(ObjectType::Commit, text.as_bytes()));
        let browser = sample.browser();
        if let Ok(seen) = browser.commit(oid) {
            assert!(serde_json::to_string(&seen).is_ok(), "{who:?}");
        }
        drop((browser.tree(oid, "", true), browser.commits(oid, Some("a"), None, 1)));
    }
}

/// Ten levels of folders that each contain the next folder ten times: ten thousand million paths in
/// ten objects.
#[test]
fn tree_bomb_is_listed_per_level_and_its_diff_is_truncated() {
    let sample = SampleRepository::new();
    let blob = sample.blob(b"x\n");
    for leaf in [raw_tree(&sample, &[("100644", b"f", blob)]), sample.object(ObjectType::Tree, b"")] {
        let mut tree = leaf;
        for _ in 0..10 {
            let names: Vec<_> = (0..10_u8).map(|number| [b'd', b'0' + number]).collect();
            let entries: Vec<_> = names.iter().map(|name| ("40000", name.as_slice(), tree)).collect();
            tree = raw_tree(&sample, &entries);
        }
        let head = sample.commit_tree(1, &[], tree, "bomb");
        let browser = sample.limited(|limits| limits.time_ms = 300);
        assert_eq!(browser.tree(head, "d0/d1/d2", true).unwrap().entries.len(), 10);
        assert!(browser.commit(head).unwrap().diff.truncated);
    }
}

#[test]
fn deeply_nested_tree_does_not_exhaust_the_stack() {
    let sample = SampleRepository::new();
    let mut tree = raw_tree(&sample, &[("100644", b"f", sample.blob(b"x\n"))]);
    for _ in 0..5_000 {
        tree = raw_tree(&sample, &[("40000", b"d", tree)]);
    }
    let head = sample.commit_tree(1, &[], tree, "deep");
    let browser = sample.browser();
    let seen = browser.commit(head).unwrap().diff;
    assert_eq!((seen.files.len(), seen.truncated), (0, true));
    assert!(browser.tree(head, &vec!["d"; 128].join("/"), true).is_ok());
    assert!(matches!(browser.tree(head, &vec!["d"; 129].join("/"), true), Err(BrowseError::BadRequest(_))));
}

#[test]
fn merge_of_many_parents_is_walked_within_the_budget() {
    let sample = SampleRepository::new();
    let mut parents = Vec::new();
    for number in 0..300 {
        parents.push(sample.commit(&[], &files(&[("a", &number.to_string())])));
    }
    let head = sample.commit(&parents, &files(&[("a", "merged")]));
    let browser = sample.limited(|limits| limits.walk_commits = 50);
    let page = browser.commits(head, None, None, 100).unwrap();
    assert!(page.truncated);
    assert_eq!(page.items[0].parents.len(), 64);
    assert!(browser.tree(head, "", true).is_ok());
    assert!(matches!(browser.compare(parents[299], head), Err(BrowseError::TooLarge(_))));
    assert_eq!(sample.browser().commits(head, Some("a"), None, 100).unwrap().items.len(), 100);
}

/// Before pushes were checked, commits of any size were stored. A huge commit hid its ancestors:
/// `/commits` ended there, and a comparison counted 1 and 5 instead of 2 and 0.
#[test]
fn huge_commit_is_truncated_and_its_ancestors_are_reachable() {
    let sample = SampleRepository::new();
    let tree = sample.tree(&files(&[("a", "1\n")]));
    let root = sample.commit_tree(1, &[], tree, "root");
    let large = sample.commit_tree(2, &[root], tree, &"y".repeat(900 * 1024));
    let huge = sample.commit_tree(3, &[large], tree, &format!("Huge\n\n{}", "x".repeat(5 * 1024 * 1024)));
    let head = sample.commit_tree(4, &[huge], tree, "small");
    let check = || {
        let browser = sample.browser();
        let page = browser.commits(head, None, None, 10).unwrap();
        let oids: Vec<_> = page.items.iter().map(|item| item.oid).collect();
        assert_eq!((oids, page.truncated), (vec![head, huge, large, root], false));
        let shown = &page.items[1];
        assert_eq!((shown.summary.as_str(), shown.message_truncated), ("Huge", true));
        assert_eq!((shown.message.len(), shown.author.name.as_str()), (16 * 1024, "Ada"));
        let seen = browser.compare(root, head).unwrap();
        assert_eq!((seen.merge_base, seen.ahead, seen.behind), (Some(root), 3, 0));
        let seen = browser.compare(head, large).unwrap();
        assert_eq!((seen.merge_base, seen.ahead, seen.behind), (Some(large), 0, 2));
        assert_eq!(browser.commit(huge).unwrap().commit.parents, [large]);
        let last = browser.tree(huge, "", true).unwrap().entries.remove(0).last_commit.unwrap();
        assert_eq!(last.oid, root);
    };
    check();
    // In a pack, the commit is read in another way. It is not a delta.
    sample.git(&["update-ref", "refs/heads/main", &head.to_string()]);
    sample.git(&["repack", "-adq"]);
    check();
    sample.write_graph(&head.to_string());
    check();
}

#[test]
fn huge_tag_is_listed_without_being_loaded() {
    let sample = SampleRepository::new();
    let head = sample.commit(&[], &files(&[("a", "1\n")]));
    let text =
        format!("object {head}\ntype commit\ntag t\ntagger T <t@e> 1 +0000\n\n{}", "x".repeat(1100 * 1024));
    write_ref(&sample, "refs/tags/huge", &sample.object(ObjectType::Tag, text.as_bytes()).to_string());
    let browser = sample.browser();
    assert!(matches!(browser.resolve("huge"), Err(BrowseError::TooLarge(_))));
    assert_eq!(browser.tags(None, 10).unwrap().items[0].target_kind, None);
}
