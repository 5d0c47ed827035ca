//! Packing: what keeps a repository quick after many pushes. Reads and pushes go on meanwhile; git sees to that.
//!
//! Every push leaves a pack. They are combined often and cheaply (geometric repacking), and now and then all packs become
//! one, with a cruft pack of the objects that no ref leads to: those are removed when they are two weeks old, because a
//! push under way may need them.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::compute::{ComputeError, run_in_background};
use super::program::Git;

/// The longest that one step may take.
const STEP: Duration = Duration::from_secs(3600);
/// What a step may print.
const OUTPUT_BYTES: usize = 64 * 1024;
/// A repository up to this size is packed whole as often as it is packed at all, but not within [`WHOLE_EVERY`].
const SMALL_BYTES: u64 = 512 * 1024 * 1024;
/// How often a small and a large repository is packed whole at most.
const WHOLE_EVERY: Duration = Duration::from_secs(24 * 3600);
const LARGE_WHOLE_EVERY: Duration = Duration::from_secs(14 * 24 * 3600);
/// Its time says when the repository was packed whole.
const MARK: &str = "netbit-packed";

const REFS: &[&str] = &["pack-refs", "--all", "--prune"];
const GEOMETRIC: &[&str] =
    &["repack", "--quiet", "-d", "--geometric=2", "--write-midx", "--write-bitmap-index"];
const WHOLE: &[&str] = &[
    "repack",
    "--quiet",
    "-d",
    "--cruft",
    "--cruft-expiration=2.weeks.ago",
    "--write-midx",
    "--write-bitmap-index",
];
const GRAPH: &[&str] = &["commit-graph", "write", "--reachable", "--changed-paths", "--no-progress"];
/// Without the filters of changed paths, which take git longest.
const PLAIN_GRAPH: &[&str] = &["commit-graph", "write", "--reachable", "--no-progress"];
/// Loose objects: those of packs that earlier versions unpacked.
const PRUNE: &[&str] = &["prune", "--expire=2.weeks.ago"];

/// Packs one repository of `size_bytes`, at low priority.
pub async fn run(git: &Git, repository: &Path, size_bytes: u64) -> Result<(), ComputeError> {
    let whole = is_due(repository, size_bytes);
    for step in [REFS, if whole { WHOLE } else { GEOMETRIC }, GRAPH, PRUNE] {
        run_in_background(git.maintain(repository, step), OUTPUT_BYTES, STEP).await?;
    }
    if whole {
        fs::write(repository.join(MARK), "")?;
    }
    Ok(())
}

/// Writes the commit-graph alone. A first one is written without filters at first: then histories are quick soon, and
/// those of paths somewhat later.
pub async fn write_graph(git: &Git, repository: &Path) -> Result<(), ComputeError> {
    let first = graph_written_at(repository).is_none().then_some(PLAIN_GRAPH);
    for step in first.into_iter().chain([GRAPH]) {
        run_in_background(git.maintain(repository, step), OUTPUT_BYTES, STEP).await?;
    }
    Ok(())
}

/// When the commit-graph was written; `None` when there is none.
pub fn graph_written_at(repository: &Path) -> Option<SystemTime> {
    fs::metadata(repository.join("objects/info/commit-graph")).and_then(|graph| graph.modified()).ok()
}

fn is_due(repository: &Path, size_bytes: u64) -> bool {
    let every = if size_bytes <= SMALL_BYTES { WHOLE_EVERY } else { LARGE_WHOLE_EVERY };
    let packed = fs::metadata(repository.join(MARK)).and_then(|mark| mark.modified());
    // A time in the future is that of another clock.
    packed.map_or(true, |packed| packed.elapsed().map_or(true, |age| age >= every))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_repository_is_packed_whole_each_day_a_large_one_each_fortnight() {
        let dir = tempfile::tempdir().unwrap();
        assert!(is_due(dir.path(), 1) && is_due(dir.path(), SMALL_BYTES + 1));
        let packed = |hours: u64| {
            let mark = fs::File::create(dir.path().join(MARK)).unwrap();
            mark.set_modified(std::time::SystemTime::now() - Duration::from_secs(hours * 3600)).unwrap();
        };
        packed(25);
        assert!(is_due(dir.path(), SMALL_BYTES) && !is_due(dir.path(), SMALL_BYTES + 1));
        packed(1);
        assert!(!is_due(dir.path(), 1));
        packed(15 * 24);
        assert!(is_due(dir.path(), SMALL_BYTES + 1));
    }
}
