//! The screen: meters at the top, mailboxes below, keys at the bottom, in the layout of htop.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use ratatui::Frame;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row, Table};

use super::view::{Load, View};

/// Points of a sparkline.
const HISTORY: usize = 60;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Width of the columns before the sparkline, with the gaps between them.
const TABLE_WIDTH: u16 = 23 + 5 + 5 + 6 + 7 + 7 + 6 + 4 + 8;
/// Lines of meters.
const METERS: u16 = 6;
const KEYS: &str = " q Quit  Space Pause  b Busy  w Wait  d Depth  r Rate  n Name  +/- Interval  ↑↓ Scroll";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Busy,
    Wait,
    Depth,
    Rate,
    Name,
}

/// State of the screen: the last view and how it is shown.
pub(super) struct Screen {
    server: String,
    seconds: u64,
    view: Option<View>,
    /// Depths of the actors, newest last.
    depths: BTreeMap<String, VecDeque<f64>>,
    order: Order,
    paused: bool,
    lost: Option<String>,
    skipped: usize,
}

impl Screen {
    pub(super) fn new(server: String, seconds: u64) -> Self {
        Self {
            server,
            seconds,
            view: None,
            depths: BTreeMap::new(),
            order: Order::Busy,
            paused: false,
            lost: None,
            skipped: 0,
        }
    }

    pub(super) fn show(&mut self, view: View) {
        for actor in &view.actors {
            let history = self.depths.entry(actor.actor.clone()).or_default();
            history.push_back(actor.inside.unwrap_or(0.0).max(actor.load.depth));
            if history.len() > HISTORY {
                history.pop_front();
            }
        }
        self.view = Some(view);
        self.lost = None;
    }

    /// Shows that the server does not answer.
    pub(super) fn lost(&mut self, why: &str) {
        self.lost = Some(why.to_owned());
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused
    }

    pub(super) fn interval(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    pub(super) fn press(&mut self, letter: char) {
        match letter {
            'b' => self.order = Order::Busy,
            'w' => self.order = Order::Wait,
            'd' => self.order = Order::Depth,
            'r' => self.order = Order::Rate,
            'n' => self.order = Order::Name,
            ' ' => self.paused = !self.paused,
            '+' => self.seconds = (self.seconds + 1).min(super::SECONDS_MAX),
            '-' => self.seconds = self.seconds.saturating_sub(1).max(1),
            _ => {}
        }
    }

    pub(super) fn scroll(&mut self, lines: isize) {
        let last = self.view.as_ref().map_or(0, |view| view.messages.len().saturating_sub(1));
        self.skipped = self.skipped.saturating_add_signed(lines).min(last);
    }

    /// Renders the screen as text for a terminal of this size.
    pub(super) fn as_text(&self, width: u16, height: u16) -> anyhow::Result<String> {
        as_text((width, height), |frame| self.draw(frame))
    }

    pub(super) fn draw(&self, frame: &mut Frame<'_>) {
        let areas = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(METERS),
            Constraint::Min(1),
            Constraint::Length(1),
        ]);
        let [title, meters, table, keys] = areas.areas(frame.area());
        frame.render_widget(
            Paragraph::new(self.title()).style(Style::new().add_modifier(Modifier::BOLD)),
            title,
        );
        frame.render_widget(Paragraph::new(KEYS).style(reversed(Color::Cyan)), keys);
        if let Some(view) = &self.view {
            draw_meters(frame, meters, view);
            self.draw_table(frame, table, view);
        } else {
            frame.render_widget(Paragraph::new("reading…"), table);
        }
    }

    fn title(&self) -> String {
        let state = match (&self.view, &self.lost) {
            (_, Some(why)) => format!("LOST: {why}"),
            (None, None) => String::new(),
            (Some(view), None) => {
                format!("{}  up {}", view.state(), clock(view.uptime_s))
            }
        };
        let version = self.view.as_ref().map_or("", |view| view.version.as_str());
        let pace = if self.paused { "paused".to_owned() } else { format!("every {} s", self.seconds) };
        format!(" NetBit {version}  {}  {state}  {pace}", self.server)
    }

    fn draw_table(&self, frame: &mut Frame<'_>, area: Rect, view: &View) {
        let widths = [
            Constraint::Length(23),
            Constraint::Length(5),
            Constraint::Length(5),
            Constraint::Length(6),
            Constraint::Length(7),
            Constraint::Length(7),
            Constraint::Length(6),
            Constraint::Length(4),
            Constraint::Min(2),
        ];
        let titles =
            ["ACTOR message", "DEPTH", "MAX", "PER S", "WAIT", "HANDLE", "BUSY%", "REFD", "OVER TIME"];
        let heading = titles
            .iter()
            .enumerate()
            .map(|(column, title)| cell((*title).to_owned(), column > 0 && column < 8));
        let heading = Row::new(heading).style(reversed(Color::Green));
        let spark_width = usize::from(area.width.saturating_sub(TABLE_WIDTH));
        let actors = view.actors.iter().map(|actor| {
            let history = self.depths.get(&actor.actor);
            let spark = history.map(|history| sparkline(history, spark_width.max(4))).unwrap_or_default();
            let style = if actor.panics > 0.0 || actor.load.refused > 0.0 {
                Style::new().fg(Color::Red).add_modifier(Modifier::BOLD)
            } else {
                Style::new().add_modifier(Modifier::BOLD)
            };
            row(actor.actor.clone(), &actor.load, spark).style(style)
        });
        let mut sorted: Vec<_> = view.messages.iter().collect();
        let key = |load: &Load| match self.order {
            Order::Busy => load.busy_percent,
            Order::Wait => load.wait_us,
            Order::Depth => load.depth,
            Order::Rate => load.per_second,
            Order::Name => 0.0,
        };
        sorted.sort_by(|one, other| key(&other.load).total_cmp(&key(&one.load)));
        let messages = sorted.into_iter().skip(self.skipped).map(|message| {
            row(format!("  {} {}", short(&message.actor), message.message), &message.load, String::new())
        });
        let table = Table::new(actors.chain(messages), widths).header(heading).column_spacing(1);
        frame.render_widget(table, area);
    }
}

/// Renders a screen as text for a terminal of this size.
pub(super) fn as_text(
    (width, height): (u16, u16),
    draw: impl FnOnce(&mut Frame<'_>),
) -> anyhow::Result<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height))?;
    terminal.draw(draw)?;
    let buffer = terminal.backend().buffer();
    let line =
        |y| (0..width).filter_map(|x| buffer.cell((x, y)).map(|cell| cell.symbol())).collect::<String>();
    let lines: Vec<_> = (0..height).map(|y| line(y).trim_end().to_owned()).collect();
    Ok(lines.join("\n").trim_end().to_owned())
}

pub(super) fn reversed(color: Color) -> Style {
    Style::new().fg(Color::Black).bg(color)
}

pub(super) fn cell(text: String, number: bool) -> Cell<'static> {
    let line = Line::from(text);
    Cell::from(if number { line.right_aligned() } else { line })
}

/// Returns a prefix of an actor's name that distinguishes it from other actors.
fn short(actor: &str) -> &str {
    actor.get(..1).unwrap_or(actor)
}

fn row(name: String, load: &Load, spark: String) -> Row<'static> {
    let numbers = [
        count(load.depth),
        count(load.depth_max),
        count(load.per_second),
        time(load.wait_us),
        time(load.handling_us),
        format!("{:.1}", load.busy_percent),
        count(load.refused),
    ];
    let cells = std::iter::once(cell(name, false)).chain(numbers.into_iter().map(|text| cell(text, true)));
    Row::new(cells.chain(std::iter::once(cell(spark, false))))
}

fn draw_meters(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let [left, right] = Layout::horizontal([Constraint::Percentage(42), Constraint::Min(20)]).areas(area);
    let width = usize::from(left.width.saturating_sub(12));
    let process = &view.process;
    let mut bars =
        vec![bar("CPU", process.cpu_percent, cores() * 100.0, format!("{:.0}%", process.cpu_percent), width)];
    for actor in &view.actors {
        if let (Some(capacity), Some(inside)) = (actor.capacity, actor.inside) {
            bars.push(bar(
                &actor.actor,
                inside,
                capacity,
                format!("{}/{}", count(inside), count(capacity)),
                width,
            ));
        }
    }
    let fds = format!("{}/{}", count(process.open_fds), count(process.max_fds));
    bars.push(bar("files", process.open_fds, process.max_fds, fds, width));
    frame.render_widget(Paragraph::new(bars), left);

    let (sessions, commits, cache, http) = (&view.sessions, &view.commits, &view.cache, &view.http);
    let quantile = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), time);
    let state = if commits.read_only { "  READ-ONLY" } else { "" };
    let facts = [
        (
            "Memory",
            format!(
                "{}  {} threads  disk {} free{state}",
                bytes(process.resident_bytes),
                count(process.threads),
                bytes(commits.disk_free_bytes)
            ),
        ),
        (
            "Sessions",
            format!(
                "tcp {}  ws {}  slow {}  out {}/s",
                count(sessions.tcp),
                count(sessions.websocket),
                count(sessions.slow_readers),
                count(sessions.frames_out_per_second)
            ),
        ),
        (
            "Commits",
            format!(
                "{}/s {} cmd/s p50 {} p99 {}",
                count(commits.per_second),
                count(commits.commands_per_second),
                quantile(commits.p50_us),
                quantile(commits.p99_us)
            ),
        ),
        (
            "Disk",
            format!(
                "fsync p99 {}  {}",
                quantile(commits.sync_p99_us),
                if commits.nodes > 0.0 {
                    let (nodes, lock) = (count(commits.nodes), quantile(commits.lock_p99_us));
                    format!("nodes {nodes}  lock p99 {lock}")
                } else {
                    format!("log {}  db {}", bytes(commits.wal_bytes), bytes(commits.database_bytes))
                }
            ),
        ),
        (
            "Cache",
            format!(
                "{} hits  {}/s  windows {}",
                cache.hit_percent.map_or_else(|| "-".to_owned(), |hits| format!("{hits:.1}%")),
                count(cache.per_second),
                bytes(cache.window_bytes)
            ),
        ),
        (
            "HTTP git",
            format!(
                "{}/s  5xx {}  p99 {}  git {} {}/s",
                count(http.per_second),
                count(http.errors_per_second),
                quantile(http.p99_us),
                count(view.git.children),
                bytes(view.git.bytes_in_per_second + view.git.bytes_out_per_second)
            ),
        ),
    ];
    let lines = facts.map(|(name, fact)| {
        Line::from(vec![Span::styled(format!("{name:>8} "), Style::new().fg(Color::Cyan)), Span::raw(fact)])
    });
    frame.render_widget(Paragraph::new(lines.to_vec()), right);
}

/// `name [||||    text]`
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the width")]
fn bar(name: &str, value: f64, most: f64, text: String, width: usize) -> Line<'static> {
    let share = if most > 0.0 { (value / most).clamp(0.0, 1.0) } else { 0.0 };
    let room = width.saturating_sub(text.chars().count());
    let filled = ((share * width as f64).round() as usize).min(room);
    let color = if share > 0.8 {
        Color::Red
    } else if share > 0.5 {
        Color::Yellow
    } else {
        Color::Green
    };
    Line::from(vec![
        Span::styled(format!("{name:>8} "), Style::new().fg(Color::Cyan)),
        Span::raw("["),
        Span::styled("|".repeat(filled), Style::new().fg(color)),
        Span::raw(" ".repeat(room - filled)),
        Span::styled(text, Style::new().add_modifier(Modifier::DIM)),
        Span::raw("]"),
    ])
}

/// Returns the newest values that fit, each scaled to the highest value.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 7")]
fn sparkline(history: &VecDeque<f64>, width: usize) -> String {
    let shown = history.iter().skip(history.len().saturating_sub(width));
    let highest = shown.clone().fold(1.0, |highest: f64, value| highest.max(*value));
    shown.filter_map(|value| BARS.get(((value / highest * 7.0).round() as usize).min(7))).collect()
}

#[expect(clippy::cast_precision_loss, reason = "few cores")]
fn cores() -> f64 {
    std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64)
}

pub(super) fn count(value: f64) -> String {
    match value {
        value if value >= 1e7 => format!("{:.0}M", value / 1e6),
        value if value >= 1e6 => format!("{:.1}M", value / 1e6),
        value if value >= 1e5 => format!("{:.0}k", value / 1e3),
        value if value < 10.0 && value.fract() > 0.05 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}

/// Formats microseconds.
pub(super) fn time(us: f64) -> String {
    match us {
        us if us >= 1e6 => format!("{:.2}s", us / 1e6),
        us if us >= 1e4 => format!("{:.0}ms", us / 1e3),
        us if us >= 1e3 => format!("{:.1}ms", us / 1e3),
        us => format!("{us:.0}us"),
    }
}

pub(super) fn bytes(value: f64) -> String {
    match value {
        value if value >= 1_073_741_824.0 => format!("{:.1}G", value / 1_073_741_824.0),
        value if value >= 1_048_576.0 => format!("{:.0}M", value / 1_048_576.0),
        value if value >= 1024.0 => format!("{:.0}K", value / 1024.0),
        value => format!("{value:.0}B"),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds since the start")]
fn clock(seconds: f64) -> String {
    let seconds = seconds as u64;
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
