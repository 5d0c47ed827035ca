//! Checks `docs/SECURITY-TESTS.md`: every named test exists, and every test of the covered folders
//! is named.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Returns the tests in a file.
fn tests_in(file: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let (mut found, mut is_test) = (BTreeSet::new(), false);
    for line in text.lines().map(str::trim_start) {
        if ["#[test]", "#[actix_web::test]", "#[tokio::test]"].iter().any(|mark| line.starts_with(mark)) {
            is_test = true;
        } else if let Some((_, name)) = line.split_once("fn ")
            && std::mem::take(&mut is_test)
        {
            found.insert(name.split('(').next().unwrap().to_owned());
        }
    }
    found
}

/// Returns the file of a module: `hostile/frames::a_test` is in tests/it/hostile/frames.rs, or in
/// the `mod.rs` of a folder of that name.
fn file_of(module: &str) -> PathBuf {
    let base = if module.starts_with("src/") { root() } else { root().join("tests/it") };
    let file = base.join(format!("{module}.rs"));
    if file.exists() { file } else { base.join(module).join("mod.rs") }
}

#[test]
fn every_attack_and_fault_names_tests_that_exist() {
    let text = fs::read_to_string(root().join("docs/SECURITY-TESTS.md")).unwrap();
    let (mut numbers, mut named) = (Vec::new(), BTreeSet::new());
    for row in text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| No.")) {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [number, _, tests] = cells.as_slice() else { panic!("{row}") };
        numbers.push((*number).to_owned());
        let tests: Vec<_> = tests.split('`').filter(|word| word.contains("::")).collect();
        assert!(!tests.is_empty(), "{number} names no test");
        for test in tests {
            let (module, name) = test.rsplit_once("::").unwrap();
            assert!(tests_in(&file_of(module)).contains(name), "{number}: there is no {test}");
            named.insert(name.to_owned());
        }
    }
    let wanted: Vec<_> = (1..=24).map(|n| n.to_string()).chain((1..=22).map(|n| format!("F{n}"))).collect();
    // The second review has sections of its own, each with several rows.
    let (second, numbers): (Vec<_>, Vec<_>) = numbers.into_iter().partition(|n| n.starts_with('E'));
    assert!(second.iter().all(|n| n[1..].parse::<u32>().is_ok_and(|n| (1..=22).contains(&n))), "{second:?}");
    assert_eq!(numbers, wanted);
    for folder in ["hostile", "hostile/credentials", "durability", "durability/history"] {
        for entry in fs::read_dir(root().join("tests/it").join(folder)).unwrap() {
            for test in tests_in(&entry.unwrap().path()) {
                assert!(named.contains(&test), "docs/SECURITY-TESTS.md does not name {folder}: {test}");
            }
        }
    }
}

/// A fail point in a release build would be a way to end a server.
#[test]
fn fail_points_are_for_tests_only() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let (of_releases, of_tests) = manifest.split_once("[dev-dependencies]").unwrap();
    assert!(of_releases.contains("\nfail = \"0.5\"\n") && !of_releases.contains("failpoints\"]"));
    assert!(of_tests.contains("failpoints"));
}
