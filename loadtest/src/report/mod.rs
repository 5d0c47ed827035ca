//! The report of a scenario: a table for users, figures for programs, and the verdict.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::messages::{Fault, Faults};

mod plot;
mod summary;

pub(crate) use plot::plot;
pub(crate) use summary::{ServerCost, Summary};

/// The report of one scenario.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) title: String,
    /// Printed names and values.
    pub(crate) rows: Vec<(&'static str, String)>,
    pub(crate) figures: Vec<Figure>,
    /// Acknowledged messages.
    pub(crate) messages: usize,
    /// Reasons why the scenario could not continue or is wrong, such as a closed session.
    pub(crate) errors: Vec<String>,
    pub(crate) faults: Faults,
}

/// A measured value, as written by `--json`.
#[derive(Debug)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    /// Per second.
    pub(crate) rate: f64,
}

impl Report {
    pub(crate) fn ok(&self) -> bool {
        self.errors.is_empty() && self.faults.total() == 0
    }

    pub(crate) fn row(&mut self, name: &'static str, value: String) {
        self.rows.push((name, value));
    }

    pub(crate) fn to_json(&self) -> Value {
        let ok = self.ok();
        let one = |figure: &Figure| {
            let Figure { name, p50_us, p99_us, rate } = figure;
            json!({"name": name, "ok": ok, "p50_us": p50_us, "p99_us": p99_us, "rate": rate})
        };
        json!({"scenarios": self.figures.iter().map(one).collect::<Vec<_>>()})
    }
}

impl Figure {
    pub(crate) fn new(name: &'static str, latency: &Histogram<u64>, rate: f64) -> Self {
        let quantile = |q| latency.value_at_quantile(q);
        Self { name, p50_us: quantile(0.5), p99_us: quantile(0.99), rate }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title)?;
        let width = self.rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in &self.rows {
            writeln!(f, "  {name:width$}  {value}")?;
        }
        for error in &self.errors {
            writeln!(f, "error: {error}")?;
        }
        for fault in self.faults.first() {
            writeln!(f, "fault: {fault}")?;
        }
        let word = if self.ok() { "correct" } else { "WRONG" };
        let count = |fault| self.faults.count(fault);
        let (lost, doubled, reordered) = (count(Fault::Lost), count(Fault::Doubled), count(Fault::Reordered));
        write!(
            f,
            "{word}: {} messages, {lost} lost, {doubled} doubled, {reordered} reordered",
            self.messages
        )?;
        for (fault, name) in [(Fault::Gap, "gaps"), (Fault::Wrong, "contradictions")] {
            if count(fault) > 0 {
                write!(f, ", {} {name}", count(fault))?;
            }
        }
        writeln!(f)
    }
}

/// Formats quantiles: `p50 1.20 ms   p99 3.40 ms   max 5.60 ms`.
pub(crate) fn latencies(latency: &Histogram<u64>) -> String {
    let named = [
        ("p50", latency.value_at_quantile(0.5)),
        ("p99", latency.value_at_quantile(0.99)),
        ("max", latency.max()),
    ];
    named
        .map(|(name, us)| format!("{name} {:<10}", duration(Duration::from_micros(us))))
        .join("  ")
        .trim_end()
        .to_owned()
}

pub(crate) fn duration(duration: Duration) -> String {
    let us = duration.as_micros();
    match us {
        0..1_000 => format!("{us} us"),
        1_000..1_000_000 => format!("{:.2} ms", duration.as_secs_f64() * 1e3),
        _ => format!("{:.2} s", duration.as_secs_f64()),
    }
}

/// Returns operations per second; 0 when no time has passed.
pub(crate) fn rate(count: u64, within: Duration) -> f64 {
    // Exact below 2^53, which no count here reaches.
    #[allow(clippy::cast_precision_loss, reason = "a rate is an approximation")]
    let count = count as f64;
    if within.is_zero() { 0.0 } else { count / within.as_secs_f64() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_is_wrong_when_it_has_a_fault_or_an_error() {
        let mut report = Report { messages: 3, ..Report::default() };
        assert!(
            report.ok()
                && report.to_string().ends_with("correct: 3 messages, 0 lost, 0 doubled, 0 reordered\n")
        );
        report.faults.add(Fault::Gap, || "chat 1: after 1 comes 3".into());
        let text = report.to_string();
        assert!(
            !report.ok()
                && text.contains("fault: chat 1")
                && text.contains("WRONG")
                && text.contains("1 gaps")
        );
        let report = Report { errors: vec!["timed out".into()], ..Report::default() };
        assert!(!report.ok() && report.to_string().contains("error: timed out"));
    }

    #[test]
    fn report_json_has_an_object_per_figure() {
        let mut latency = Histogram::new(3).unwrap();
        latency.record(1_000).unwrap();
        let figure = Figure::new("messages", &latency, rate(10, Duration::from_secs(2)));
        let report = Report { figures: vec![figure], ..Report::default() };
        let expected = json!({"name": "messages", "ok": true, "p50_us": 1000, "p99_us": 1000, "rate": 5.0});
        assert_eq!(report.to_json(), json!({"scenarios": [expected]}));
        assert!(latencies(&latency).starts_with("p50 1.00 ms"));
    }
}
