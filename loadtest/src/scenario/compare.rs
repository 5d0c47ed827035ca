//! Runs rounds of NetBit and of the floor in turn, and summarizes them.

use std::time::Duration;

use anyhow::Context;
use indicatif::ProgressBar;

use super::{Outcome, Scenario};
use crate::report::{ServerCost, Summary};
use crate::servers::{SeededServer, Subject};

/// The amount of measuring.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options<'a> {
    pub(crate) rounds: usize,
    pub(crate) time: Duration,
    pub(crate) subjects: Subjects,
    /// A running server, like http://127.0.0.1:8080; `None` starts one.
    pub(crate) server: Option<&'a str>,
    /// Time limit of one scenario.
    pub(crate) timeout: Duration,
}

/// The servers that are measured. Ratios need both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subjects {
    Both,
    NetBit,
    Floor,
}

/// Runs one scenario; returns `None` when the selected servers do not support it.
///
/// Wrong answers are part of the summary.
///
/// # Errors
/// The scenario could not be run, or took longer than `timeout`.
pub(crate) async fn compare<S: Scenario>(
    scenario: &S,
    options: Options<'_>,
    progress: &ProgressBar,
) -> anyhow::Result<Option<Summary>> {
    let plan = scenario.plan();
    if options.subjects == Subjects::Floor && !plan.has_floor {
        return Ok(None);
    }
    let name = scenario.name();
    if options.server.is_some() && plan.needs_own_server {
        progress.suspend(|| eprintln!("{name:<26}  skipped: it cannot run with --server"));
        return Ok(None);
    }
    progress.set_message(name.clone());
    let run = tokio::time::timeout(options.timeout, run(scenario, options, progress));
    run.await.with_context(|| format!("{name} took too long"))?.with_context(|| name).map(Some)
}

async fn run<S: Scenario>(
    scenario: &S,
    options: Options<'_>,
    progress: &ProgressBar,
) -> anyhow::Result<Summary> {
    let plan = scenario.plan();
    let (mut outcomes, mut floors) = (Vec::new(), Vec::new());
    let (mut cost, mut errors) = (ServerCost::default(), Vec::new());
    let (servers, rounds) = if plan.starts_fresh { (options.rounds, 1) } else { (1, options.rounds) };
    for _ in 0..servers {
        let first = if options.subjects == Subjects::Floor { Subject::Floor } else { Subject::NetBit };
        let server = SeededServer::start(first, &plan.setup, options.server).await?;
        let floor = match options.subjects == Subjects::Both && plan.has_floor {
            true => Some(SeededServer::start(Subject::Floor, &plan.setup, None).await?),
            false => None,
        };
        let (before, scraped) = (server.usage(), server.scrape().await?);
        for _ in 0..rounds {
            outcomes.push(scenario.round(&server, options.time).await?);
            progress.inc(1);
            if let Some(floor) = &floor {
                floors.push(scenario.round(floor, options.time).await.context("at the floor")?);
                progress.inc(1);
            }
        }
        cost.add(before, server.usage());
        if let (Some(before), Some(after)) = (scraped, server.scrape().await?) {
            let grown = |metric: &str| after.sum(metric, &[]) - before.sum(metric, &[]);
            cost.commits += grown("netbit_commit_seconds_count");
            cost.commands += grown("netbit_commit_batch_size_sum");
        }
        errors.extend(server.end().await);
    }
    let mut name = scenario.name();
    if options.subjects == Subjects::Floor {
        name.insert_str(0, "floor/");
    }
    let mut summary = Summary::new(name, plan.compared, plan.baseline, outcomes, floors, cost);
    summary.wrong.append(&mut errors);
    Ok(summary)
}

/// Returns the median of `values`; NaN when there are none.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    if values.len() % 2 == 1 || values.is_empty() {
        at(middle)
    } else {
        f64::midpoint(at(middle - 1), at(middle))
    }
}

/// Returns the round with the median figure.
pub(crate) fn middle(outcomes: &[Outcome], figure: impl Fn(&Outcome) -> f64) -> Option<&Outcome> {
    let mut order: Vec<_> = outcomes.iter().collect();
    order.sort_by(|one, other| figure(one).total_cmp(&figure(other)));
    order.get(order.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_of_an_even_count_is_the_mean_of_the_middle_two() {
        assert!(median(Vec::new()).is_nan());
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(vec![4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
    }
}
