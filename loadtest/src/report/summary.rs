//! The summary of a scenario over all rounds: the median round, and the ratio to the floor.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use crate::scenario::{Compared, Outcome, median, middle};
use crate::servers::Usage;

/// Resources that the server used in all rounds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ServerCost {
    pub(crate) cpu: Duration,
    pub(crate) peak_kib: u64,
    pub(crate) commits: f64,
    /// Commands in these commits.
    pub(crate) commands: f64,
}

impl ServerCost {
    /// Adds the difference of two measurements.
    pub(crate) fn add(&mut self, before: Option<Usage>, after: Option<Usage>) {
        if let (Some(before), Some(after)) = (before, after) {
            self.cpu += after.cpu.saturating_sub(before.cpu);
            self.peak_kib = self.peak_kib.max(after.peak_kib);
        }
    }
}

#[derive(Debug)]
pub(crate) struct Summary {
    pub(crate) name: String,
    pub(crate) compared: Compared,
    /// The name of the server that NetBit is compared with.
    baseline: &'static str,
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) floors: Vec<Outcome>,
    pub(crate) cost: ServerCost,
    pub(crate) wrong: Vec<String>,
}

impl Summary {
    pub(crate) fn new(
        name: String,
        compared: Compared,
        baseline: &'static str,
        outcomes: Vec<Outcome>,
        floors: Vec<Outcome>,
        cost: ServerCost,
    ) -> Self {
        let wrong = outcomes.iter().chain(&floors).flat_map(|outcome| {
            let more = (outcome.more_wrong > 0).then(|| format!("and {} more errors", outcome.more_wrong));
            outcome.wrong.iter().cloned().chain(more)
        });
        let wrong = wrong.collect();
        Self { name, compared, baseline, outcomes, floors, cost, wrong }
    }

    pub(crate) fn ok(&self) -> bool {
        self.wrong.is_empty() && self.outcomes.iter().all(Outcome::is_right)
    }

    pub(crate) fn middle(&self) -> Option<&Outcome> {
        middle(&self.outcomes, |outcome| outcome.figure(self.compared))
    }

    pub(crate) fn middle_floor(&self) -> Option<&Outcome> {
        middle(&self.floors, |outcome| outcome.figure(self.compared))
    }

    /// Returns the median of the ratios of neighbouring rounds, of NetBit to the floor.
    pub(crate) fn ratio(&self) -> Option<f64> {
        let of = |outcome: &Outcome| outcome.figure(self.compared);
        let ratios: Vec<f64> =
            self.outcomes.iter().zip(&self.floors).map(|(own, floor)| of(own) / of(floor)).collect();
        Some(median(ratios)).filter(|ratio| ratio.is_finite())
    }

    pub(crate) fn to_json(&self) -> Value {
        let figures = |outcome: &Outcome| {
            let us = |quantile| (!outcome.latency.is_empty()).then(|| outcome.quantile_us(quantile));
            json!({
                "p50_us": us(0.5), "p99_us": us(0.99), "p999_us": us(0.999), "max_us": us(1.0),
                "rate": outcome.rate(), "bytes_each": outcome.bytes_each, "notes": outcome.notes,
            })
        };
        let mut whole = self.middle().map_or(json!({}), figures);
        let rounds: Vec<f64> = self.outcomes.iter().map(|outcome| outcome.figure(self.compared)).collect();
        let floor_rounds: Vec<f64> =
            self.floors.iter().map(|outcome| outcome.figure(self.compared)).collect();
        if let Some(map) = whole.as_object_mut() {
            let mut put = |key: &str, value: Value| drop(map.insert(key.to_owned(), value));
            put("name", json!(self.name));
            put("ok", json!(self.ok()));
            put("ratio_to_floor", json!(self.ratio()));
            put("compared", json!(self.compared.unit()));
            put("beside", json!(self.baseline));
            put("rounds", json!(rounds));
            put("floor_rounds", json!(floor_rounds));
            put("floor", json!(self.middle_floor().map(figures)));
            put(
                "server",
                json!({
                    "cpu_ms": u64::try_from(self.cost.cpu.as_millis()).unwrap_or(u64::MAX),
                    "peak_kib": self.cost.peak_kib,
                    "commits": self.cost.commits, "commands": self.cost.commands,
                }),
            );
        }
        whole
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.ok() { "" } else { "  WRONG" };
        write!(f, "{:<26}", self.name)?;
        if let Some(outcome) = self.middle() {
            let us = |quantile| outcome.quantile_us(quantile);
            write!(f, "{:>10.0}/s", outcome.rate())?;
            if !outcome.latency.is_empty() {
                write!(
                    f,
                    "  p50 {:>8.0}  p99 {:>8.0}  p99.9 {:>8.0}  max {:>8.0} us",
                    us(0.5),
                    us(0.99),
                    us(0.999),
                    us(1.0)
                )?;
            }
        }
        if let (Some(ratio), Some(own), Some(floor)) = (self.ratio(), self.middle(), self.middle_floor()) {
            let (own, floor) = (own.figure(self.compared), floor.figure(self.compared));
            write!(
                f,
                "  {ratio:.2}x of {} ({own:.0} to {floor:.0} {})",
                self.baseline,
                self.compared.unit()
            )?;
        } else if let (Compared::Bytes, Some(own)) = (self.compared, self.middle()) {
            write!(f, "  {:.0} {}", own.figure(self.compared), self.compared.unit())?;
        }
        writeln!(f, "{word}")?;
        let mib = self.cost.peak_kib / 1024;
        write!(f, "{:<26}  server: {:.2} s CPU, {mib} MiB at most", "", self.cost.cpu.as_secs_f64())?;
        if self.cost.commits > 0.0 {
            let each = self.cost.commands / self.cost.commits;
            write!(f, ", {:.0} commits of {each:.1} commands", self.cost.commits)?;
        }
        writeln!(f)?;
        for note in self.middle().into_iter().flat_map(|outcome| &outcome.notes) {
            writeln!(f, "{:<26}  {note}", "")?;
        }
        for wrong in &self.wrong {
            writeln!(f, "{:<26}  wrong: {wrong}", "")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(latency_us: u64) -> Outcome {
        let mut outcome = Outcome::new().unwrap();
        outcome.took(Duration::from_micros(latency_us));
        outcome
    }

    #[test]
    fn ratio_is_the_median_of_neighbouring_rounds() {
        let outcomes = vec![round(100), round(900), round(300)];
        let floors = vec![round(100), round(300), round(150)];
        let summary =
            Summary::new("x".into(), Compared::Median, "the floor", outcomes, floors, ServerCost::default());
        assert!((summary.ratio().unwrap() - 2.0).abs() < 0.01);
        assert!(summary.ok() && summary.to_string().contains("2.00x of the floor"));
        let json = summary.to_json();
        assert_eq!((json["name"].as_str(), json["ok"].as_bool()), (Some("x"), Some(true)));
        assert!(json["p50_us"].as_f64().unwrap() >= 299.0);
    }

    #[test]
    fn summary_is_wrong_when_any_round_is_wrong() {
        let mut bad = round(1);
        bad.wrong(|| "lost".to_owned());
        let summary = Summary::new(
            "x".into(),
            Compared::Rate,
            "the floor",
            vec![round(1), bad],
            Vec::new(),
            ServerCost::default(),
        );
        assert!(!summary.ok() && summary.to_string().contains("wrong: lost"));
        assert_eq!(summary.to_json()["ratio_to_floor"], Value::Null);
    }
}
