//! `loadtest`: drives a NetBit server, measures it, and fails on a lost, doubled or reordered message.
//!
//! One subcommand per scenario. A scenario starts a server of its own on a temporary directory (this program again, as
//! its own child) unless it is told to drive a given one, and speaks to it through `netbit::client` only.
//!
//! The exit code is 0 when everything was correct, 1 when it was not: numbers are reported, and never a reason to fail.
#![allow(clippy::print_stdout, reason = "a command speaks to the person who typed it")]

mod checker;
mod content;
mod report;
mod scenario;
mod server;
mod usage;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, set_parent_process_death_signal, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use crate::report::Report;
use crate::scenario::Messages;

/// The server's own: what the child is measured with must be what users run.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Drives a NetBit server, measures it, and fails on a lost, doubled or reordered message.
#[derive(Parser)]
#[command(name = "loadtest", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Many sessions in the same chats: some write, everybody reads everything.
    Messages(MessagesArguments),
    /// NetBit's own command line: what the child process runs.
    #[command(hide = true)]
    Server {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

#[derive(Args)]
struct MessagesArguments {
    #[command(flatten)]
    load: Messages,
    /// Give up after so many seconds, and fail.
    #[arg(long, default_value_t = 300)]
    timeout: u64,
    /// Drive this server (like http://127.0.0.1:8080, on this machine only) instead of starting one.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Write the figures to this file, too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Server { arguments } => return serve(arguments),
        Command::Messages(arguments) => messages(&arguments),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("loadtest: {error:#}");
        ExitCode::FAILURE
    })
}

/// The child: nothing but `netbit`, which ends with its parent, however that ends.
fn serve(arguments: Vec<OsString>) -> ExitCode {
    if let Err(error) = set_parent_process_death_signal(Some(Signal::TERM)) {
        eprintln!("loadtest: the server would outlive a killed load test: {error}");
    }
    netbit::cli::run(std::iter::once(OsString::from("netbit")).chain(arguments))
}

fn messages(arguments: &MessagesArguments) -> anyhow::Result<ExitCode> {
    arguments.load.check()?;
    raise_file_limit();
    // One thread: the generator leaves the other cores to the server, and its sessions share plain data.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(tokio::task::LocalSet::new().run_until(async {
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let patience = Duration::from_secs(arguments.timeout);
        // Whatever ends first, the child does not outlive this: it is killed when it is dropped.
        tokio::select! {
            report = arguments.load.run(arguments.server.as_deref(), patience) => report,
            _ = terminate.recv() => bail!("terminated"),
            _ = interrupt.recv() => bail!("interrupted"),
        }
    }))?;
    print!("{report}");
    if let Some(file) = &arguments.json {
        write(file, &report)?;
    }
    Ok(if report.ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn write(file: &Path, report: &Report) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(&report.to_json())?;
    std::fs::write(file, text + "\n").with_context(|| format!("cannot write {}", file.display()))
}

/// Each session is a file descriptor: take as many as the system allows.
fn raise_file_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        eprintln!("loadtest: the limit of open files stays {current:?}: {error}");
    }
}
