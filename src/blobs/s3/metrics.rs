//! Metrics of the bucket.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::core::metrics::{Export, Labelled, seconds};

/// The kind of a request to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Put,
    Get,
    List,
    Remove,
    Copy,
}

impl Operation {
    const ALL: [(Self, &str); 5] = [
        (Self::Put, "put"),
        (Self::Get, "get"),
        (Self::List, "list"),
        (Self::Remove, "remove"),
        (Self::Copy, "copy"),
    ];
}

#[derive(Debug, Clone)]
struct OfOperation {
    operation: Operation,
    done: Counter,
    missing: Counter,
    failed: Counter,
}

/// Written by the store of files. Clones share their numbers.
#[derive(Debug, Clone)]
pub struct StoreMetrics {
    operations: Vec<OfOperation>,
    by_outcome: Labelled<Counter, 2>,
    seconds: Histogram,
    /// 1 while the last operation failed.
    away: Gauge,
}

impl Default for StoreMetrics {
    fn default() -> Self {
        let by_outcome = Labelled::<Counter, 2>::default();
        let counter = |operation, outcome| {
            by_outcome.get_or_create_owned(&[("operation", operation), ("outcome", outcome)])
        };
        let operations = Operation::ALL.map(|(operation, name)| OfOperation {
            operation,
            done: counter(name, "done"),
            missing: counter(name, "missing"),
            failed: counter(name, "failed"),
        });
        let operations = operations.to_vec();
        Self { operations, by_outcome: by_outcome.clone(), seconds: seconds(), away: Gauge::default() }
    }
}

/// The end of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// The object does not exist.
    Missing,
    Failed,
}

impl StoreMetrics {
    pub(super) fn note(&self, operation: Operation, outcome: Outcome, took: Duration) {
        self.seconds.observe(took.as_secs_f64());
        self.away.set(i64::from(outcome == Outcome::Failed));
        let Some(of) = self.operations.iter().find(|of| of.operation == operation) else { return };
        match outcome {
            Outcome::Done => of.done.inc(),
            Outcome::Missing => of.missing.inc(),
            Outcome::Failed => of.failed.inc(),
        };
    }
}

impl Export for StoreMetrics {
    fn export(&self, registry: &mut Registry) {
        let help = "Operations of the S3 store of files, with their retries, by their end";
        registry.register("netbit_file_store_operations", help, self.by_outcome.clone());
        let help = "Duration of an operation of the S3 store of files, with its retries";
        registry.register("netbit_file_store_seconds", help, self.seconds.clone());
        let help = "1 while the last operation of the S3 store of files failed";
        registry.register("netbit_file_store_away", help, self.away.clone());
    }
}
