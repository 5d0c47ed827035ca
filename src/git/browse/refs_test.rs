//! Tests of names, branches and tags.

use super::sample::{SampleRepository, files};
use super::*;

fn with_main() -> (SampleRepository, Oid) {
    let sample = SampleRepository::new();
    let oid = sample.commit(&[], &files(&[("a", "1")]));
    sample.set("refs/heads/main", oid);
    (sample, oid)
}

#[test]
fn empty_repository_has_no_refs_and_no_head() {
    let sample = SampleRepository::new();
    let browser = sample.browser();
    assert!(browser.is_empty().unwrap());
    assert_eq!(browser.default_branch_head().unwrap(), None);
    assert_eq!(browser.resolve(""), Err(BrowseError::Empty));
    assert_eq!(browser.resolve("main"), Err(BrowseError::NotFound("ref")));
    assert_eq!(browser.branches(None, 10).unwrap(), RefPage { items: vec![], next: None });
    assert_eq!(browser.tags(None, 10).unwrap(), RefPage { items: vec![], next: None });
}

#[test]
fn open_does_not_search_parent_folders() {
    let (sample, _) = with_main();
    let within = sample.path().join("refs");
    assert_eq!(
        Browser::open(&within, "main", BrowseLimits::default()).unwrap_err(),
        BrowseError::NotFound("repository")
    );
}

#[test]
fn browser_ignores_repository_configuration_after_open() {
    let (sample, _) = with_main();
    sample.git(&["config", "diff.renames", "false"]);
    let browser = sample.browser();
    assert!(browser.repository.config().unwrap().get_string("diff.renames").is_err());
}

#[test]
fn resolve_prefers_branch_over_tag_over_object_id() {
    let (sample, first) = with_main();
    let second = sample.commit(&[first], &files(&[("a", "2")]));
    sample.set("refs/heads/feature/x", second);
    sample.set("refs/tags/main", second);
    sample.set("refs/tags/v1", second);
    sample.set("refs/notes/commits", first);
    let browser = sample.browser();
    let resolve = |name: &str| {
        let found = browser.resolve(name).unwrap();
        (found.oid, found.kind, found.name, found.canonical)
    };
    let expect = |oid, kind, name: &str, canonical: &str| (oid, kind, name.to_owned(), canonical.to_owned());
    assert_eq!(resolve(""), expect(first, RefKind::Branch, "main", "refs/heads/main"));
    assert_eq!(resolve("main"), expect(first, RefKind::Branch, "main", "refs/heads/main"));
    assert_eq!(resolve("feature/x"), expect(second, RefKind::Branch, "feature/x", "refs/heads/feature/x"));
    assert_eq!(resolve("v1"), expect(second, RefKind::Tag, "v1", "refs/tags/v1"));
    for full in ["refs/tags/main", "refs/heads/feature/x"] {
        assert_eq!(resolve(full), expect(second, RefKind::Ref, full, full));
    }
    assert_eq!(resolve("refs/notes/commits").0, first);
    let hex = second.to_string();
    assert_eq!(resolve(&hex.to_uppercase()), expect(second, RefKind::Commit, &hex, &hex));
}

#[test]
fn resolve_takes_full_name_literally() {
    let (sample, first) = with_main();
    let second = sample.commit(&[first], &files(&[("a", "2")]));
    for name in ["refs/heads/refs/heads/main", "refs/heads/refs/tags/v1", "refs/tags/refs/heads/main"] {
        sample.set(name, second);
    }
    let browser = sample.browser();
    assert_eq!(browser.resolve("refs/heads/main").unwrap().oid, first);
    assert_eq!(browser.resolve("refs/tags/v1"), Err(BrowseError::NotFound("ref")));
    // Refs that older versions accepted stay readable.
    assert_eq!(browser.resolve("refs/heads/refs/heads/main").unwrap().oid, second);
    let default = Browser::open(sample.path(), "refs/heads/main", BrowseLimits::default()).unwrap();
    assert_eq!(default.resolve("").unwrap().oid, second);
}

#[test]
fn annotated_tags_peel_to_commit_through_nested_tags() {
    let (sample, first) = with_main();
    let commit = sample.repository.find_object(first.raw(), None).unwrap();
    let who = git2::Signature::new("Tess", "t@example.org", &git2::Time::new(1_600_000_000, 0)).unwrap();
    let inner = sample.repository.tag("v1", &commit, &who, "First\n", false).unwrap();
    let inner = sample.repository.find_object(inner, None).unwrap();
    let outer = sample.repository.tag("v1-signed", &inner, &who, "Signed\n", false).unwrap();
    sample.repository.tag_lightweight("light", &commit, false).unwrap();
    let browser = sample.browser();
    assert_eq!(browser.resolve("v1").unwrap().oid, first);
    assert_eq!(browser.resolve("v1-signed").unwrap().oid, first);
    assert_eq!(browser.resolve(&outer.to_string()).unwrap().oid, first);

    let tags = browser.tags(None, 10).unwrap().items;
    let [light, v1, signed] = tags.as_slice() else { panic!("{tags:?}") };
    assert_eq!((light.name.as_str(), light.oid, light.tag_oid), ("light", first, None));
    assert_eq!(light.created_at, Some(object::seconds(1_700_000_060)));
    assert_eq!((v1.oid, v1.target_kind), (first, Some("commit")));
    assert_eq!(v1.message.as_deref(), Some("First\n"));
    assert_eq!(v1.tagger, Some(Person { name: "Tess".into(), email: "t@example.org".into() }));
    assert_eq!(v1.created_at, Some(object::seconds(1_600_000_000)));
    assert_eq!((signed.oid, signed.tag_oid), (first, Some(outer.into())));
}

#[test]
fn resolve_rejects_revision_expressions_and_options() {
    let (sample, first) = with_main();
    let second = sample.commit(&[first], &files(&[("a", "2")]));
    sample.set("refs/heads/main", second);
    sample.set("refs/heads/-h", second);
    sample.set("refs/netbit/hidden", first);
    let browser = sample.browser();
    let hex = second.to_string();
    let mut names = vec![
        "@",
        "main~1",
        "main^",
        "main^{tree}",
        "main@{0}",
        "@{u}",
        "@{-1}",
        ":/Change",
        ":/",
        ":a",
        "main:a",
        "a..b",
        "main...main",
        "-h",
        "--output=x",
        "--all",
        "^main",
        "main ",
        " main",
        "main\0",
        "main\n",
        "/main",
        "main/",
        "main/x",
        "refs/heads",
        "refs/heads/",
        "refs/netbit/hidden",
        "netbit/hidden",
        "heads/main",
        "refs/heads/../netbit/hidden",
        "../netbit/hidden",
        "refs/heads/main.lock",
        "main.lock",
        "*",
        "ma*",
        "[m]ain",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "FETCH_HEAD",
        "config",
        "refs",
        "ü\u{7f}",
    ];
    names.push(&hex[..3]);
    let (long, describe) = ("x".repeat(5000), format!("v1-0-g{}", &hex[..7]));
    names.extend([long.as_str(), describe.as_str()]);
    for name in names {
        assert_eq!(browser.resolve(name), Err(BrowseError::NotFound("ref")), "{name:?}");
    }
    let unknown = "1".repeat(40);
    assert_eq!(browser.resolve(&unknown), Err(BrowseError::NotFound("commit")));
    // The id of a blob or tree is not a commit.
    let tree = sample.tree(&files(&[("a", "1")]));
    assert_eq!(browser.resolve(&tree.to_string()), Err(BrowseError::NotFound("commit")));
    assert_eq!(browser.resolve(&tree.to_string()[..12]), Err(BrowseError::NotFound("commit")));
    // A commit is found without a ref to it.
    assert_eq!(browser.resolve(&first.to_string()).unwrap().kind, RefKind::Commit);
}

#[test]
fn branch_pages_list_each_branch_once_in_bytewise_order() {
    let (sample, oid) = with_main();
    for number in 0..25 {
        sample.set(&format!("refs/heads/b{number}"), oid);
        if number == 12 {
            // Some refs are packed, some loose, and `b3` is both.
            sample.git(&["pack-refs", "--all"]);
            sample.set("refs/heads/b3", oid);
        }
    }
    sample.set("refs/heads/B/x", oid);
    sample.set("refs/heads/c/x", oid);
    let browser = sample.browser();
    for size in [1, 3, 9, 14, 27, 28, 100] {
        let (mut names, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = browser.branches(after.as_deref(), size).unwrap();
            assert!(page.items.len() <= size);
            names.extend(page.items.into_iter().map(|branch| branch.name));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let mut expected = sample.git(&["for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads"]);
        expected.sort();
        assert_eq!(names.len(), 28);
        assert_eq!(names, expected, "pages of {size}");
    }
}

#[test]
fn branch_page_size_is_between_one_and_the_limit() {
    let (sample, oid) = with_main();
    sample.set("refs/heads/other", oid);
    sample.set("refs/heads/third", oid);
    let browser = sample.limited(|limits| limits.page_items = 2);
    assert_eq!(browser.branches(None, 1000).unwrap().items.len(), 2);
    let page = browser.branches(None, 0).unwrap();
    assert_eq!((page.items.len(), page.next.as_deref()), (1, Some("main")));
    let [branch] = page.items.as_slice() else { panic!() };
    assert!(branch.default);
    assert_eq!(branch.summary.as_deref(), Some("Change at 1700000060"));
}

/// git does not write an `encoding` header into a tag, and stores its message unchanged.
#[test]
fn tag_text_is_decoded_by_its_header_or_its_commit() {
    let (sample, first) = with_main();
    let who = "x <a@b> 1 +0000";
    let tree = sample.git(&["rev-parse", "refs/heads/main^{tree}"]).concat();
    let object = |kind, content: &[u8]| Oid::from(sample.object(kind, content));
    let latin = format!("tree {tree}\nauthor {who}\ncommitter {who}\nencoding ISO-8859-1\n\nm\n");
    let latin = object(git2::ObjectType::Commit, latin.as_bytes()).to_string();
    let plain = first.to_string();
    for (name, commit, header, message, shown) in [
        ("commit", &latin, "", &b"Gr\xfc\xdfe"[..], "Grüße"),
        ("header", &plain, "encoding CP1251\n", b"\xcf\xf0", "Пр"),
        ("utf8", &latin, "", "Grüße".as_bytes(), "Grüße"),
        ("none", &plain, "", b"a\xff", "a\u{fffd}"),
    ] {
        let head = format!("object {commit}\ntype commit\ntag {name}\ntagger {who}\n{header}\n");
        let tag = object(git2::ObjectType::Tag, &[head.as_bytes(), message].concat());
        sample.set(&format!("refs/tags/{name}"), tag);
        let page = sample.browser().tags(None, 10).unwrap();
        let tag = page.items.iter().find(|tag| tag.name == name).unwrap();
        assert_eq!(tag.message.as_deref(), Some(shown), "{name}");
    }
}

#[test]
fn ref_targets_are_reread_and_not_peeled() {
    let (sample, first) = with_main();
    let commit = sample.repository.find_object(first.raw(), None).unwrap();
    let who = git2::Signature::new("T", "t@example.org", &git2::Time::new(0, 0)).unwrap();
    let tag = sample.repository.tag("v1", &commit, &who, "x", false).unwrap();
    sample.set("refs/netbit/kept", first);
    let names = ["refs/heads/main", "refs/tags/v1", "refs/heads/none", "refs/netbit/kept", "refs/heads/a..b"];
    let expected = vec![Some(first), Some(tag.into()), None, Some(first), None];
    assert_eq!(Browser::ref_targets(sample.path(), &names).unwrap(), expected);
    sample.git(&["update-ref", "-d", "refs/heads/main"]);
    assert_eq!(Browser::ref_targets(sample.path(), &names).unwrap()[0], None);
}

#[test]
fn responses_have_snake_case_fields_hex_ids_and_times() {
    let (sample, first) = with_main();
    let json = serde_json::to_value(sample.browser().branches(None, 1).unwrap()).unwrap();
    let expected = serde_json::json!({"items": [{
        "name": "main", "oid": first.to_string(), "default": true,
        "committed_at": "2023-11-14T22:14:20Z", "summary": "Change at 1700000060",
    }], "next": null});
    assert_eq!(json, expected);
    let json = serde_json::to_value(sample.browser().resolve("").unwrap()).unwrap();
    assert_eq!(json["kind"], "branch");
}

#[test]
fn resolve_accepts_head_and_unique_short_ids() {
    let (sample, first) = with_main();
    let second = sample.commit(&[first], &files(&[("a", "2")]));
    sample.set("refs/heads/topic", second);
    let browser = sample.browser();
    let head = browser.resolve("HEAD").unwrap();
    assert_eq!((head.oid, head.kind, head.name.as_str()), (first, RefKind::Branch, "main"));
    let hex = second.to_string();
    for digits in [4, 7, 39] {
        let found = browser.resolve(&hex[..digits].to_uppercase()).unwrap();
        assert_eq!((found.oid, found.kind), (second, RefKind::ShortCommit), "{digits}");
        assert_eq!(found.name, hex);
    }
    // A branch takes precedence over an object id.
    sample.set(&format!("refs/heads/{}", &hex[..7]), first);
    assert_eq!(sample.browser().resolve(&hex[..7]).unwrap().oid, first);
    assert_eq!(sample.browser().resolve_id(&hex[..7]).unwrap().oid, second);
    // Adds commits until two begin with the same four digits.
    let mut seen = std::collections::HashSet::new();
    let mut parent = second;
    let twice = loop {
        parent = sample.commit(&[parent], &files(&[("a", "3")]));
        if !seen.insert(parent.to_string()[..4].to_owned()) {
            break parent.to_string();
        }
    };
    let ambiguous = sample.browser().resolve(&twice[..4]);
    assert!(matches!(ambiguous, Err(BrowseError::BadRequest(_))), "{ambiguous:?}");
}

#[test]
fn names_of_refs_are_listed_without_their_objects() {
    let (sample, oid) = with_main();
    sample.set("refs/tags/main", oid);
    sample.set("refs/tags/v1", oid);
    std::fs::write(sample.path().join("refs/heads/gone"), format!("{}\n", "12".repeat(20))).unwrap();
    let browser = sample.limited(|limits| limits.read_bytes = 0);
    let tag = |name: &str, is_branch_too| TagName { name: name.to_owned(), is_branch_too };
    let all = RefNames {
        branches: vec!["gone".to_owned(), "main".to_owned()],
        tags: vec![tag("main", true), tag("v1", false)],
        has_more: false,
    };
    assert_eq!(browser.names(2).unwrap(), all);
    let first = RefNames { branches: vec!["gone".to_owned()], tags: vec![tag("main", true)], has_more: true };
    assert_eq!(browser.names(1).unwrap(), first);
    let asked = ["main", "v1", "..", "gone"].map(str::to_owned);
    let found: Vec<_> = browser.branches_among(&asked).unwrap().into_iter().collect();
    assert_eq!(found, ["gone", "main"]);
    assert!(browser.has_read_all());
}
