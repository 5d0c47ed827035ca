//! `netbit chat export` and `netbit chat retention`: operator commands for any chat.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use crate::cli::DataDirFlag;
use crate::cli::control::{Data, with_server};
use crate::cli::output::{print_line, warn};
use crate::core::plural::plural;
use crate::core::private_file;

#[derive(Args)]
pub(super) struct ExportArguments {
    /// Id of the chat.
    chat: i64,
    /// Write to this file, which must not exist, instead of standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    place: DataDirFlag,
}

#[derive(Args)]
pub(super) struct RetentionArguments {
    /// Id of the chat.
    chat: i64,
    /// Number of newest messages that the chat keeps, or `all`. Older messages are deleted
    /// permanently.
    keep: String,
    #[command(flatten)]
    place: DataDirFlag,
}

pub(super) fn run(arguments: &ExportArguments) -> Result<ExitCode, ExitCode> {
    with_server(&arguments.place, Data::Exists, async |control| {
        let mut out: Box<dyn Write> = match &arguments.out {
            Some(path) => Box::new(io::BufWriter::new(
                private_file::create_new(path).with_context(|| path.display().to_string())?,
            )),
            None => Box::new(io::BufWriter::new(io::stdout())),
        };
        let mut names = std::collections::HashMap::new();
        let learn = |user: &Value| {
            names.insert(
                user.get("id").cloned().unwrap_or_default().to_string(),
                user.get("username").cloned(),
            );
            Ok(())
        };
        control.each("/users", "id", learn).await?;
        let mut count = 0;
        let write = |event: &Value| {
            let mut event = event.clone();
            let actor = event.get("actor_id").map(Value::to_string).unwrap_or_default();
            if let (Some(Some(name)), Some(event)) = (names.get(&actor), event.as_object_mut()) {
                event.insert("actor".to_owned(), name.clone());
            }
            count += 1;
            Ok(writeln!(out, "{event}")?)
        };
        control.each(&format!("/chats/{}/events", arguments.chat), "seq", write).await?;
        out.flush()?;
        warn(format_args!("{count} events"));
        Ok(())
    })
}

pub(super) fn set_retention(arguments: &RetentionArguments) -> Result<ExitCode, ExitCode> {
    with_server(&arguments.place, Data::Exists, async |control| {
        let keep = match arguments.keep.as_str() {
            "all" => None,
            number => Some(number.parse::<i64>().context("KEEP must be a number of messages or `all`")?),
        };
        let path = format!("/chats/{}/retention", arguments.chat);
        control.ask(Method::PUT, &path, Some(&json!({"keep": keep}))).await?;
        match keep {
            Some(keep) => print_line!("the chat keeps its newest {}", plural(keep, "message", "messages"))?,
            None => print_line!("the chat keeps all its messages")?,
        }
        Ok(())
    })
}
