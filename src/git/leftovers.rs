//! What a killed server leaves behind: children that still run. They are found by the mark in their environment.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::program::{MARK, MARK_REPOSITORY};
use super::store::Store;
use crate::domain::repository::StorageKey;

/// How long killed processes are waited for. One that lasts longer is within a system call of the kernel (an fsync) and
/// runs no code of its own any more.
const PATIENCE: Duration = Duration::from_millis(500);

/// Ends every child of an earlier server on these repositories; answers the repositories that they worked on. Only while
/// no child of this server runs.
pub fn end_leftovers(store: &Store) -> BTreeSet<String> {
    let mark = [MARK.as_bytes(), b"=", store.root().as_os_str().as_bytes()].concat();
    let mut touched = BTreeSet::new();
    let begun = Instant::now();
    loop {
        let found = marked(&mark);
        if found.is_empty() || begun.elapsed() > PATIENCE {
            return touched;
        }
        for (process, repository) in found {
            tracing::warn!(process, repository, "ending a git process of a server that was killed");
            touched.insert(repository);
            if let Some(pid) = Pid::from_raw(process)
                && let Err(error) = kill_process(pid, Signal::KILL)
            {
                tracing::debug!(%error, "it has gone already");
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The processes whose environment holds `mark`, with the repository that each works on.
fn marked(mark: &[u8]) -> Vec<(i32, String)> {
    let mut found = Vec::new();
    // Without /proc there is nothing to find; an interrupted push is settled all the same, once its child has ended.
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(process) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        // Those of other users cannot be read; a zombie's is empty.
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

/// The storage keys among what [`end_leftovers`] answers.
pub fn keys(touched: &BTreeSet<String>) -> impl Iterator<Item = StorageKey> {
    touched.iter().filter_map(|text| StorageKey::parse(text).ok())
}
