//! Whether this node has reached itself at the address that other nodes use for it.

use std::sync::Arc;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::watch;

/// See the [module](self). Clones share it.
#[derive(Debug, Clone)]
pub struct OwnAddress {
    /// Why the node does not reach itself. `None`: it does, or it is not known yet.
    problem: Arc<watch::Sender<Option<Arc<str>>>>,
    /// 1 while there is a problem.
    pub wrong: Gauge,
}

impl Default for OwnAddress {
    fn default() -> Self {
        Self { problem: Arc::new(watch::Sender::new(None)), wrong: Gauge::default() }
    }
}

impl OwnAddress {
    /// Returns whether the problem has changed.
    pub fn set(&self, problem: Option<String>) -> bool {
        self.wrong.set(i64::from(problem.is_some()));
        let problem: Option<Arc<str>> = problem.map(Into::into);
        self.problem.send_if_modified(|known| {
            let has_changed = *known != problem;
            *known = problem;
            has_changed
        })
    }

    pub fn problem(&self) -> Option<Arc<str>> {
        self.problem.borrow().clone()
    }
}
