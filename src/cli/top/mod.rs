//! `netbit top`: shows live metrics of a server. It reads `/metrics` of the operations listener and
//! shows the difference between two readings; the same metrics are available to Prometheus.
//!
//! Several `--ops` show a table of nodes with their sums ([`nodes`]).
//!
//! [`view`] turns two readings into numbers, [`screen`] draws them; this module reads, waits for
//! keys and ends.

mod nodes;
mod screen;
#[cfg(test)]
mod screen_test;
mod view;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};

use self::screen::Screen;
use self::view::View;
use super::ConfigFlag;
use super::output::{print_line, report_error};
use crate::client::metrics::Scrape;
use crate::client::root_cause;
use crate::core::config::Listen;

/// Timeout of a reading.
const PATIENCE: Duration = Duration::from_secs(5);
/// Maximum delay between a key and its effect.
const KEY_WAIT: Duration = Duration::from_millis(100);
const SECONDS_MAX: u64 = 60;

#[derive(Args)]
pub(super) struct TopArguments {
    #[command(flatten)]
    configuration: ConfigFlag,
    /// Operations listener of the server; by default the configured one. Several, separated by
    /// commas, show the nodes of a cluster.
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',')]
    ops: Vec<Listen>,
    /// Seconds between two readings.
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=SECONDS_MAX))]
    interval: u64,
    /// Read twice, print the difference, and end.
    #[arg(long)]
    once: bool,
    /// With --once: print JSON.
    #[arg(long, requires = "once")]
    json: bool,
}

/// One reading.
struct Reading {
    at: Instant,
    scrape: Scrape,
}

/// A reading that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot read metrics from {url}: {cause}; --ops names another address")]
struct Lost {
    url: String,
    cause: String,
}

/// Reads the metrics of one server.
struct Source {
    client: reqwest::Client,
    url: String,
}

impl Source {
    fn new(ops: &Listen) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build()?;
        Ok(Self { client, url: format!("http://{ops}/metrics") })
    }

    async fn read(&self) -> Result<Reading, Lost> {
        let read = async {
            let answer = self.client.get(&self.url).send().await?.error_for_status()?;
            answer.text().await
        };
        let text = read.await.map_err(|error: reqwest::Error| {
            let cause = root_cause(&error.without_url());
            Lost { url: self.url.clone(), cause }
        })?;
        Ok(Reading { at: Instant::now(), scrape: Scrape::parse(&text) })
    }
}

impl TopArguments {
    /// Returns `--ops`, or the address of the configuration. A wildcard address becomes the
    /// loopback address.
    fn address(&self) -> Result<Listen, ExitCode> {
        if let Some(ops) = self.ops.first() {
            return Ok(ops.clone());
        }
        Ok(match self.configuration.load(None)?.ops.listen {
            Listen::Address(mut address) if address.ip().is_unspecified() => {
                let loopback =
                    if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
                address.set_ip(loopback);
                Listen::Address(address)
            }
            configured => configured,
        })
    }
}

pub(super) fn run(arguments: &TopArguments) -> Result<ExitCode, ExitCode> {
    let ops = &arguments.address()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| report_error(&error.into()))?;
    let outcome = match (arguments.ops.len() > 1, arguments.once) {
        (true, true) => nodes::once(arguments, &runtime),
        (true, false) => nodes::watch(arguments, &runtime),
        (false, true) => once(arguments, ops, &runtime),
        (false, false) => watch(arguments, ops, &runtime),
    };
    outcome.map(|()| ExitCode::SUCCESS).map_err(|error| report_error(&error))
}

fn once(arguments: &TopArguments, ops: &Listen, runtime: &tokio::runtime::Runtime) -> anyhow::Result<()> {
    let source = Source::new(ops)?;
    let view = runtime.block_on(async {
        let before = source.read().await?;
        tokio::time::sleep(Duration::from_secs(arguments.interval)).await;
        let after = source.read().await?;
        anyhow::Ok(View::between(&before.scrape, &after.scrape, after.at - before.at))
    })?;
    if arguments.json {
        print_line!("{}", serde_json::to_string_pretty(&view)?)?;
    } else {
        let mut screen = Screen::new(ops.to_string(), arguments.interval);
        screen.show(view);
        print_line!("{}", screen.as_text(100, 40)?)?;
    }
    Ok(())
}

fn watch(arguments: &TopArguments, ops: &Listen, runtime: &tokio::runtime::Runtime) -> anyhow::Result<()> {
    let source = Source::new(ops)?;
    // The first reading precedes the screen: an error of it must appear on the ordinary terminal.
    let mut before = runtime.block_on(source.read())?;
    let mut screen = Screen::new(ops.to_string(), arguments.interval);
    let mut terminal = ratatui::try_init().context("standard output is not a terminal: use --once")?;
    let outcome = loop {
        if let Err(error) = terminal.draw(|frame| screen.draw(frame)) {
            break Err(error.into());
        }
        match take_key(&mut screen) {
            Ok(true) => {}
            Ok(false) => break Ok(()),
            Err(error) => break Err(error),
        }
        if screen.is_paused() || before.at.elapsed() < screen.interval() {
            continue;
        }
        match runtime.block_on(source.read()) {
            Ok(after) => {
                screen.show(View::between(&before.scrape, &after.scrape, after.at - before.at));
                before = after;
            }
            // The server may be restarting: the next reading tries again.
            Err(error) => {
                screen.lost(&format!("{error:#}"));
                before.at = Instant::now();
            }
        }
    };
    ratatui::restore();
    outcome
}

/// Waits up to `KEY_WAIT` for a key; returns `false` to quit.
fn take_key(screen: &mut Screen) -> anyhow::Result<bool> {
    if !event::poll(KEY_WAIT)? {
        return Ok(true);
    }
    let Event::Key(key) = event::read()? else { return Ok(true) };
    if key.kind != KeyEventKind::Press {
        return Ok(true);
    }
    match key.code {
        KeyCode::Char('q') | KeyCode::Esc | KeyCode::F(10) => return Ok(false),
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return Ok(false),
        KeyCode::Char(letter) => screen.press(letter),
        KeyCode::Down => screen.scroll(1),
        KeyCode::Up => screen.scroll(-1),
        KeyCode::PageDown => screen.scroll(10),
        KeyCode::PageUp => screen.scroll(-10),
        _ => {}
    }
    Ok(true)
}
