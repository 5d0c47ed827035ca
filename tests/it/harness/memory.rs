//! Samples the memory of a server process and of every process below it while a test attacks the
//! server.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, prlimit};

use super::Process;

pub(crate) const MIB: u64 = 1024 * 1024;
/// The address space that an attacked server and each of its children may use, in bytes.
pub(crate) const CAGE_BYTES: u64 = 3 * 1024 * MIB;
/// The memory that a server and its children may use together during an attack, in bytes (issue
/// 16).
pub(crate) const TREE_BYTES_MAX: u64 = 512 * MIB;

const SAMPLE_EVERY: Duration = Duration::from_millis(5);

/// Samples the memory of a process tree until it is dropped.
pub(crate) struct MemoryWatch {
    root: u32,
    peak: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
    sampler: Option<JoinHandle<()>>,
}

impl Process {
    /// Limits the address space of the server, and of the children that it starts from now on.
    pub(crate) fn limit_address_space(&self, bytes: u64) {
        let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
        prlimit(Some(self.pid()), Resource::As, limit).unwrap();
    }

    /// Returns the resident memory of the server, without its children.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let pid = u32::try_from(self.pid().as_raw_nonzero().get()).unwrap();
        status_bytes(pid, "VmRSS:").unwrap()
    }

    pub(crate) fn watch_memory(&self) -> MemoryWatch {
        let root = u32::try_from(self.pid().as_raw_nonzero().get()).unwrap();
        let (peak, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (sampled, stop) = (peak.clone(), ended.clone());
        let sampler = std::thread::spawn(move || {
            while !stop.load(Relaxed) {
                sampled.fetch_max(tree_bytes(root), Relaxed);
                std::thread::sleep(SAMPLE_EVERY);
            }
        });
        MemoryWatch { root, peak, ended, sampler: Some(sampler) }
    }
}

impl MemoryWatch {
    /// Returns the largest measured value in bytes: the server's own peak, or the sum over the tree
    /// at one sample.
    pub(crate) fn peak_bytes(&self) -> u64 {
        let own = status_bytes(self.root, "VmHWM:").unwrap_or(0);
        self.peak.load(Relaxed).max(own)
    }

    /// Prints the peak, and fails when the tree used `bytes_max` or more.
    #[track_caller]
    pub(crate) fn assert_below(&self, bytes_max: u64) {
        let peak = self.peak_bytes();
        eprintln!("peak memory of the server and its children: {} MiB", peak / MIB);
        assert!(peak < bytes_max, "{} MiB of {} MiB", peak / MIB, bytes_max / MIB);
    }
}

impl Drop for MemoryWatch {
    fn drop(&mut self) {
        self.ended.store(true, Relaxed);
        if let Some(sampler) = self.sampler.take() {
            drop(sampler.join());
        }
    }
}

/// Returns the resident memory of a process and its descendants (proc(5), `VmRSS`). A process that
/// has ended counts as 0, and so does one that has not replaced its program yet: it has the memory
/// of its parent.
fn tree_bytes(pid: u32) -> u64 {
    let own = command_line(pid);
    let started = children(pid).into_iter().filter(|child| command_line(*child) != own);
    let below: u64 = started.map(tree_bytes).sum();
    status_bytes(pid, "VmRSS:").unwrap_or(0) + below
}

fn command_line(pid: u32) -> Vec<u8> {
    fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default()
}

fn children(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    // Each thread has its own children.
    for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        let listed = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        found.extend(listed.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    found
}

fn status_bytes(pid: u32, key: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}
