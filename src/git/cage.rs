//! Limits of a git child that the kernel keeps, set before the child gets input (prlimit, getrlimit(2)).
//!
//! Invariant: processes that a child starts inherit its limits. A child that exceeds one fails alone: an allocation is
//! refused, or the kernel ends it.

use std::fs;
use std::io;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::core::limits::Limits;

/// Files that a child may have open: packs, their indexes, pipes.
const OPEN_FILES: u64 = 512;
/// Seconds between the signal that can be caught (SIGXCPU) and the end.
const CPU_GRACE_SECONDS: u64 = 5;
/// A child that only reads writes no file; git may still make a lock or a small state file.
const READER_FILE_BYTES: u64 = 1024 * 1024;
/// The index of a pack of tiny objects is larger than the pack, and git adds the bases of a thin pack to it.
const INDEX_FACTOR: u64 = 3;
const WRITER_FILE_BYTES: u64 = 256 * 1024 * 1024;
/// Levels of processes below a child: receive-pack, its hook, a command of the hook.
const DEPTH_MAX: usize = 6;

/// The limits of one child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cage {
    /// Bytes of address space of each process: its own memory, and packs, which upload-pack maps a gibibyte at a time
    /// whatever its configuration.
    address_space: u64,
    /// Bytes of memory of each process: what it may allocate, without the packs.
    data: u64,
    cpu_seconds: u64,
    /// Bytes of one file that it writes.
    file_bytes: u64,
}

impl Cage {
    /// For a child that reads a repository of `size_bytes`.
    pub(super) fn reader(limits: &Limits, size_bytes: u64) -> Self {
        Self {
            address_space: address_space(limits),
            data: limits.git_child_bytes,
            cpu_seconds: cpu_seconds(limits, size_bytes),
            file_bytes: READER_FILE_BYTES,
        }
    }

    /// For a child that may write files of `file_bytes`. Its CPU time is limited more closely once it is known how much
    /// there is to unpack ([`limit_cpu`]).
    pub(super) fn writer(limits: &Limits, file_bytes: u64) -> Self {
        Self {
            address_space: address_space(limits),
            data: limits.git_child_bytes,
            cpu_seconds: limits.git_total_ms.div_ceil(1000),
            file_bytes: file_bytes.saturating_mul(INDEX_FACTOR).saturating_add(WRITER_FILE_BYTES),
        }
    }

    /// Puts the child under its limits.
    pub(super) fn close(&self, child: Pid) -> io::Result<()> {
        // Never above what the server itself has: only a privileged process may raise that.
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

/// Packs of a whole repository, mapped twice (before and after they were repacked), beside the memory.
fn address_space(limits: &Limits) -> u64 {
    limits.git_child_bytes.saturating_add(limits.repository_bytes.saturating_mul(2))
}

/// CPU seconds for work on so many bytes.
pub(super) fn cpu_seconds(limits: &Limits, work_bytes: u64) -> u64 {
    limits.git_cpu_seconds.saturating_add(work_bytes / limits.git_cpu_bytes.max(1))
}

/// Limits the CPU time of a child and of everything below it.
pub(super) fn limit_cpu(child: Pid, seconds: u64) {
    for process in family(child) {
        if let Err(error) = set_cpu(process, seconds) {
            tracing::debug!(%error, "a git child has no limit of CPU time");
        }
    }
}

fn set_cpu(process: Pid, seconds: u64) -> io::Result<()> {
    let own = getrlimit(Resource::Cpu).maximum.unwrap_or(u64::MAX);
    let hard = seconds.saturating_add(CPU_GRACE_SECONDS).min(own);
    let limit = Rlimit { current: Some(seconds.min(hard)), maximum: Some(hard) };
    Ok(prlimit(Some(process), Resource::Cpu, limit).map(drop)?)
}

/// A process and those below it. Without `/proc/…/children` in the kernel: the process alone.
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
    fn a_caged_child_cannot_allocate_or_write_beyond_its_limits() {
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
    fn a_caged_child_that_computes_on_is_ended_with_its_children() {
        let output = run_in(CAGE, "sh -c 'while :; do :; done'; echo $?");
        assert!(!output.stdout.is_empty(), "the shell reports how its child ended: {output:?}");
    }

    #[test]
    fn a_family_is_a_process_and_all_below_it() {
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
