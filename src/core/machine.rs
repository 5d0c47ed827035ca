//! Resources of the machine for this process: memory and disk space.

use std::fs;
use std::path::Path;

use rustix::process::{Resource, getrlimit};

/// Returns the memory that this process may use, in bytes: the smallest of the machine's memory,
/// the control group's limit (cgroup v2) and the limit of the address space.
pub fn memory_bytes() -> u64 {
    let info = rustix::system::sysinfo();
    let total = info.totalram.saturating_mul(u64::from(info.mem_unit.max(1)));
    let address_space = getrlimit(Resource::As).current.unwrap_or(u64::MAX);
    total.min(address_space).min(control_group_bytes().unwrap_or(u64::MAX))
}

/// Returns the smallest limit of the control group and its ancestors.
fn control_group_bytes() -> Option<u64> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    let root = Path::new("/sys/fs/cgroup");
    let folder = root.join(path.trim_start_matches('/'));
    let limits = folder.ancestors().take_while(|folder| folder.starts_with(root)).filter_map(|folder| {
        // "max": no limit.
        fs::read_to_string(folder.join("memory.max")).ok()?.trim().parse::<u64>().ok()
    });
    limits.min()
}

/// Lowers the priority of the calling thread, in steps of nice(1). It cannot be raised again.
pub fn lower_thread_priority(nice: i32) {
    // On Linux this call takes the id of a thread; without one, the calling thread's.
    if let Err(error) = rustix::process::setpriority_process(None, nice) {
        tracing::debug!(%error, "a thread runs at the usual priority");
    }
}

/// Space of a file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    pub total: u64,
    /// Space that a process without privileges may still use.
    pub free: u64,
}

/// Returns the space of the file system that holds `path`.
pub fn space(path: &Path) -> std::io::Result<Space> {
    let found = rustix::fs::statvfs(path)?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Ok(Space { total: bytes(found.f_blocks), free: bytes(found.f_bavail) })
}

impl Space {
    /// Returns the free bytes above a reserve of `bytes`, which is at most a tenth of the file
    /// system.
    pub fn above_reserve(self, bytes: u64) -> u64 {
        self.free.saturating_sub(bytes.min(self.total / 10))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_space_of_this_machine_are_plausible() {
        assert!(memory_bytes() > 64 * 1024 * 1024);
        let space = space(Path::new("/")).unwrap();
        assert!(space.free <= space.total && space.total > 0);
    }

    #[test]
    fn reserve_is_at_most_a_tenth() {
        let space = Space { total: 1000, free: 300 };
        assert_eq!(space.above_reserve(50), 250);
        assert_eq!(space.above_reserve(5000), 200);
        assert_eq!(Space { total: 1000, free: 60 }.above_reserve(5000), 0);
    }
}
