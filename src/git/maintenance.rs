//! Packing: what keeps a repository quick after many pushes. Reads and pushes go on meanwhile; git sees to that.

use std::path::Path;
use std::time::Duration;

use super::compute::{ComputeError, run_in_background};
use super::program::Git;

/// The longest that one step may take.
const STEP: Duration = Duration::from_secs(3600);
/// What a step may print.
const OUTPUT_BYTES: usize = 64 * 1024;

/// The steps, in order. Loose objects that nothing refers to are kept for two weeks: a push under way may need them.
const STEPS: &[&[&str]] = &[
    &["pack-refs", "--all", "--prune"],
    &["repack", "--quiet", "-d", "--geometric=2", "--write-midx", "--write-bitmap-index"],
    &["commit-graph", "write", "--reachable", "--changed-paths", "--no-progress"],
    &["prune", "--expire=2.weeks.ago"],
];

/// Packs one repository, at low priority.
pub async fn run(git: &Git, repository: &Path) -> Result<(), ComputeError> {
    for step in STEPS {
        let command = git.maintain(repository, step);
        run_in_background(command, OUTPUT_BYTES, STEP).await?;
    }
    Ok(())
}
