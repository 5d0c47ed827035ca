//! `netbit chat`: a chat client in the terminal.
//!
//! It speaks what everybody's clients speak: REST to log in and for commands, a TCP session for what is said. What the
//! client knows is in [`model`], free of I/O; [`session`] moves it by what is typed ([`commands`], [`actions`]) and what
//! the server sends ([`incoming`]); [`outgoing`] keeps what is not acknowledged; [`link`] and [`rest`] are the two ways to
//! the server; [`line`], [`text`] and [`screen`] bring it to the terminal, cleaned of everything but text.

mod actions;
mod commands;
mod directory;
mod export;
mod incoming;
mod keys;
mod line;
mod link;
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
use super::complain;
use super::remote::ServerFlag;

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct ChatArguments {
    #[command(subcommand)]
    command: Option<ChatCommand>,
    #[command(flatten)]
    server: ServerFlag,
    /// Who you are there.
    #[arg(long, value_name = "NAME", required = true, default_value = "", hide_default_value = true)]
    user: String,
    /// Read the password from the first line of this file instead of asking for it.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// What the operator of the server does with chats.
#[derive(Subcommand)]
enum ChatCommand {
    /// Write every event of a chat as JSON lines.
    Export(export::ExportArguments),
    /// Say how many of its newest messages a chat keeps.
    Retention(export::RetentionArguments),
}

pub(super) fn run(arguments: &ChatArguments) -> Result<ExitCode, ExitCode> {
    match &arguments.command {
        Some(ChatCommand::Export(arguments)) => return export::run(arguments),
        Some(ChatCommand::Retention(arguments)) => return export::set_retention(arguments),
        None => {}
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| complain(&error.into()))?;
    let ended = runtime.block_on(chat(arguments));
    // A name that is being looked up must not hold up the end.
    runtime.shutdown_background();
    ended.map_err(|error| complain(&error))
}

async fn chat(arguments: &ChatArguments) -> anyhow::Result<ExitCode> {
    let server = arguments.server.open()?;
    let (base, http) = (&server.base, &server.http);
    // First the server, then the password: nobody should type one for a server that is not there.
    let info = http.server().await.map_err(|error| failed(base, error.into()))?;
    let password = password(arguments)?;
    let account = http.login(&arguments.user, &password).await;
    let account = account.map_err(|error| failed("the login failed", error.into()))?;
    drop(password);
    let model = Model::new(account.user.id, account.user.username.clone());
    let rest = Rest::new(http, account);
    let (wire, welcome) = Wire::open(&rest, &server.host).await.map_err(|error| match error {
        OpenError::Token => anyhow!("the server refuses the token that it just gave"),
        OpenError::Failed(reason) => anyhow!(text::clean_line(&reason)),
    })?;

    let (mut screen, input) = screen::open();
    let version = info.get("version").and_then(serde_json::Value::as_str).unwrap_or("of unknown version");
    let greeting =
        format!("NetBit {version} at {base}, as {}. /help lists the commands.", model.name(model.me));
    screen.show(&[Line::Info(greeting)])?;
    let mut session = Session::new((screen, input), model, (wire, rest), server.host);
    match session.run(&welcome).await {
        Ok(true) => Ok(ExitCode::SUCCESS),
        Ok(false) => Ok(ExitCode::FAILURE),
        Err(Stop::LoginNeeded) => bail!("the login is not valid any more: log in again"),
        // Whoever read what we write has gone: `netbit chat | head`.
        Err(Stop::Screen(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(ExitCode::FAILURE),
        Err(Stop::Screen(error)) => Err(error).context("the terminal cannot be written"),
    }
}

/// An error of the server as one of ours. Its words are a stranger's.
fn failed(what: &str, error: RestError) -> anyhow::Error {
    let reason = match error {
        RestError::LoginNeeded => "the login is not valid".to_owned(),
        RestError::Failed { reason, .. } => reason,
    };
    anyhow!(render(&Line::Info(format!("{what}: {reason}")), false))
}

fn password(arguments: &ChatArguments) -> anyhow::Result<String> {
    let Some(path) = &arguments.password_file else {
        let prompt = format!("Password of {}: ", arguments.user);
        return rpassword::prompt_password(prompt)
            .context("there is no terminal to ask for the password; see --password-file");
    };
    let text =
        std::fs::read_to_string(path).with_context(|| format!("--password-file {}", path.display()))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_file_ends_with_its_first_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "correct horse \r\nrest\n").unwrap();
        let arguments = ChatArguments {
            command: None,
            server: ServerFlag::default(),
            user: "alice".into(),
            password_file: Some(file.path().into()),
        };
        assert_eq!(password(&arguments).unwrap(), "correct horse ");
    }
}
