//! Ends the child processes that still run after their server was killed. They are identified by a
//! marker in their environment.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::program::{MARK, MARK_REPOSITORY};
use super::store::Store;
use crate::domain::repository::StorageKey;

/// How long to wait for killed processes. A process that remains longer is in a system call of the
/// kernel (an fsync) and no longer runs code of its own.
const PATIENCE: Duration = Duration::from_millis(500);

/// Kills every child that an earlier server started on these repositories; returns the storage keys
/// of the repositories that they worked on.
///
/// Must only be called while this server runs no child.
pub fn kill_orphans(store: &Store) -> BTreeSet<String> {
    let mark = [MARK.as_bytes(), b"=", store.mark().as_os_str().as_bytes()].concat();
    let mut touched = BTreeSet::new();
    let begun = Instant::now();
    loop {
        let found = marked(&mark);
        if found.is_empty() || begun.elapsed() > PATIENCE {
            return touched;
        }
        for (process, repository) in found {
            tracing::warn!(process, repository, "killing a git process that an earlier, killed server left");
            touched.insert(repository);
            if let Some(pid) = Pid::from_raw(process)
                && let Err(error) = kill_process(pid, Signal::KILL)
            {
                tracing::debug!(%error, "cannot kill the git process; it has probably exited");
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Returns the processes whose environment contains `mark`, with the repository that each works on.
fn marked(mark: &[u8]) -> Vec<(i32, String)> {
    let mut found = Vec::new();
    // Without /proc no process is found; an interrupted push is still settled once its child has
    // ended.
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(process) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        // Environments of other users' processes are unreadable; the environment of a zombie is
        // empty.
        let Ok(environment) = fs::read(entry.path().join("environ")) else { continue };
        let mut variables = environment.split(|byte| *byte == 0);
        if variables.clone().any(|variable| variable == mark) {
            let prefix = format!("{MARK_REPOSITORY}=");
            let repository = variables.find_map(|variable| variable.strip_prefix(prefix.as_bytes()));
            found.push((process, String::from_utf8_lossy(repository.unwrap_or_default()).into_owned()));
        }
    }
    found
}

/// Returns the valid storage keys in the result of [`kill_orphans`].
pub fn keys(touched: &BTreeSet<String>) -> impl Iterator<Item = StorageKey> {
    touched.iter().filter_map(|text| StorageKey::parse(text).ok())
}
