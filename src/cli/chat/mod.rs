//! `netbit chat`: a chat client in the terminal.
//!
//! The client uses the public interfaces: a TCP session (WebSocket with TLS) for messages and
//! history, REST to log in and for everything else. Two front ends:
//!
//! * [`full`]: the full screen, for users at a terminal.
//! * [`plain`]: lines, for pipes, scripts and screen readers (`--plain`).
//!
//! Both use [`account`] (the login), [`link`] and [`rest`] (the ways to the server), [`commands`]
//! (typed commands), [`outgoing`] (messages that are not acknowledged yet), [`attach`] (uploads),
//! [`listing`] (the list of chats), [`hits`] (results of a search), [`people`] (presence and
//! typing), [`sentence`] (descriptions of events) and [`text`] (cleaning of untrusted text).

mod account;
mod attach;
mod attached_file;
mod commands;
mod config;
mod export;
mod files;
mod full;
mod hits;
mod link;
mod list;
mod listing;
mod outgoing;
mod people;
mod plain;
mod rest;
mod sentence;
mod text;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::output::report_error;
use super::remote::ServerFlag;

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct ChatArguments {
    #[command(subcommand)]
    command: Option<ChatSubcommand>,
    #[command(flatten)]
    server: ServerFlag,
    /// Your user name on the server; by default the one of `netbit login`.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Read the password from the first line of this file instead of asking for it.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Read and write lines instead of using the full screen: for screen readers. This is the
    /// default without a terminal.
    #[arg(long)]
    plain: bool,
    /// Configuration file; by default netbit/chat.toml in the user's configuration directory.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Operator commands for chats.
#[derive(Subcommand)]
enum ChatSubcommand {
    /// List every chat of the server with its id.
    List(list::ListArguments),
    /// Write every event of a chat as JSON lines.
    Export(export::ExportArguments),
    /// Set how many of its newest messages a chat keeps.
    Retention(export::RetentionArguments),
}

pub(super) fn run(arguments: &ChatArguments) -> Result<ExitCode, ExitCode> {
    match &arguments.command {
        Some(ChatSubcommand::List(arguments)) => return list::run(arguments),
        Some(ChatSubcommand::Export(arguments)) => return export::run(arguments),
        Some(ChatSubcommand::Retention(arguments)) => return export::set_retention(arguments),
        None => {}
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| report_error(&error.into()))?;
    let ended = runtime.block_on(chat(arguments));
    // A running name lookup must not delay the exit.
    runtime.shutdown_background();
    ended.map_err(|error| report_error(&error))
}

async fn chat(arguments: &ChatArguments) -> anyhow::Result<ExitCode> {
    let has_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    if arguments.plain || !has_terminal || is_dumb {
        return plain::run(arguments).await;
    }
    full::run(arguments).await
}
