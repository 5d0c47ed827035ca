//! `loadtest`: drives a NetBit server, measures it, and fails on a lost, doubled or reordered
//! message.
//!
//! Each scenario has a subcommand. A scenario starts its own server in a temporary directory: this
//! program again, as a child process. It also starts the [`floor`], a server that does the same
//! with nothing around it. Both are measured in turn in one run, and the report shows the ratio.
//!
//! The exit code is 0 when everything was correct and 1 when it was not. Measured values never fail
//! a run.
#![allow(clippy::print_stdout, reason = "a command prints its results")]

mod arguments;
mod floor;
mod messages;
mod redis;
mod report;
mod scenario;
mod servers;
mod team;
mod wire;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use crate::arguments::{Arguments, Command, MessagesArguments, ScenarioCommand};

/// Uses the allocator of the server, so that the measured child runs what users run.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Server { arguments } => return serve(arguments),
        Command::FloorServer { directory } => {
            servers::exit_with_parent();
            floor::serve(directory).map(|()| ExitCode::SUCCESS)
        }
        Command::Messages(arguments) => messages(&arguments),
        Command::Scenario(scenario) => measure(&scenario),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("loadtest: {error:#}");
        ExitCode::FAILURE
    })
}

/// Runs the child: `netbit` and nothing else.
fn serve(arguments: Vec<OsString>) -> ExitCode {
    netbit::core::memory::disable_huge_pages();
    servers::exit_with_parent();
    netbit::cli::run(std::iter::once(OsString::from("netbit")).chain(arguments))
}

fn messages(arguments: &MessagesArguments) -> anyhow::Result<ExitCode> {
    arguments.load.check()?;
    let timeout = Duration::from_secs(arguments.timeout);
    let report = block_on(arguments.load.run(arguments.server.as_deref(), timeout))?;
    print!("{report}");
    if let Some(file) = &arguments.json {
        write(file, &report.to_json())?;
    }
    Ok(if report.ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs scenarios one after the other, prints a table, and writes the requested files.
fn measure(scenario: &ScenarioCommand) -> anyhow::Result<ExitCode> {
    let (measure, options) = (scenario.measure(), scenario.options());
    let progress = ProgressBar::new(0)
        .with_style(ProgressStyle::with_template("{spinner} {pos} rounds {elapsed} {msg}")?);
    let mut summaries = Vec::new();
    for name in scenario.names() {
        summaries.extend(block_on(arguments::run(name, measure, options, &progress))?);
    }
    progress.finish_and_clear();
    let ok = summaries.iter().all(report::Summary::ok);
    if let Some(file) = &measure.json {
        write(
            file,
            &json!({"scenarios": summaries.iter().map(report::Summary::to_json).collect::<Vec<_>>()}),
        )?;
    }
    if let Some(file) = &measure.plot {
        report::plot(&summaries, file).with_context(|| format!("cannot write {}", file.display()))?;
    }
    println!("{}", if ok { "correct" } else { "WRONG" });
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs `work` on one thread, which leaves the other cores to the server and lets sessions share
/// data.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(tokio::task::LocalSet::new().run_until(async {
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        // Dropping `work` kills the child, so the child does not outlive this function.
        tokio::select! {
            done = work => done,
            _ = terminate.recv() => bail!("terminated"),
            _ = interrupt.recv() => bail!("interrupted"),
        }
    }))
}

fn write(file: &Path, what: &Value) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(what)?;
    std::fs::write(file, text + "\n").with_context(|| format!("cannot write {}", file.display()))
}

/// Raises the limit of open files to the maximum: each session uses a file descriptor.
fn raise_file_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        eprintln!("loadtest: cannot raise the limit of open files above {current:?}: {error}");
    }
}
