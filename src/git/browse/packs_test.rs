//! Tests of the cost of objects, and of requests that end at their limits.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use git2::ObjectType;

use super::sample::{SampleRepository, files};
use super::*;

const MIB: usize = 1024 * 1024;

/// Returns text that git stores as a small delta when a line is added.
fn text(lines: usize) -> String {
    (0..lines)
        .map(|number| format!("{number:06} {}\n", number.wrapping_mul(2_654_435_761) % 1_000_003))
        .collect()
}

/// Creates twenty versions of a file of 40 KiB, packed as a chain of deltas.
fn packed() -> (SampleRepository, Oid) {
    let sample = SampleRepository::new();
    let mut head = sample.commit(&[], &files(&[("a", "0")]));
    for version in 0..20 {
        let content = format!("{}version {version}\n", text(2_000));
        head = sample.commit(&[head], &files(&[("a", content.as_str()), ("b/c", "1")]));
    }
    sample.set("refs/heads/main", head);
    sample.git(&["repack", "-a", "-d", "-f", "--depth=50", "--quiet"]);
    (sample, head)
}

#[test]
fn packed_object_sizes_and_chains_match_git() {
    let (sample, _) = packed();
    let browser = sample.browser();
    let listed = sample.git(&[
        "cat-file",
        "--batch-all-objects",
        "--batch-check=%(objectname) %(objecttype) %(objectsize) %(deltabase)",
    ]);
    let mut deltas = 0;
    assert!(listed.len() > 60);
    for line in &listed {
        let words: Vec<_> = line.split(' ').collect();
        let stored = browser.stored(git2::Oid::from_str(words[0]).unwrap(), "object").unwrap();
        assert_eq!((stored.kind.str(), stored.bytes.to_string().as_str()), (words[1], words[2]), "{line}");
        let is_delta = words[3].bytes().any(|byte| byte != b'0');
        assert_eq!(stored.deltas_of.is_some(), is_delta, "{line}");
        assert!(stored.peak_bytes >= stored.bytes && stored.chain_bytes >= stored.peak_bytes);
        deltas += usize::from(is_delta);
    }
    assert!(deltas >= 19, "{deltas}");
    let unknown = git2::Oid::from_str(&"1".repeat(40)).unwrap();
    assert_eq!(browser.stored(unknown, "object"), Err(BrowseError::NotFound("object")));
}

#[test]
fn object_is_found_after_its_pack_was_replaced() {
    let (sample, head) = packed();
    let browser = sample.browser();
    assert!(browser.commit(head).is_ok());
    let next = sample.commit(&[head], &files(&[("a", "new")]));
    sample.set("refs/heads/main", next);
    sample.git(&["repack", "-a", "-d", "--quiet"]);
    assert_eq!(browser.stored(next.raw(), "commit").unwrap().kind, ObjectType::Commit);
}

/// Returns a pack of a blob and a delta that copies its first sixteen bytes.
fn pack_of_delta(base: &[u8]) -> Vec<u8> {
    let deflated = |bytes: &[u8]| {
        let mut writer = ZlibEncoder::new(Vec::new(), Compression::fast());
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    };
    let sized = |kind: u8, mut size: usize| {
        let mut bytes = vec![kind << 4 | u8::try_from(size & 15).unwrap()];
        size >>= 4;
        while size > 0 {
            *bytes.last_mut().unwrap() |= 0x80;
            bytes.push(u8::try_from(size & 127).unwrap());
            size >>= 7;
        }
        bytes
    };
    let mut pack = [b"PACK".as_slice(), &[0, 0, 0, 2, 0, 0, 0, 2], &sized(3, base.len())].concat();
    pack.extend(deflated(base));
    let mut back = pack.len() - 12;
    let mut delta = Vec::new();
    let mut size = base.len();
    while size > 0 {
        delta.push(u8::try_from(size & 127).unwrap() | if size > 127 { 0x80 } else { 0 });
        size >>= 7;
    }
    // The result has 16 bytes: copy 16 bytes from offset 0.
    delta.extend([16, 0x90, 16]);
    pack.extend(sized(6, delta.len()));
    let mut distance = vec![u8::try_from(back & 127).unwrap()];
    back >>= 7;
    while back > 0 {
        back -= 1;
        distance.insert(0, 0x80 | u8::try_from(back & 127).unwrap());
        back >>= 7;
    }
    pack.extend(distance);
    pack.extend(deflated(&delta));
    pack
}

/// A file of sixteen bytes whose base has 40 MiB: libgit2 would build the base in memory first.
#[test]
fn small_delta_of_huge_base_is_rejected() {
    let sample = SampleRepository::new();
    let base = "0123456789abcde\n".repeat(40 * MIB / 16);
    let path = sample.path().join("made");
    std::fs::write(&path, pack_of_delta(base.as_bytes())).unwrap();
    let script = "sum=$(sha1sum made | cut -c1-40); for n in $(echo $sum | sed 's/../& /g'); do \
                  printf \"\\\\$(printf %o 0x$n)\"; done >> made; git index-pack -v --stdin < made";
    let ran =
        std::process::Command::new("sh").args(["-c", script]).current_dir(sample.path()).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let blob = git2::Oid::hash_object(ObjectType::Blob, b"0123456789abcde\n").unwrap();
    let mut tree = sample.repository.treebuilder(None).unwrap();
    tree.insert("f", blob, 0o100_644).unwrap();
    let head = sample.commit_tree(1, &[], tree.write().unwrap(), "m");
    let browser = sample.browser();
    let stored = browser.stored(blob, "file").unwrap();
    assert_eq!((stored.bytes, stored.peak_bytes), (16, 40 * MIB));
    assert!(matches!(browser.blob(head, "f"), Err(BrowseError::TooLarge(_))));
    assert!(browser.commit(head).unwrap().diff.files[0].too_large);
    assert_eq!(browser.tree(head, "", false).unwrap().entries[0].size_bytes, Some(16));
    // A base within the limit is built.
    let roomy = sample.limited(|limits| limits.object_peak_bytes = 41 * MIB);
    assert_eq!(roomy.blob(head, "f").unwrap().content.as_deref(), Some("0123456789abcde\n"));
}

/// A merge of commits with huge messages: each commit was kept in memory until it was visited.
#[test]
fn walk_over_huge_commits_ends_at_its_budget() {
    let sample = SampleRepository::new();
    let tree = sample.tree(&files(&[("a", "1")]));
    let parents: Vec<_> = (0..40)
        .map(|number| sample.commit_tree(number, &[], tree, &format!("{number}{}", "x".repeat(200 * 1024))))
        .collect();
    let head = sample.commit_tree(100, &parents, tree, "merge");
    let browser = sample.limited(|limits| limits.read_bytes = 2 * MIB);
    let page = browser.commits(head, None, None, 1).unwrap();
    assert!(page.items.len() <= 1 && page.truncated, "{page:?}");
    assert!(browser.budget.is_spent());
    let whole = sample.browser().commits(head, None, None, 100).unwrap();
    assert_eq!((whole.items.len(), whole.truncated), (41, false));
    let browser = sample.limited(|limits| limits.read_bytes = 2 * MIB);
    assert!(matches!(browser.compare(parents[3], head), Err(BrowseError::TooLarge(_))));
}

#[test]
fn libgit2_bases_are_bounded_over_all_packs() {
    let (sample, head) = packed();
    let history = sample.browser().commits(head, None, None, 100).unwrap().items;
    let browser = sample.limited(|limits| limits.bases_bytes = 50 * 1024);
    let read = history.iter().map(|commit| browser.blob(commit.oid, "a"));
    let refused = read.filter(|blob| matches!(blob, Err(BrowseError::TooLarge(_)))).count();
    assert!(refused > 10, "{refused}");
}

#[test]
fn responses_are_truncated_by_their_json_size() {
    let sample = SampleRepository::new();
    let tree = sample.tree(&files(&[("a", "1")]));
    let mut head = sample.commit_tree(1, &[], tree, "first");
    for number in 2..12 {
        head = sample.commit_tree(number, &[head], tree, &"\u{1}".repeat(10_000));
    }
    let browser = sample.limited(|limits| limits.answer_bytes = 200_000);
    let mut seen = 0;
    let mut after = None;
    loop {
        let page = browser.commits(head, None, after, 100).unwrap();
        assert!(serde_json::to_string(&page).unwrap().len() < 220_000);
        seen += page.items.len();
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, 11);
    // Entries with long names below a long path.
    let name = "\u{1}".repeat(200);
    let list: Vec<_> = (0..50).map(|number| (format!("{name}/{number}{name}"), "x")).collect();
    let list: Vec<_> = list.iter().map(|(path, content)| (path.as_str(), *content)).collect();
    let head = sample.commit(&[], &files(&list));
    let listed = sample.limited(|limits| limits.answer_bytes = 40_000).tree(head, &name, false).unwrap();
    assert!(listed.truncated && listed.entries.len() < 20);
    assert!(serde_json::to_string(&listed).unwrap().len() < 60_000);
}

/// Each level takes thirty bytes and multiplies the number of files by ten.
#[test]
fn archive_of_nested_trees_is_counted_before_expansion() {
    let sample = SampleRepository::new();
    let limits = ArchiveLimits { entries: 1_000, path_bytes: 10_000, bytes: 1_000 };
    let nest = |levels: usize, name: &str, content: &[u8], width: usize| {
        let blob = sample.blob(content);
        let mut tree = None;
        for _ in 0..levels {
            let mut builder = sample.repository.treebuilder(None).unwrap();
            for number in 0..width {
                let (oid, mode) = tree.map_or((blob, 0o100_644), |tree| (tree, 0o040_000));
                builder.insert(format!("{name}{number}"), oid, mode).unwrap();
            }
            tree = Some(builder.write().unwrap());
        }
        sample.commit_tree(1, &[], tree.unwrap(), "m")
    };
    let size = sample.browser().archive_size(nest(2, "d", b"x", 10), limits).unwrap();
    // Ten folders of ten files: `d0` and `d0/d0`.
    assert_eq!((size.entries, size.bytes, size.depth), (110, 100, 2));
    assert_eq!(size.path_bytes, 10 * 2 + 100 * 5);
    let refused = |head: Oid| match sample.browser().archive_size(head, limits) {
        Err(BrowseError::TooLarge(why)) => why,
        other => panic!("{other:?}"),
    };
    assert!(refused(nest(30, "d", b"x", 10)).contains("too many files"));
    assert!(refused(nest(2, &"d".repeat(200), b"x", 10)).contains("paths"));
    assert!(refused(nest(2, "d", &[0; 20], 10)).contains("too large together"));
    assert!(refused(nest(129, "", b"x", 1)).contains("nested too deeply"));
    let limits = ArchiveLimits { path_bytes: 100_000, ..limits };
    assert_eq!(sample.browser().archive_size(nest(128, "d", b"x", 1), limits).unwrap().depth, 128);
}
