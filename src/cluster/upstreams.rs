//! How much this node asks of each other node, and whether it tries to at all.
//!
//! Only counters are shared, one set for each number of a node. After a failed connection a node is
//! not tried for `limits.proxy_retry_ms`, unless its row shows that it has started again; then a
//! single request tries it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::AcqRel, Ordering::Acquire, Ordering::Release};
use std::time::Duration;

use tokio::time::Instant;

use crate::core::saturate;
use crate::storage::nodes::Node;

/// The number of different numbers of nodes.
const NODES: usize = 256;

/// The counters of one node.
#[derive(Debug, Default)]
struct Upstream {
    requests: AtomicUsize,
    /// Milliseconds since the start until which the node is not tried. 0: its last connection
    /// succeeded.
    closed_until_ms: AtomicU64,
    /// The [`run_of`] the node whose connection failed.
    closed_for: AtomicU64,
}

/// Returns a number that changes when the node starts again, moves to another address, or begins or
/// ends to count as running.
pub(super) fn run_of(node: &Node) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&node.instance, &node.address, node.is_running()).hash(&mut hasher);
    hasher.finish()
}

/// The counters of all nodes.
#[derive(Debug)]
pub(super) struct Upstreams {
    nodes: Arc<[Upstream]>,
    started: Instant,
    requests_max: usize,
    retry: Duration,
}

/// Counts a request until it is dropped.
#[derive(Debug)]
pub(super) struct Admitted {
    nodes: Arc<[Upstream]>,
    node: usize,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        if let Some(upstream) = self.nodes.get(self.node) {
            upstream.requests.fetch_sub(1, AcqRel);
        }
    }
}

/// The reason why a node is not tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotTried {
    /// Too many requests to it are in progress.
    Busy,
    /// Its last connection failed a moment ago.
    Unreachable,
}

impl Upstreams {
    pub(super) fn new(requests_max: usize, retry: Duration) -> Self {
        let nodes = (0..NODES).map(|_| Upstream::default()).collect();
        Self { nodes, started: Instant::now(), requests_max, retry }
    }

    fn now_ms(&self) -> u64 {
        saturate::millis(self.started.elapsed()).saturating_add(1)
    }

    /// Returns a place for a request to the node in this [run](run_of).
    pub(super) fn admit(&self, number: i16, run: u64) -> Result<Admitted, NotTried> {
        let node = usize::try_from(number).unwrap_or(0);
        let upstream = self.nodes.get(node).ok_or(NotTried::Unreachable)?;
        // Before the try: a request without a place must not use it up.
        let fits = |count: usize| (count < self.requests_max).then(|| count.saturating_add(1));
        upstream.requests.fetch_update(AcqRel, Acquire, fits).map_err(|_| NotTried::Busy)?;
        let admitted = Admitted { nodes: self.nodes.clone(), node };
        let (now_ms, closed_until_ms) = (self.now_ms(), upstream.closed_until_ms.load(Acquire));
        if closed_until_ms > 0 {
            let next_ms = now_ms.saturating_add(saturate::millis(self.retry));
            let state = &upstream.closed_until_ms;
            let is_due = now_ms >= closed_until_ms || upstream.closed_for.load(Acquire) != run;
            // One request tries; the others are refused until it has succeeded.
            if !is_due || state.compare_exchange(closed_until_ms, next_ms, AcqRel, Acquire).is_err() {
                return Err(NotTried::Unreachable);
            }
            upstream.closed_for.store(run, Release);
        }
        Ok(admitted)
    }

    /// Records the outcome of a connection. Returns whether the state has changed.
    pub(super) fn connected(&self, number: i16, run: u64, succeeded: bool) -> bool {
        let upstream = usize::try_from(number).ok().and_then(|number| self.nodes.get(number));
        let Some(upstream) = upstream else { return false };
        let until_ms = self.now_ms().saturating_add(saturate::millis(self.retry));
        // Before the time: a request that reads the new time reads the new run, too.
        upstream.closed_for.store(run, Release);
        let before = upstream.closed_until_ms.swap(if succeeded { 0 } else { until_ms }, AcqRel);
        (before == 0) != succeeded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: u64 = 1;

    #[tokio::test(start_paused = true)]
    async fn unreachable_node_is_tried_by_one_request_at_a_time() {
        let upstreams = Upstreams::new(2, Duration::from_secs(2));
        assert!(upstreams.admit(1, RUN).is_ok());
        assert!(upstreams.connected(1, RUN, false));
        assert_eq!(upstreams.admit(1, RUN).unwrap_err(), NotTried::Unreachable);
        assert!(upstreams.admit(2, RUN).is_ok(), "other nodes are tried");
        tokio::time::advance(Duration::from_secs(3)).await;
        assert!(upstreams.admit(1, RUN).is_ok());
        assert_eq!(upstreams.admit(1, RUN).unwrap_err(), NotTried::Unreachable);
        assert!(upstreams.connected(1, RUN, true));
        assert!(upstreams.admit(1, RUN).is_ok() && upstreams.admit(1, RUN).is_ok());
    }

    /// Requests were refused for 2 s after the node was ready again.
    #[tokio::test(start_paused = true)]
    async fn closed_node_is_tried_at_once_in_its_next_run() {
        let upstreams = Upstreams::new(2, Duration::from_secs(2));
        upstreams.connected(1, RUN, false);
        assert_eq!(upstreams.admit(1, RUN).unwrap_err(), NotTried::Unreachable);
        assert!(upstreams.admit(1, RUN + 1).is_ok());
        assert_eq!(upstreams.admit(1, RUN + 1).unwrap_err(), NotTried::Unreachable, "one tries");
        assert!(upstreams.connected(1, RUN + 1, true));
        assert!(upstreams.admit(1, RUN + 1).is_ok());
    }

    #[test]
    fn run_changes_with_process_address_and_silence() {
        let node = |instance: &str, address: &str, silent_ms| Node {
            name: "a".to_owned(),
            number: 1,
            address: address.to_owned(),
            instance: instance.to_owned(),
            format: 1,
            silent_ms,
        };
        let known = run_of(&node("one", "http://a", 10));
        assert_eq!(known, run_of(&node("one", "http://a", 5000)));
        for other in
            [node("two", "http://a", 10), node("one", "http://b", 10), node("one", "http://a", 60_000)]
        {
            assert_ne!(known, run_of(&other));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn busy_node_does_not_use_up_the_try_of_a_closed_one() {
        let upstreams = Upstreams::new(1, Duration::from_secs(2));
        let held = upstreams.admit(1, RUN).unwrap();
        upstreams.connected(1, RUN, false);
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(upstreams.admit(1, RUN).unwrap_err(), NotTried::Busy);
        drop(held);
        assert!(upstreams.admit(1, RUN).is_ok());
    }

    #[tokio::test]
    async fn requests_to_a_node_are_bounded() {
        let upstreams = Upstreams::new(2, Duration::ZERO);
        let (one, _two) = (upstreams.admit(7, RUN).unwrap(), upstreams.admit(7, RUN).unwrap());
        assert_eq!(upstreams.admit(7, RUN).unwrap_err(), NotTried::Busy);
        assert!(upstreams.admit(8, RUN).is_ok());
        drop(one);
        assert!(upstreams.admit(7, RUN).is_ok());
    }
}
