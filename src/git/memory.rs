//! Limits the memory of all git children together: measures it while any child runs, and ends the
//! largest when the limit is exceeded.
//!
//! Purpose: [`super::cage`] bounds each process; this module bounds their sum, whatever the
//! children do. The kernel's OOM killer would choose among all processes of the machine, including
//! the server.
//!
//! Owner: one thread per [`Git`](super::program::Git). Invariant: a child is killed only by its own
//! supervisor, which has not reaped it yet, so the signal cannot reach another process.

use std::collections::HashMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use rustix::process::Pid;
use tokio_util::sync::CancellationToken;

use super::cage::family;
use crate::core::shares::Holder;
use crate::domain::ids::UserId;

/// Interval between measurements, and the interval while the children hold more than half of the
/// limit.
const MEASURE_EVERY: Duration = Duration::from_millis(100);
const MEASURE_OFTEN: Duration = Duration::from_millis(10);
/// Capacity of the channel of new children: more than the number of transfer permits.
const WAITING_MAX: usize = 1024;

/// Handle of the measuring thread. Cheap to clone; the thread ends when the last handle is dropped.
#[derive(Debug, Clone)]
pub struct MemoryMonitor {
    children: SyncSender<Arc<Child>>,
}

/// Metrics of the memory of git children.
#[derive(Debug, Clone, Default)]
pub struct MemoryMetrics {
    /// Bytes that all children held at the last measurement.
    pub held_bytes: Gauge,
    /// Number of children ended because of the limit.
    pub evicted: Counter,
}

/// The party that the memory of a child is charged to: all anonymous clients together form a single
/// group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Group {
    Account(UserId),
    Visitors,
    /// The server's own work.
    Upkeep,
}

impl Group {
    pub(super) fn of(holder: Holder) -> Self {
        match holder {
            Holder::Account(user) => Self::Account(user),
            Holder::Network(_) => Self::Visitors,
            Holder::Operator => Self::Upkeep,
        }
    }
}

#[derive(Debug)]
struct Child {
    pid: Pid,
    group: Group,
    running: AtomicBool,
    evict: CancellationToken,
}

/// Guard of a measured child: dropping it ends the measurement.
#[derive(Debug)]
pub(super) struct Watched {
    child: Arc<Child>,
}

impl Watched {
    /// Returns a token that is cancelled when the child must be ended.
    pub(super) fn evicted(&self) -> CancellationToken {
        self.child.evict.clone()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.child.running.store(false, Relaxed);
    }
}

impl MemoryMonitor {
    /// Starts the thread; the children may hold `bytes_max` together.
    pub fn start(bytes_max: u64, metrics: MemoryMetrics) -> std::io::Result<Self> {
        let (children, arrivals) = sync_channel(WAITING_MAX);
        let measure = move || measure(&arrivals, bytes_max, &metrics);
        std::thread::Builder::new().name("git memory".to_owned()).spawn(measure)?;
        Ok(Self { children })
    }

    pub(super) fn watch(&self, pid: Pid, group: Group) -> Watched {
        let child =
            Arc::new(Child { pid, group, running: AtomicBool::new(true), evict: CancellationToken::new() });
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            self.children.try_send(child.clone())
        {
            tracing::warn!(
                "the memory monitor is unavailable: a git child does not count toward limits.git_memory_bytes"
            );
        }
        Watched { child }
    }
}

fn measure(arrivals: &Receiver<Arc<Child>>, bytes_max: u64, metrics: &MemoryMetrics) {
    let mut children: Vec<Arc<Child>> = Vec::new();
    let mut pause = MEASURE_EVERY;
    loop {
        children.retain(|child| child.running.load(Relaxed));
        let arrived = if children.is_empty() {
            metrics.held_bytes.set(0);
            arrivals.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            arrivals.recv_timeout(pause)
        };
        match arrived {
            Ok(child) => {
                children.push(child);
                // More children may be queued; they are measured together.
                children.extend(arrivals.try_iter());
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let held: Vec<(u64, &Child)> =
            children.iter().map(|child| (held_bytes(child.pid), child.as_ref())).collect();
        let total: u64 = held.iter().map(|(bytes, _)| *bytes).sum();
        metrics.held_bytes.set(i64::try_from(total).unwrap_or(i64::MAX));
        pause = if total > bytes_max / 2 { MEASURE_OFTEN } else { MEASURE_EVERY };
        evict(held, bytes_max, metrics);
    }
}

/// Ends children until the remaining ones are within the limit; each time, the largest child of the
/// group that holds most.
fn evict(mut held: Vec<(u64, &Child)>, bytes_max: u64, metrics: &MemoryMetrics) {
    loop {
        let total: u64 = held.iter().map(|(bytes, _)| *bytes).sum();
        let mut groups: HashMap<Group, u64> = HashMap::new();
        held.iter().for_each(|(bytes, child)| *groups.entry(child.group).or_default() += bytes);
        let largest = held.iter().enumerate().max_by_key(|(_, (bytes, child))| {
            (groups.get(&child.group).copied().unwrap_or_default(), *bytes)
        });
        let Some((place, (bytes, child))) = largest.filter(|_| total > bytes_max) else { return };
        // A child that is already being ended will release its memory soon.
        if !child.evict.is_cancelled() {
            tracing::warn!(total, bytes, bytes_max, group = ?child.group, "git children exceed limits.git_memory_bytes; ending the largest of the largest group");
            metrics.evicted.inc();
            child.evict.cancel();
        }
        held.swap_remove(place);
    }
}

/// Returns the anonymous memory of a process and its descendants, in bytes. The rest is
/// file-backed, which the kernel can drop.
pub(super) fn held_bytes(process: Pid) -> u64 {
    family(process).into_iter().map(anonymous_bytes).sum()
}

fn anonymous_bytes(process: Pid) -> u64 {
    let process = process.as_raw_nonzero();
    let text = fs::read_to_string(format!("/proc/{process}/statm")).unwrap_or_default();
    let mut pages = text.split_whitespace().skip(1).map(|pages| pages.parse().unwrap_or(0u64));
    let (resident, shared) = (pages.next().unwrap_or(0), pages.next().unwrap_or(0));
    let page_bytes = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
    resident.saturating_sub(shared).saturating_mul(page_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    /// Starts a process that holds `mib` MiB and waits for the end of its input.
    fn holds(mib: usize) -> std::process::Child {
        let script = format!("x=$(head -c {} /dev/zero | tr '\\0' x); read -r end", mib * 1024 * 1024);
        Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).spawn().unwrap()
    }

    fn pid_of(child: &std::process::Child) -> Pid {
        Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap()
    }

    #[test]
    fn evict_ends_as_many_children_as_needed_and_none_twice() {
        let pid = Pid::from_raw(1).unwrap();
        let child = || Child {
            pid,
            group: Group::Visitors,
            running: AtomicBool::new(true),
            evict: CancellationToken::new(),
        };
        let (children, metrics) = ([child(), child(), child()], MemoryMetrics::default());
        let held = vec![(50, &children[0]), (30, &children[1]), (20, &children[2])];
        for _ in 0..2 {
            evict(held.clone(), 25, &metrics);
            assert_eq!(children.each_ref().map(|child| child.evict.is_cancelled()), [true, true, false]);
            assert_eq!(metrics.evicted.get(), 2);
        }
    }

    /// Regression: twelve anonymous clients with 30 MB each caused the push of a user with 90 MB to
    /// be ended.
    #[test]
    fn evict_prefers_all_visitors_together_over_a_smaller_user() {
        let pid = Pid::from_raw(1).unwrap();
        let child =
            |group| Child { pid, group, running: AtomicBool::new(true), evict: CancellationToken::new() };
        let visitors: Vec<_> = (0..12).map(|_| child(Group::Visitors)).collect();
        let push = child(Group::Account(UserId(1)));
        let held: Vec<_> = visitors.iter().map(|child| (30, child)).chain([(90, &push)]).collect();
        evict(held, 300, &MemoryMetrics::default());
        assert!(!push.evict.is_cancelled());
        assert_eq!(visitors.iter().filter(|child| child.evict.is_cancelled()).count(), 5);
    }

    #[test]
    fn monitor_evicts_largest_child_when_limit_is_exceeded() {
        let metrics = MemoryMetrics::default();
        let monitor = MemoryMonitor::start(20 << 20, metrics.clone()).unwrap();
        let mut children = [holds(1), holds(40)];
        let watched = children.each_ref().map(|child| monitor.watch(pid_of(child), Group::Visitors));
        let begun = std::time::Instant::now();
        while !watched[1].evicted().is_cancelled() {
            assert!(begun.elapsed() < Duration::from_secs(30), "the large child was never evicted");
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(!watched[0].evicted().is_cancelled(), "the small child stays");
        assert_eq!(metrics.evicted.get(), 1);
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        drop(watched);
    }
}
