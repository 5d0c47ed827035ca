//! Packing: what keeps a repository quick after many pushes. Reads and pushes go on meanwhile; git sees to that.
//!
//! Every push leaves a pack. They are combined often and cheaply (geometric repacking), and now and then all packs become
//! one, with a cruft pack of the objects that no ref leads to: those are removed when they are two weeks old, because a
//! push under way may need them.

use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use super::compute::{ComputeError, run_in_background};
use super::program::Git;

/// The longest that one step may take.
const STEP: Duration = Duration::from_secs(3600);
/// The same of a graph behind a push: other repositories wait for theirs.
const GRAPH_STEP: Duration = Duration::from_secs(10 * 60);
/// Where git writes the commit-graph.
const GRAPH_FILE: &str = "objects/info/commit-graph";
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
    for step in [REFS, if whole { WHOLE } else { GEOMETRIC }] {
        run_in_background(git.maintain(repository, step), OUTPUT_BYTES, STEP).await?;
    }
    if whole {
        fs::write(repository.join(MARK), "")?;
    }
    // Each is of use without the other.
    let graph = run_in_background(git.maintain(repository, GRAPH), OUTPUT_BYTES, STEP).await;
    run_in_background(git.maintain(repository, PRUNE), OUTPUT_BYTES, STEP).await?;
    graph.map(drop)
}

/// Writes the commit-graph alone. A first one is written without filters at first: then histories are quick soon, and
/// those of paths somewhat later.
pub async fn write_graph(git: &Git, repository: &Path) -> Result<(), ComputeError> {
    let first = (!repository.join(GRAPH_FILE).exists()).then_some(PLAIN_GRAPH);
    for step in first.into_iter().chain([GRAPH]) {
        run_in_background(git.maintain(repository, step), OUTPUT_BYTES, GRAPH_STEP).await?;
    }
    Ok(())
}

/// Whether the repository has a commit-graph with the filters of changed paths.
///
/// # Errors
/// The file cannot be read.
pub fn has_whole_graph(repository: &Path) -> io::Result<bool> {
    let mut file = match fs::File::open(repository.join(GRAPH_FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        file => file?,
    };
    let mut head = [0; 8];
    file.read_exact(&mut head)?;
    let [.., chunks, _] = head;
    // The name of a chunk, and its place in eight bytes.
    let mut table = vec![0; usize::from(chunks).saturating_mul(12)];
    file.read_exact(&mut table)?;
    Ok(table.chunks_exact(12).any(|entry| entry.starts_with(b"BDAT")))
}

fn is_due(repository: &Path, size_bytes: u64) -> bool {
    let every = if size_bytes <= SMALL_BYTES { WHOLE_EVERY } else { LARGE_WHOLE_EVERY };
    let packed = fs::metadata(repository.join(MARK)).and_then(|mark| mark.modified());
    // A time in the future is that of another clock.
    packed.map_or(true, |packed| packed.elapsed().map_or(true, |age| age >= every))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::core::limits::Limits;
    use crate::domain::repository::StorageKey;
    use crate::git::memory::MemoryMetrics;
    use crate::git::store::Store;

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

    /// A lock that a killed git left kept every later graph from being written.
    #[tokio::test]
    async fn packing_prunes_and_marks_when_the_graph_fails() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let key = StorageKey::fresh();
        store.create(key, "main").unwrap();
        let path = store.path(key);
        let repository = git2::Repository::open(&path).unwrap();
        let tree = repository.find_tree(repository.treebuilder(None).unwrap().write().unwrap()).unwrap();
        let signature = git2::Signature::new("a", "a@b", &git2::Time::new(1, 0)).unwrap();
        repository.commit(Some("refs/heads/main"), &signature, &signature, "m", &tree, &[]).unwrap();
        fs::create_dir_all(path.join("objects/info")).unwrap();
        fs::write(path.join("objects/info/commit-graph.lock"), "").unwrap();
        let leftover = path.join("objects/tmp_obj_left");
        let old = SystemTime::now() - Duration::from_secs(30 * 24 * 3600);
        fs::File::create(&leftover).unwrap().set_modified(old).unwrap();
        let git = Git::find(&store, &Limits::default(), MemoryMetrics::default()).unwrap();
        assert!(run(&git, &path, 1).await.is_err());
        assert!(path.join(MARK).exists() && !leftover.exists());
        store.remove_locks(key).unwrap();
        run(&git, &path, 1).await.unwrap();
        assert!(has_whole_graph(&path).unwrap());
    }
}
