//! `netbit token`: personal access tokens of users, for programs.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::DataDirFlag;
use super::control::{Data, with_server};
use super::output::print_line;
use super::user::path;
use crate::core::plural::plural;

#[derive(Args)]
pub(super) struct TokenArguments {
    #[command(subcommand)]
    command: TokenCommand,
    #[command(flatten)]
    place: DataDirFlag,
}

#[derive(Subcommand)]
enum TokenCommand {
    /// Create a token for a user and print it; it is shown only once.
    Create {
        /// Name of the user.
        username: String,
        /// Name of the token: what it is used for.
        #[arg(long)]
        name: String,
        /// Scope: repo:read, repo:write, chat:read, chat:write, admin or server:admin; may be
        /// repeated.
        #[arg(long = "scope", required = true)]
        scopes: Vec<String>,
        /// Repository that the token can reach, as owner/project/repository; may be repeated. By
        /// default every repository of the user.
        #[arg(long = "repository")]
        repositories: Vec<String>,
        /// Days until the token expires: 1 to 3650, or 0 for never; by default 90.
        #[arg(long, value_name = "DAYS")]
        expires_in_days: Option<i64>,
    },
    /// List the tokens of a user with their last use, without the secrets, as JSON lines.
    List {
        /// Name of the user.
        username: String,
    },
    /// Revoke one token of a user, or all of them.
    #[command(group(clap::ArgGroup::new("which").required(true).args(["id", "all"])))]
    Revoke {
        /// Name of the user.
        username: String,
        /// Id of the token, as `list` prints it.
        id: Option<i64>,
        /// Revoke every token of the user.
        #[arg(long)]
        all: bool,
    },
}

pub(super) fn run(arguments: &TokenArguments) -> Result<ExitCode, ExitCode> {
    with_server(&arguments.place, Data::Exists, async |control| match &arguments.command {
        TokenCommand::Create { username, name, scopes, repositories, expires_in_days } => {
            let chosen = (!repositories.is_empty()).then_some(repositories);
            let body = json!({"name": name, "scopes": scopes, "repositories": chosen, "expires_in_days": expires_in_days});
            let made = control.ask(Method::POST, &format!("{}/tokens", path(username)), Some(&body)).await?;
            print_line!("{}", made.get("token").and_then(Value::as_str).unwrap_or_default())?;
            Ok(())
        }
        TokenCommand::List { username } => {
            let tokens = control.items(&format!("{}/tokens", path(username))).await?;
            Ok(tokens.iter().try_for_each(|token| print_line!("{token}"))?)
        }
        TokenCommand::Revoke { username, id: Some(id), .. } => {
            control.ask(Method::DELETE, &format!("{}/tokens/{id}", path(username)), None).await?;
            print_line!("token {id} is revoked")?;
            Ok(())
        }
        TokenCommand::Revoke { username, id: None, .. } => {
            let done = control.ask(Method::DELETE, &format!("{}/tokens", path(username)), None).await?;
            let count = done.get("revoked").and_then(Value::as_u64).unwrap_or_default();
            print_line!("revoked {}", plural(count, "token", "tokens"))?;
            Ok(())
        }
    })
}
