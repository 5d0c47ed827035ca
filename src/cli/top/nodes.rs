//! The table of several nodes: a row for each, and their sums.

use std::time::{Duration, Instant};

use anyhow::Context;
use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};
use ratatui::widgets::{Paragraph, Row, Table};
use serde::Serialize;
use tokio::runtime::Runtime;

use super::screen::{as_text, bytes, cell, count, reversed, time};
use super::view::View;
use super::{KEY_WAIT, Reading, Source, TopArguments};
use crate::cli::output::print_line;

const TITLES: [&str; 17] = [
    "NODE", "STATE", "SESS", "COMMIT/S", "REMOTE/S", "LOCK p99", "BEHIND", "LAG", "NODES", "CHORES", "BUS",
    "PROXY/S", "UNREACH", "HTTP/S", "5XX/S", "CPU%", "MEM",
];
/// Columns of the terminal that the table takes without the states.
const WIDTH: u16 = 131;
/// Columns for the states. A longer reason is cut.
const STATE_MIN: u16 = 9;
const STATE_MAX: u16 = 48;
const KEYS: &str = " q Quit";

/// A node and its last view.
#[derive(Debug, Serialize)]
struct Node {
    ops: String,
    /// The reason why the last reading failed.
    lost: Option<String>,
    /// Absent before two readings have succeeded.
    view: Option<View>,
}

/// The sums over all nodes that answer.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Sums {
    answering: usize,
    sessions: f64,
    commits_per_second: f64,
    http_per_second: f64,
    http_errors_per_second: f64,
    cpu_percent: f64,
    resident_bytes: f64,
    /// The newest commit of any node.
    applied: f64,
    proxied_per_second: f64,
    unreachable_per_second: f64,
    /// Nodes that refuse reads, because PostgreSQL does not answer.
    stale: usize,
}

#[derive(Debug, Serialize)]
struct Nodes {
    sum: Sums,
    nodes: Vec<Node>,
}

impl Nodes {
    fn new(nodes: Vec<Node>) -> Self {
        let mut sum = Sums::default();
        for view in nodes.iter().filter(|node| node.lost.is_none()).filter_map(|node| node.view.as_ref()) {
            sum.answering += 1;
            sum.sessions += sessions(view);
            sum.commits_per_second += view.commits.per_second;
            sum.http_per_second += view.http.per_second;
            sum.http_errors_per_second += view.http.errors_per_second;
            sum.cpu_percent += view.process.cpu_percent;
            sum.resident_bytes += view.process.resident_bytes;
            sum.applied = sum.applied.max(view.commits.applied);
            sum.proxied_per_second += view.cluster.proxied_per_second;
            sum.unreachable_per_second += view.cluster.unreachable_per_second;
            sum.stale += usize::from(view.cluster.stale);
        }
        Self { sum, nodes }
    }

    /// Returns the width of the column of states.
    fn state_width(&self) -> u16 {
        let longest = self.nodes.iter().map(|node| node.state().chars().count()).max().unwrap_or(0);
        u16::try_from(longest).unwrap_or(STATE_MAX).clamp(STATE_MIN, STATE_MAX)
    }

    fn draw(&self, frame: &mut Frame<'_>) {
        let [title, table, keys] =
            Layout::vertical([Constraint::Length(1), Constraint::Min(1), Constraint::Length(1)])
                .areas(frame.area());
        let heading = format!(
            " NetBit  {} of {} nodes answer  commit {}",
            self.sum.answering,
            self.nodes.len(),
            self.sum.applied
        );
        let bold = Style::new().add_modifier(Modifier::BOLD);
        frame.render_widget(Paragraph::new(heading).style(bold), title);
        frame.render_widget(Paragraph::new(KEYS).style(reversed(Color::Cyan)), keys);
        let titles = TITLES.iter().enumerate().map(|(n, title)| cell((*title).to_owned(), n > 1));
        let rows = self.nodes.iter().map(|node| node.row(self.sum.applied));
        let widths = [Constraint::Min(16), Constraint::Length(self.state_width())].into_iter();
        let width =
            |title: &&str| u16::try_from(title.len().max(6)).map_or(Constraint::Min(6), Constraint::Length);
        let widths = widths.chain(TITLES.iter().skip(2).map(width));
        let rows = rows.chain(std::iter::once(self.sum.row().style(bold)));
        let drawn = Table::new(rows, widths).header(Row::new(titles).style(reversed(Color::Green)));
        frame.render_widget(drawn.column_spacing(1), table);
    }
}

impl Sums {
    fn row(&self) -> Row<'static> {
        let texts = [
            "all".to_owned(),
            String::new(),
            count(self.sessions),
            count(self.commits_per_second),
            String::new(),
            String::new(),
            String::new(),
            String::new(),
            String::new(),
            String::new(),
            String::new(),
            count(self.proxied_per_second),
            count(self.unreachable_per_second),
            count(self.http_per_second),
            count(self.http_errors_per_second),
            format!("{:.0}", self.cpu_percent),
            bytes(self.resident_bytes),
        ];
        Row::new(texts.into_iter().enumerate().map(|(n, text)| cell(text, n > 1)))
    }
}

impl Node {
    /// Returns whether the node is ready, or the reason why it is not.
    fn state(&self) -> String {
        match (&self.lost, &self.view) {
            (Some(cause), _) => format!("no answer: {cause}"),
            (None, None) => "reading…".to_owned(),
            (None, Some(view)) if view.ready && !view.cluster.stale && view.commits.read_only => {
                "READ-ONLY".to_owned()
            }
            (None, Some(view)) => view.state().to_owned(),
        }
    }

    /// Returns the row; `newest` is the newest commit of any node.
    fn row(&self, newest: f64) -> Row<'static> {
        let (Some(view), None) = (&self.view, &self.lost) else {
            let cells = [cell(self.ops.clone(), false), cell(self.state(), false)];
            return Row::new(cells).style(Style::new().fg(Color::Red));
        };
        let (cluster, nodes) = (&view.cluster, view.commits.nodes);
        let bus = match cluster.bus_up {
            true => "up",
            false if nodes > 1.0 => "DOWN",
            false => "-",
        };
        let texts = [
            self.ops.clone(),
            self.state(),
            count(sessions(view)),
            count(view.commits.per_second),
            count(view.commits.remote_per_second),
            view.commits.lock_p99_us.map_or_else(|| "-".to_owned(), time),
            count(newest - view.commits.applied),
            time(cluster.tail_lag_s * 1e6),
            count(nodes),
            if cluster.chores { "yes" } else { "-" }.to_owned(),
            bus.to_owned(),
            count(cluster.proxied_per_second),
            count(cluster.unreachable_per_second),
            count(view.http.per_second),
            count(view.http.errors_per_second),
            format!("{:.0}", view.process.cpu_percent),
            bytes(view.process.resident_bytes),
        ];
        Row::new(texts.into_iter().enumerate().map(|(n, text)| cell(text, n > 1)))
    }
}

fn sessions(view: &View) -> f64 {
    view.sessions.tcp + view.sessions.websocket
}

/// Reads all nodes at once.
struct Sources {
    sources: Vec<(String, Source, Option<Reading>)>,
}

impl Sources {
    fn new(arguments: &TopArguments) -> anyhow::Result<Self> {
        let source = |ops: &crate::core::config::Listen| Ok((ops.to_string(), Source::new(ops)?, None));
        Ok(Self { sources: arguments.ops.iter().map(source).collect::<anyhow::Result<_>>()? })
    }

    async fn read(&mut self) -> Nodes {
        let readings = self.sources.iter().map(|(_, source, _)| source.read());
        let readings = futures_util::future::join_all(readings).await;
        let nodes = std::iter::zip(&mut self.sources, readings).map(|((ops, _, before), reading)| {
            let ops = ops.clone();
            match reading {
                Ok(after) => {
                    let view = before
                        .as_ref()
                        .map(|before| View::between(&before.scrape, &after.scrape, after.at - before.at));
                    *before = Some(after);
                    Node { ops, lost: None, view }
                }
                Err(error) => Node { ops, lost: Some(error.cause), view: None },
            }
        });
        Nodes::new(nodes.collect())
    }
}

/// Reads twice and prints the difference.
pub(super) fn once(arguments: &TopArguments, runtime: &Runtime) -> anyhow::Result<()> {
    let mut sources = Sources::new(arguments)?;
    let nodes = runtime.block_on(async {
        sources.read().await;
        tokio::time::sleep(Duration::from_secs(arguments.interval)).await;
        sources.read().await
    });
    anyhow::ensure!(nodes.sum.answering > 0, "no node answers");
    if arguments.json {
        print_line!("{}", serde_json::to_string_pretty(&nodes)?)?;
    } else {
        let height = u16::try_from(nodes.nodes.len() + 4).unwrap_or(u16::MAX);
        print_line!("{}", as_text((WIDTH + nodes.state_width(), height), |frame| nodes.draw(frame))?)?;
    }
    Ok(())
}

/// Shows the table until a key ends it.
pub(super) fn watch(arguments: &TopArguments, runtime: &Runtime) -> anyhow::Result<()> {
    let mut sources = Sources::new(arguments)?;
    let mut nodes = runtime.block_on(sources.read());
    let mut read_at = Instant::now();
    let mut terminal = ratatui::try_init().context("standard output is not a terminal: use --once")?;
    let outcome = loop {
        if let Err(error) = terminal.draw(|frame| nodes.draw(frame)) {
            break Err(error.into());
        }
        match quits() {
            Ok(true) => break Ok(()),
            Ok(false) => {}
            Err(error) => break Err(error),
        }
        if read_at.elapsed() >= Duration::from_secs(arguments.interval) {
            nodes = runtime.block_on(sources.read());
            read_at = Instant::now();
        }
    };
    ratatui::restore();
    outcome
}

/// Waits up to `KEY_WAIT` for a key; returns whether it ends the program.
fn quits() -> anyhow::Result<bool> {
    if !event::poll(KEY_WAIT)? {
        return Ok(false);
    }
    let Event::Key(key) = event::read()? else { return Ok(false) };
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    Ok(key.kind == KeyEventKind::Press
        && match key.code {
            KeyCode::Char('q') | KeyCode::Esc | KeyCode::F(10) => true,
            KeyCode::Char('c') => control,
            _ => false,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::metrics::Scrape;

    fn node(ops: &str, commits: u64, applied: u64, more: &str) -> Node {
        let scrape = |commits: u64| {
            Scrape::parse(&format!(
                "netbit_ready 1\nnetbit_sessions{{transport=\"tcp\"}} 40\nnetbit_applied_commit {applied}\n\
                 netbit_commit_seconds_count {commits}\nnetbit_nodes 3\n{more}\n"
            ))
        };
        let view = View::between(&scrape(0), &scrape(commits), Duration::from_secs(2));
        Node { ops: ops.to_owned(), lost: None, view: Some(view) }
    }

    #[test]
    fn table_has_a_row_for_each_node_and_their_sum() {
        let lost = Node { ops: "c:8083".into(), lost: Some("connection refused".into()), view: None };
        let nodes = Nodes::new(vec![node("a:8083", 20, 107, ""), node("b:8083", 40, 100, ""), lost]);
        assert_eq!((nodes.sum.answering, nodes.sum.sessions), (2, 80.0));
        assert_eq!((nodes.sum.commits_per_second, nodes.sum.applied), (30.0, 107.0));
        let text = as_text((WIDTH + nodes.state_width(), 10), |frame| nodes.draw(frame)).unwrap();
        let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap().to_owned();
        let words = |start: &str| line(start).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words("a:8083")[..6], ["a:8083", "ready", "40", "10", "0", "-"]);
        // 7 commits behind the newest.
        assert_eq!(words("b:8083")[3..7], ["20", "0", "-", "7"]);
        assert!(line("c:8083").contains("no answer: connection refused"), "{text}");
        assert_eq!(words("all")[..3], ["all", "80", "30"]);
        assert!(text.contains("2 of 3 nodes answer  commit 107"), "{text}");
    }

    #[test]
    fn row_has_the_metrics_of_a_cluster() {
        let stale_state = "STALE: PostgreSQL does not answer";
        let up = "netbit_bus_up 1\nnetbit_chores 1\nnetbit_tail_lag_seconds 0.15\n\
             netbit_proxied_total{outcome=\"answered\"} 8";
        let stale = "netbit_bus_up 0\nnetbit_stale 1\nnetbit_tail_lag_seconds 4.5";
        let nodes = Nodes::new(vec![node("a:8083", 20, 107, up), node("b:8083", 40, 100, stale)]);
        assert_eq!(nodes.sum.stale, 1);
        let text = as_text((WIDTH + nodes.state_width(), 10), |frame| nodes.draw(frame)).unwrap();
        let words = |start: &str| {
            let line = text.lines().find(|line| line.starts_with(start)).unwrap();
            line.replace(stale_state, "STALE").split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(words("a:8083")[6..11], ["0", "150ms", "3", "yes", "up"], "{text}");
        assert_eq!(words("b:8083")[1], "STALE");
        assert_eq!(words("b:8083")[6..11], ["7", "4.50s", "3", "-", "DOWN"], "{text}");
    }

    #[test]
    fn row_has_the_reason_why_a_node_is_not_ready() {
        let state = |more: &str| {
            let nodes = Nodes::new(vec![node("a:8083", 20, 107, more)]);
            let text = as_text((WIDTH + nodes.state_width(), 10), |frame| nodes.draw(frame)).unwrap();
            let line = text.lines().find(|line| line.starts_with("a:8083")).unwrap();
            line.trim_start_matches("a:8083").trim_start().split("  ").next().unwrap().to_owned()
        };
        // The second sample adds to the first, which is 1.
        let not_ready = "netbit_ready -1";
        assert_eq!(state(""), "ready");
        assert_eq!(state("netbit_read_only 1"), "READ-ONLY");
        assert_eq!(state(not_ready), "NOT READY: starting");
        assert_eq!(state(&format!("{not_ready}\nnetbit_stopping 1")), "NOT READY: stopping");
        assert_eq!(state("netbit_stale 1"), "STALE: PostgreSQL does not answer");
    }
}
