//! Kernel resource limits of a git child process, set before the child gets input (prlimit,
//! getrlimit(2)).
//!
//! Invariant: processes that a child starts inherit its limits. When a child exceeds a limit, only
//! that child fails: its allocation is refused, or the kernel ends it.

use std::fs;
use std::io;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::core::limits::Limits;

/// Maximum number of open files of a child: packs, their indexes, pipes.
const OPEN_FILES: u64 = 512;
/// Seconds between SIGXCPU, which can be caught, and SIGKILL.
const CPU_GRACE_SECONDS: u64 = 5;
/// Maximum file size of a read-only child: git may still write a lock or a small state file.
const READER_FILE_BYTES: u64 = 1024 * 1024;
/// Factor for the index, which is larger than its pack when objects are tiny, and for the bases
/// that git adds to a thin pack.
const INDEX_FACTOR: u64 = 3;
const WRITER_FILE_BYTES: u64 = 256 * 1024 * 1024;
/// Maximum depth of the process tree below a child: receive-pack, its hook, a command of the hook.
const DEPTH_MAX: usize = 6;

/// The resource limits of one child process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cage {
    /// Bytes of address space per process: its own memory and the mapped packs. upload-pack maps
    /// packs in windows of 1 GiB, whatever its configuration.
    address_space: u64,
    /// Bytes of memory that each process may allocate, excluding mapped packs.
    data: u64,
    cpu_seconds: u64,
    /// Maximum size in bytes of each file that the child writes.
    file_bytes: u64,
}

impl Cage {
    /// Returns the limits for a child that reads a repository of `size_bytes`.
    pub(super) fn reader(limits: &Limits, size_bytes: u64) -> Self {
        Self {
            address_space: address_space(limits),
            data: limits.git_child_bytes,
            cpu_seconds: cpu_seconds(limits, size_bytes),
            file_bytes: READER_FILE_BYTES,
        }
    }

    /// Returns the limits for a child that may write files of `file_bytes`.
    ///
    /// The CPU limit is lowered by [`limit_cpu`] once the amount of work to unpack is known.
    pub(super) fn writer(limits: &Limits, file_bytes: u64) -> Self {
        Self {
            address_space: address_space(limits),
            data: limits.git_child_bytes,
            cpu_seconds: limits.git_total_ms.div_ceil(1000),
            file_bytes: file_bytes.saturating_mul(INDEX_FACTOR).saturating_add(WRITER_FILE_BYTES),
        }
    }

    /// Applies the limits to the child.
    pub(super) fn close(&self, child: Pid) -> io::Result<()> {
        // Capped at the server's own hard limit: only a privileged process may raise a hard limit.
        let set = |resource, most: u64| {
            let most = getrlimit(resource).maximum.map_or(most, |own| own.min(most));
            let limit = Rlimit { current: Some(most), maximum: Some(most) };
            prlimit(Some(child), resource, limit).map(drop)
        };
        set(Resource::As, self.address_space)?;
        set(Resource::Data, self.data)?;
        set(Resource::Fsize, self.file_bytes)?;
        set(Resource::Nofile, OPEN_FILES)?;
        set(Resource::Core, 0)?;
        set_cpu(child, self.cpu_seconds)?;
        Ok(())
    }
}

/// Returns the bytes of address space: memory plus twice the packs of a whole repository, because a
/// repack can leave old and new packs mapped.
fn address_space(limits: &Limits) -> u64 {
    limits.git_child_bytes.saturating_add(limits.repository_bytes.saturating_mul(2))
}

/// Returns the CPU seconds allowed for processing `work_bytes`.
pub(super) fn cpu_seconds(limits: &Limits, work_bytes: u64) -> u64 {
    limits.git_cpu_seconds.saturating_add(work_bytes / limits.git_cpu_bytes.max(1))
}

/// Limits the CPU time of a child and of all its descendants.
pub(super) fn limit_cpu(child: Pid, seconds: u64) {
    for process in family(child) {
        if let Err(error) = set_cpu(process, seconds) {
            tracing::debug!(%error, "cannot set the CPU time limit of a git child");
        }
    }
}

fn set_cpu(process: Pid, seconds: u64) -> io::Result<()> {
    let own = getrlimit(Resource::Cpu).maximum.unwrap_or(u64::MAX);
    let hard = seconds.saturating_add(CPU_GRACE_SECONDS).min(own);
    let limit = Rlimit { current: Some(seconds.min(hard)), maximum: Some(hard) };
    Ok(prlimit(Some(process), Resource::Cpu, limit).map(drop)?)
}

/// Returns a process and its descendants, to a depth of [`DEPTH_MAX`].
///
/// Returns the process alone if the kernel does not provide `/proc/…/children`.
pub(super) fn family(child: Pid) -> Vec<Pid> {
    let (mut found, mut level) = (vec![child], vec![child]);
    for _ in 0..DEPTH_MAX {
        level = level.into_iter().flat_map(children_of).collect();
        if level.is_empty() {
            break;
        }
        found.extend_from_slice(&level);
    }
    found
}

fn children_of(parent: Pid) -> Vec<Pid> {
    let parent = parent.as_raw_nonzero();
    let listed = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    let pids = listed.split_whitespace().filter_map(|pid| pid.parse().ok());
    pids.filter_map(Pid::from_raw).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    fn run_in(cage: Cage, script: &str) -> std::process::Output {
        let mut child = Command::new("sh")
            .args(["-c", &format!("read -r go; {script}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        cage.close(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap()).unwrap();
        drop(child.stdin.take());
        child.wait_with_output().unwrap()
    }

    const CAGE: Cage = Cage { address_space: 1 << 30, data: 64 << 20, cpu_seconds: 1, file_bytes: 4096 };

    #[test]
    fn caged_child_cannot_exceed_memory_or_file_limits() {
        let allocates = "head -c 200000000 /dev/zero | { sort; echo $?; }";
        let output = run_in(CAGE, allocates);
        assert_ne!(String::from_utf8_lossy(&output.stdout).trim(), "0", "{output:?}");
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("large");
        run_in(CAGE, &format!("head -c 100000 /dev/zero > {}", file.display()));
        assert!(fs::metadata(&file).map_or(0, |found| found.len()) <= 4096);
        assert!(run_in(CAGE, "head -c 100 /dev/zero").status.success());
    }

    #[test]
    fn caged_child_is_killed_when_cpu_limit_is_exceeded() {
        let output = run_in(CAGE, "sh -c 'while :; do :; done'; echo $?");
        assert!(!output.stdout.is_empty(), "the shell prints the exit status of its child: {output:?}");
    }

    #[test]
    fn family_returns_process_and_its_descendants() {
        let mut child = Command::new("sh")
            .args(["-c", "sleep 60 & sh -c 'sleep 60 & echo up; wait'"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut reader = std::io::BufReader::new(child.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut reader, &mut line).unwrap();
        let found = family(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap());
        for pid in found.iter().skip(1) {
            rustix::process::kill_process(*pid, rustix::process::Signal::KILL).unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found.len(), 4, "the shell, sleep, the inner shell, its sleep");
    }
}
