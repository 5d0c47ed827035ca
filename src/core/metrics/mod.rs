//! Metrics for operators, in the text format that Prometheus reads (OpenMetrics 1.0).
//!
//! Every module keeps its own counters as fields of a plain struct and [`Export`]s them into the
//! application's registry before anything starts. So every series exists, at 0, from the first
//! scrape on. Values that their owner holds anyway, as the mailboxes do, are collected at each
//! scrape.
//!
//! Invariants: no name of a user, chat, project or repository is a label; all labels of a metric
//! are fixed at build time. Deliberately absent: a global registry. Many applications run in one
//! process of tests.

mod actors;
mod gauge_guard;
mod process;
mod rows;

pub use actors::Mailboxes;
pub use gauge_guard::GaugeGuard;
pub use process::Process;
use prometheus_client::encoding::text;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
pub use rows::Rows;

/// The content type of [`render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// From 50 us (a commit that needs no disk) to 26 s, each four times the last.
const SECONDS: [f64; 10] = [50e-6, 200e-6, 800e-6, 3.2e-3, 12.8e-3, 51.2e-3, 0.2, 0.8, 3.2, 26.0];
/// From 1 to the largest batch.
const COUNTS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// Metrics of one name, distinguished by `N` labels. The owner gets its members once and keeps
/// them.
pub type Labelled<M, const N: usize> = Family<[(&'static str, &'static str); N], M>;

/// Registers metrics. A metric has one name, one help text, and is exported once.
pub trait Export {
    fn export(&self, registry: &mut Registry);
}

/// Returns a histogram of times in seconds.
pub fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}

/// Returns histograms of times in seconds.
pub fn labelled_seconds<const N: usize>() -> Labelled<Histogram, N> {
    Labelled::new_with_constructor(seconds)
}

/// Returns a histogram of counts.
pub fn counts() -> Histogram {
    Histogram::new(COUNTS)
}

/// Returns all metrics as text.
pub fn render(registry: &Registry) -> Result<String, std::fmt::Error> {
    let mut text = String::with_capacity(64 * 1024);
    text::encode(&mut text, registry)?;
    Ok(text)
}
