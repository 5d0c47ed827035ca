//! `netbit chat`: a chat client in the terminal.
//!
//! The client uses the public interfaces: REST to log in and for commands, a TCP session (WebSocket
//! with TLS) for messages. Modules:
//!
//! * [`model`]: state of the client, free of I/O.
//! * [`session`]: applies typed lines ([`commands`], [`actions`]) and packets of the server
//!   ([`incoming`]) to the model.
//! * [`outgoing`]: messages that are not acknowledged yet.
//! * [`link`] and [`rest`]: the two ways to the server.
//! * [`line`], [`text`] and [`screen`]: output to the terminal, cleaned of everything but text.

mod actions;
mod commands;
mod directory;
mod export;
mod incoming;
mod keys;
mod line;
mod link;
mod list;
mod model;
#[cfg(test)]
mod model_test;
mod outgoing;
mod people;
mod recent;
mod rest;
mod screen;
mod session;
mod text;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use clap::{Args, Subcommand};

use self::line::{Line, render};
use self::link::{OpenError, Wire};
use self::model::Model;
use self::rest::{Rest, RestError};
use self::session::{Session, Stop};
use super::output::report_error;
use super::remote::{ServerFlag, password};

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct ChatArguments {
    #[command(subcommand)]
    command: Option<ChatSubcommand>,
    #[command(flatten)]
    server: ServerFlag,
    /// Your user name on the server.
    #[arg(long, value_name = "NAME", required = true, default_value = "", hide_default_value = true)]
    user: String,
    /// Read the password from the first line of this file instead of asking for it.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
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
    let server = arguments.server.open()?;
    let (base, http) = (&server.base, &server.http);
    // Reach the server before asking for the password: the user should not type it in vain.
    let info = http.server().await.map_err(|error| failed(base, error.into()))?;
    let password = password(&arguments.user, arguments.password_file.as_deref())?;
    let account = http.login(&arguments.user, &password).await;
    let account = account.map_err(|error| failed("the login failed", error.into()))?;
    drop(password);
    let model = Model::new(account.user.id, account.user.username.clone());
    let rest = Rest::new(http, account);
    let (wire, welcome) = Wire::open(&rest, &server.host).await.map_err(|error| match error {
        OpenError::Token => anyhow!("the server refuses the token that it has just issued"),
        OpenError::Failed(reason) => anyhow!(text::clean_line(&reason)),
    })?;

    let (mut screen, input) = screen::open();
    let version = info.get("version").and_then(serde_json::Value::as_str).unwrap_or("(unknown version)");
    let greeting =
        format!("NetBit {version} at {base}, as {}. /help lists the commands.", model.name(model.me));
    screen.show(&[Line::Info(greeting)])?;
    let mut session = Session::new((screen, input), model, (wire, rest), server.host);
    match session.run(&welcome).await {
        Ok(true) => Ok(ExitCode::SUCCESS),
        Ok(false) => Ok(ExitCode::FAILURE),
        Err(Stop::LoginNeeded) => bail!("the login is not valid any more: run the command again to log in"),
        // The reader of standard output has closed it: `netbit chat | head`.
        Err(Stop::Screen(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(ExitCode::FAILURE),
        Err(Stop::Screen(error)) => Err(error).context("cannot write to the terminal"),
    }
}

/// Converts an error of the server. Its text is untrusted, so it is cleaned.
fn failed(what: &str, error: RestError) -> anyhow::Error {
    let reason = match error {
        RestError::LoginNeeded => "the login is not valid".to_owned(),
        RestError::Failed { reason, .. } => reason,
    };
    anyhow!(render(&Line::Info(format!("{what}: {reason}")), false))
}
