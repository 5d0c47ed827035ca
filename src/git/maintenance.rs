//! Repacks repositories, which keeps them fast after many pushes. Reads and pushes continue
//! meanwhile; git handles the concurrency.
//!
//! Every push leaves a pack. Packs are combined often and cheaply (geometric repacking). From time
//! to time all packs become a single pack, with a cruft pack of the unreachable objects.
//! Unreachable objects are removed after two weeks, because a push in progress may need them.

use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use super::program::Git;
use super::run_child::{RunChildError, run_in_background};

/// Maximum duration of a step.
const STEP: Duration = Duration::from_secs(3600);
/// Maximum duration of a step that writes a commit-graph after a push: other repositories wait for
/// theirs.
const GRAPH_STEP: Duration = Duration::from_secs(10 * 60);
/// The path of the commit-graph in a repository.
const GRAPH_FILE: &str = "objects/info/commit-graph";
/// Maximum number of output bytes of a step.
const OUTPUT_BYTES: usize = 64 * 1024;
/// A repository up to this size gets a full repack whenever it is packed, but at most once per
/// [`WHOLE_EVERY`].
const SMALL_BYTES: u64 = 512 * 1024 * 1024;
/// Minimum interval between full repacks of small and of large repositories.
const WHOLE_EVERY: Duration = Duration::from_secs(24 * 3600);
const LARGE_WHOLE_EVERY: Duration = Duration::from_secs(14 * 24 * 3600);
/// A marker file whose modification time is the time of the last full repack.
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
/// A commit-graph without changed-path Bloom filters, which take git most of the time.
const PLAIN_GRAPH: &[&str] = &["commit-graph", "write", "--reachable", "--no-progress"];
/// Removes old loose objects: earlier versions unpacked packs into loose objects.
const PRUNE: &[&str] = &["prune", "--expire=2.weeks.ago"];

/// Repacks a repository of `size_bytes`, at low priority.
pub async fn run(git: &Git, repository: &Path, size_bytes: u64) -> Result<(), RunChildError> {
    let whole = is_due(repository, size_bytes);
    for step in [REFS, if whole { WHOLE } else { GEOMETRIC }] {
        run_in_background(git.maintain(repository, step), OUTPUT_BYTES, STEP).await?;
    }
    if whole {
        fs::write(repository.join(MARK), "")?;
    }
    // The two steps are independent: prune also when the commit-graph failed.
    let graph = run_in_background(git.maintain(repository, GRAPH), OUTPUT_BYTES, STEP).await;
    run_in_background(git.maintain(repository, PRUNE), OUTPUT_BYTES, STEP).await?;
    graph.map(drop)
}

/// Writes only the commit-graph.
///
/// The first graph of a repository is written without Bloom filters, then with them: histories
/// become fast early, and histories of paths somewhat later.
pub async fn write_graph(git: &Git, repository: &Path) -> Result<(), RunChildError> {
    let first = (!repository.join(GRAPH_FILE).exists()).then_some(PLAIN_GRAPH);
    for step in first.into_iter().chain([GRAPH]) {
        run_in_background(git.maintain(repository, step), OUTPUT_BYTES, GRAPH_STEP).await?;
    }
    Ok(())
}

/// Returns whether the repository has a commit-graph with changed-path Bloom filters.
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
    // Each table entry is a chunk id (4 bytes) and an offset (8 bytes).
    let mut table = vec![0; usize::from(chunks).saturating_mul(12)];
    file.read_exact(&mut table)?;
    Ok(table.chunks_exact(12).any(|entry| entry.starts_with(b"BDAT")))
}

fn is_due(repository: &Path, size_bytes: u64) -> bool {
    let every = if size_bytes <= SMALL_BYTES { WHOLE_EVERY } else { LARGE_WHOLE_EVERY };
    let packed = fs::metadata(repository.join(MARK)).and_then(|mark| mark.modified());
    // A time in the future comes from another clock: repack.
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
    fn full_repack_is_due_daily_when_small_or_biweekly_when_large() {
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

    /// Regression: a lock file of a killed git prevented every later commit-graph from being
    /// written.
    #[tokio::test]
    async fn maintenance_prunes_and_sets_marker_when_graph_fails() {
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
