//! CPU time and memory of a process, from /proc.

use std::time::Duration;

/// The resource usage of a process so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Time in user mode and in the kernel.
    pub(crate) cpu: Duration,
    pub(crate) resident_kib: u64,
    /// The maximum since the start, or since [`reset_peak`].
    pub(crate) peak_kib: u64,
}

/// Resets the peak that the kernel records (proc(5): write "5" to `clear_refs`). Where this fails,
/// the peak covers the whole lifetime, which is larger but still an upper bound.
pub(crate) fn reset_peak(pid: u32) {
    drop(std::fs::write(format!("/proc/{pid}/clear_refs"), "5"));
}

impl Usage {
    /// Returns `None` where the process or /proc does not exist.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        Self::parse(&stat, &status, rustix::param::clock_ticks_per_second())
    }

    fn parse(stat: &str, status: &str, ticks_per_second: u64) -> Option<Self> {
        // The second field, the program name, may hold spaces and parentheses: count from its last
        // one.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let user: u64 = fields.next()?.parse().ok()?;
        let kernel: u64 = fields.next()?.parse().ok()?;
        let kib = |key: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
            line.trim().strip_suffix("kB")?.trim().parse().ok()
        };
        Some(Self {
            cpu: Duration::from_millis((user + kernel) * 1000 / ticks_per_second.max(1)),
            resident_kib: kib("VmRSS")?,
            peak_kib: kib("VmHWM")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_after_a_name_with_parentheses() {
        let stat = "42 (a (strange) name) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20";
        let status = "Name:\tx\nVmHWM:\t  2048 kB\nVmRSS:\t  1024 kB\n";
        let usage = Usage::parse(stat, status, 100).unwrap();
        assert_eq!(usage, Usage { cpu: Duration::from_secs(2), resident_kib: 1024, peak_kib: 2048 });
    }

    #[test]
    fn usage_of_this_process_is_readable() {
        assert!(Usage::of(std::process::id()).is_some_and(|usage| usage.peak_kib >= usage.resident_kib));
    }
}
