//! Metrics of forwarded requests.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use crate::core::metrics::{Export, Labelled};

/// The outcome of a request about a repository of another node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The storage node has answered.
    Answered,
    /// No connection to the storage node: answered here with 503.
    Unreachable,
    /// Too many forwarded requests: answered here with 503.
    Refused,
    /// The connection broke before the answer.
    Failed,
}

/// Counters of forwarded requests. Clones share them.
#[derive(Debug, Clone)]
pub struct ProxyMetrics {
    requests: Labelled<Counter, 1>,
}

impl Default for ProxyMetrics {
    fn default() -> Self {
        let this = Self { requests: Labelled::default() };
        for outcome in [Outcome::Answered, Outcome::Unreachable, Outcome::Refused, Outcome::Failed] {
            drop(this.of(outcome));
        }
        this
    }
}

impl ProxyMetrics {
    fn of(&self, outcome: Outcome) -> Counter {
        let name = match outcome {
            Outcome::Answered => "answered",
            Outcome::Unreachable => "unreachable",
            Outcome::Refused => "refused",
            Outcome::Failed => "failed",
        };
        self.requests.get_or_create_owned(&[("outcome", name)])
    }

    pub(super) fn count(&self, outcome: Outcome) {
        self.of(outcome).inc();
    }
}

impl Export for ProxyMetrics {
    fn export(&self, registry: &mut Registry) {
        let help = "Requests about repositories of other nodes, by outcome";
        registry.register("netbit_proxied", help, self.requests.clone());
    }
}
