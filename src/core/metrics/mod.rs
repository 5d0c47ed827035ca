//! Metrics: what operators watch, in the text format that Prometheus reads (OpenMetrics 1.0).
//!
//! Every room keeps its own counters as fields of a plain struct and [`Export`]s them into the application's registry
//! before anything starts, so that every series is there, at 0, from the first scrape on. What an owner knows anyway, as
//! the mailboxes do, is collected when somebody looks.
//!
//! Invariants: no name of a user, chat, project or repository is a label; all of a metric's labels are known when the
//! program is built. Deliberately absent: a global registry. Many applications run in one process of tests.

mod actors;
mod process;
mod rows;

pub use actors::Mailboxes;
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
/// From one to the largest batch.
const COUNTS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// Metrics of one name, told apart by `N` labels. Whoever owns one asks for its members once and keeps them.
pub type Labelled<M, const N: usize> = Family<[(&'static str, &'static str); N], M>;

/// Puts metrics where they can be seen. A metric has one name, one help text, and is exported once.
pub trait Export {
    fn export(&self, registry: &mut Registry);
}

/// A histogram of times in seconds.
pub fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}

/// Histograms of times in seconds.
pub fn labelled_seconds<const N: usize>() -> Labelled<Histogram, N> {
    Labelled::new_with_constructor(seconds)
}

/// A histogram of how many.
pub fn counts() -> Histogram {
    Histogram::new(COUNTS)
}

/// All metrics as text.
pub fn render(registry: &Registry) -> Result<String, std::fmt::Error> {
    let mut text = String::with_capacity(64 * 1024);
    text::encode(&mut text, registry)?;
    Ok(text)
}
