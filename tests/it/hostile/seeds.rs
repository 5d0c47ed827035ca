//! Runs the seeds of the fuzz targets in every test run, so that a fixed finding stays fixed.

#[allow(
    unreachable_pub,
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "a separate crate in the fuzz folder"
)]
#[path = "../../../fuzz/src/lib.rs"]
pub(super) mod targets;

use std::fs;
use std::path::Path;

use targets::TARGETS;

#[test]
fn fuzz_seeds_never_panic() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    let folders =
        fs::read_dir(&seeds).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut folders: Vec<_> = folders.collect();
    folders.sort();
    let mut names = TARGETS.map(|(name, _)| name.to_owned()).to_vec();
    names.sort();
    assert_eq!(folders, names, "every target has its seeds");
    for (name, target) in TARGETS {
        let files: Vec<_> =
            fs::read_dir(seeds.join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() >= 5, "{name} has few seeds");
        for file in files {
            let bytes = fs::read(&file).unwrap();
            // Every prefix of a seed must be handled too.
            for end in 0..=bytes.len() {
                let piece = bytes.get(..end).unwrap();
                let outcome = std::panic::catch_unwind(|| target(piece));
                assert!(outcome.is_ok(), "{} up to {end}", file.display());
            }
        }
    }
}
