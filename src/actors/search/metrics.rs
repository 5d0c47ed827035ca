//! Metrics of the search.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::core::metrics::{Export, Labelled, seconds};

/// Written by the search actor and by the service. Clones share their numbers.
#[derive(Debug, Clone)]
pub struct SearchMetrics {
    pub(super) behind: Gauge,
    pub(super) skipped: Gauge,
    pub(super) messages: Gauge,
    pub(super) bytes: Gauge,
    pub(super) rebuilds: Counter,
    pub(super) failures: Counter,
    pub(super) indexed: Counter,
    pub(super) files: Gauge,
    pub(super) commits: Gauge,
    pub(super) indexed_files: Counter,
    pub(super) behind_repositories: Gauge,
    pub(super) skipped_repositories: Gauge,
    outcomes: [Counter; SearchOutcome::NAMES.len()],
    by_outcome: Labelled<Counter, 1>,
    seconds: Histogram,
}

/// The outcome of a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchOutcome {
    Found,
    Empty,
    /// A limit ended it, or the index is not built.
    Incomplete,
    Refused,
    Failed,
}

impl SearchOutcome {
    const NAMES: [&str; 5] = ["found", "empty", "incomplete", "refused", "failed"];
}

impl SearchMetrics {
    /// Counts a search that took this long.
    pub fn searched(&self, outcome: SearchOutcome, took: Duration) {
        let [found, empty, incomplete, refused, failed] = &self.outcomes;
        let counter = match outcome {
            SearchOutcome::Found => found,
            SearchOutcome::Empty => empty,
            SearchOutcome::Incomplete => incomplete,
            SearchOutcome::Refused => refused,
            SearchOutcome::Failed => failed,
        };
        counter.inc();
        self.seconds.observe(took.as_secs_f64());
    }
}

impl Default for SearchMetrics {
    fn default() -> Self {
        let by_outcome = Labelled::<Counter, 1>::default();
        let counter = |outcome| by_outcome.get_or_create_owned(&[("outcome", outcome)]);
        Self {
            behind: Gauge::default(),
            skipped: Gauge::default(),
            messages: Gauge::default(),
            bytes: Gauge::default(),
            rebuilds: Counter::default(),
            failures: Counter::default(),
            indexed: Counter::default(),
            files: Gauge::default(),
            commits: Gauge::default(),
            indexed_files: Counter::default(),
            behind_repositories: Gauge::default(),
            skipped_repositories: Gauge::default(),
            outcomes: SearchOutcome::NAMES.map(counter),
            by_outcome: by_outcome.clone(),
            seconds: seconds(),
        }
    }
}

impl Export for SearchMetrics {
    fn export(&self, registry: &mut Registry) {
        let help = "Searches";
        registry.register("netbit_searches", help, self.by_outcome.clone());
        let help = "Duration of searches, with the check of each result";
        registry.register("netbit_search_seconds", help, self.seconds.clone());
        let help = "Events of chats that the search index does not have yet";
        registry.register("netbit_search_behind_events", help, self.behind.clone());
        let help = "Chats that could not be read for the search index";
        registry.register("netbit_search_skipped_chats", help, self.skipped.clone());
        let help = "Messages in the search index";
        registry.register("netbit_search_messages", help, self.messages.clone());
        let help = "Size of the search index";
        registry.register("netbit_search_bytes", help, self.bytes.clone());
        let help = "Messages that were written into the search index";
        registry.register("netbit_search_indexed", help, self.indexed.clone());
        let help = "Files in the search index";
        registry.register("netbit_search_files", help, self.files.clone());
        let help = "Commits in the search index";
        registry.register("netbit_search_commits", help, self.commits.clone());
        let help = "Files that were written into the search index";
        registry.register("netbit_search_indexed_files", help, self.indexed_files.clone());
        let help = "Repositories that wait to be compared with the search index";
        registry.register("netbit_search_behind_repositories", help, self.behind_repositories.clone());
        let help = "Repositories that could not be read for the search index";
        registry.register("netbit_search_skipped_repositories", help, self.skipped_repositories.clone());
        let help = "Search indexes that were built from the beginning";
        registry.register("netbit_search_rebuilds", help, self.rebuilds.clone());
        let help = "Failed reads and writes of the search index and of the changes for it";
        registry.register("netbit_search_failures", help, self.failures.clone());
    }
}
