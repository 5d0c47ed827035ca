//! Draws summaries: the distribution of latencies, and the throughput over time.
//!
//! Each scenario has a row, for its median round. The left chart shows latency by percentile, the
//! right chart the completed operations in each tenth of a second. NetBit is blue, the floor grey.

use std::path::Path;

use anyhow::anyhow;
use plotters::prelude::*;

use super::Summary;
use crate::scenario::Outcome;

const ROW: (u32, u32) = (1100, 260);
const NETBIT: RGBColor = RGBColor(31, 119, 180);
const FLOOR: RGBColor = RGBColor(150, 150, 150);
/// Points of a distribution.
const STEPS: u32 = 200;

type Series = (RGBColor, Vec<(f64, f64)>);

/// Formats the label at height `y`.
type Scale = fn(&f64) -> String;

/// Writes the charts as SVG.
pub(crate) fn plot(summaries: &[Summary], file: &Path) -> anyhow::Result<()> {
    let rows = u32::try_from(summaries.len().max(1))?;
    let area = SVGBackend::new(file, (ROW.0, ROW.1 * rows)).into_drawing_area();
    let failed = |error: &dyn std::error::Error| anyhow!("cannot draw the chart: {error}");
    area.fill(&WHITE).map_err(|error| failed(&error))?;
    for (row, summary) in area.split_evenly((summaries.len().max(1), 1)).iter().zip(summaries) {
        let (left, right) = row.split_horizontally(ROW.0 / 2);
        let lines = |make: fn(&Outcome) -> Vec<(f64, f64)>| -> Vec<Series> {
            let floor = summary.middle_floor().map(|outcome| (FLOOR, make(outcome)));
            floor.into_iter().chain(summary.middle().map(|outcome| (NETBIT, make(outcome)))).collect()
        };
        let latencies = (format!("{}: latency, us", summary.name), "percentile");
        // A logarithmic axis: a single latency that is a thousand times larger would hide all
        // others.
        let powers: Scale = |y| format!("{:.0}", 10_f64.powf(*y));
        draw(&left, latencies, powers, &lines(distribution)).map_err(|error| failed(&*error))?;
        let timeline = (format!("{}: operations in each 0.1 s", summary.name), "seconds");
        draw(&right, timeline, |y| format!("{y:.0}"), &lines(timeline_of))
            .map_err(|error| failed(&*error))?;
    }
    area.present().map_err(|error| failed(&error))
}

/// Returns the common logarithm of the latency in microseconds at each percentile.
fn distribution(outcome: &Outcome) -> Vec<(f64, f64)> {
    if outcome.latency.is_empty() {
        return Vec::new();
    }
    (0..=STEPS)
        .map(|step| f64::from(step) / f64::from(STEPS))
        .map(|quantile| (quantile * 100.0, outcome.quantile_us(quantile).max(1.0).log10()))
        .collect()
}

fn timeline_of(outcome: &Outcome) -> Vec<(f64, f64)> {
    // The last tenth is rarely complete.
    let whole = outcome.timeline.len().saturating_sub(1);
    (0_u32..)
        .zip(outcome.timeline.iter().take(whole))
        .map(|(tenth, count)| (f64::from(tenth) / 10.0, f64::from(u32::try_from(*count).unwrap_or(u32::MAX))))
        .collect()
}

fn draw<D: DrawingBackend>(
    area: &DrawingArea<D, plotters::coord::Shift>,
    (title, below): (String, &str),
    scale: Scale,
    lines: &[Series],
) -> Result<(), Box<dyn std::error::Error>>
where
    D::ErrorType: 'static,
{
    let points = || lines.iter().flat_map(|(_, points)| points);
    let most = |part: fn(&(f64, f64)) -> f64| points().map(part).fold(0.0_f64, f64::max).max(1e-3) * 1.05;
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 14))
        .margin(8)
        .x_label_area_size(34)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..most(|point| point.0), 0.0..most(|point| point.1))?;
    chart.configure_mesh().x_desc(below).y_label_formatter(&scale).light_line_style(TRANSPARENT).draw()?;
    for (color, points) in lines {
        chart.draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(2)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::report::ServerCost;
    use crate::scenario::Compared;

    #[test]
    fn plot_has_a_row_for_every_scenario_even_without_rounds() {
        let mut outcome = Outcome::new().unwrap();
        outcome.begin();
        outcome.took(Duration::from_micros(250));
        outcome.done(1);
        let summary = |name: &str, outcomes| {
            Summary::new(
                name.into(),
                Compared::Median,
                "the floor",
                outcomes,
                Vec::new(),
                ServerCost::default(),
            )
        };
        let file = tempfile::NamedTempFile::new().unwrap();
        plot(&[summary("first", vec![outcome]), summary("second", Vec::new())], file.path()).unwrap();
        let picture = std::fs::read_to_string(file.path()).unwrap();
        assert!(picture.starts_with("<svg") && picture.contains("first") && picture.contains("second"));
    }
}
