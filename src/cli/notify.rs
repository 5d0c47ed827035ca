//! `netbit notify explain`: explains why a user was or was not notified of a message.
//!
//! Reads the database, also while a server runs on it, and evaluates the same rule as the server.
//! It applies the current settings of the users, so the answer may differ from the decision at the
//! time of the message.

use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::{Args, Subcommand};

use super::DataDirFlag;
use super::output::{print_line, report_error};
use crate::core::config::Config;
use crate::core::database::Source;
use crate::domain::chat::ChatKind;
use crate::domain::ids::MessageId;
use crate::domain::mention::{Mention, Mentions};
use crate::domain::notification::{Cause, Decision, RecipientFacts, decide};
use crate::storage::queries::{accounts, blocks, chats, messages, notifications, threads};

#[derive(Args)]
pub(super) struct NotifyArguments {
    #[command(subcommand)]
    command: NotifyCommand,
}

#[derive(Subcommand)]
enum NotifyCommand {
    /// Explain why a user was or was not notified of a message.
    Explain(ExplainArguments),
}

#[derive(Args)]
struct ExplainArguments {
    /// Id of the message.
    #[arg(long, value_name = "ID")]
    message: i64,
    /// Name of the user.
    #[arg(long, value_name = "NAME")]
    user: String,
    #[command(flatten)]
    place: DataDirFlag,
}

pub(super) fn run(arguments: &NotifyArguments) -> Result<ExitCode, ExitCode> {
    let NotifyCommand::Explain(arguments) = &arguments.command;
    let lines = explain(arguments, &arguments.place.config()?).map_err(|error| report_error(&error))?;
    lines.iter().try_for_each(|line| print_line!("{line}")).map_err(|error| report_error(&error.into()))?;
    Ok(ExitCode::SUCCESS)
}

fn explain(arguments: &ExplainArguments, config: &Config) -> anyhow::Result<[String; 3]> {
    let source = Source::of(config)?;
    let is_found = source.file().is_none_or(|path| path.exists());
    ensure!(
        is_found,
        "no database in {}: check --data-dir, or set `database` (NETBIT_DATABASE)",
        config.data_dir.0.display()
    );
    let db = &mut source.open_reader().context("cannot read the database")?;
    let user = accounts::user_named(db, &arguments.user)?
        .with_context(|| format!("no user is called {}", arguments.user))?;
    let message = messages::by_ids(db, &[MessageId(arguments.message)])?
        .pop()
        .with_context(|| format!("no message has the id {}", arguments.message))?;
    let chat = chats::chat(db, message.chat_id)?.context("the chat of the message does not exist")?;
    let place = chat.name.clone().unwrap_or_else(|| "a direct chat".to_owned());
    let sender = accounts::user(db, message.sender_id)?.map_or_else(String::new, |row| row.username);

    let mentions = Mentions::of(&message.content);
    let replied_to = match message.reply_to {
        Some(id) => messages::by_ids(db, &[id])?.pop().map(|answered| answered.sender_id),
        None => None,
    };
    let follows = match message.thread_id {
        Some(thread) => threads::follows(db, thread, user.id)?,
        None => None,
    };
    // A user who muted the thread is not notified of direct replies in it either.
    let replied_to = replied_to.filter(|_| follows != Some(false));
    let participant = chats::participant(db, chat.id, user.id)?;
    let is_meant = |mention: &Mention| mention.candidates().any(|name| name == user.username);
    let named = mentions.all || mentions.names.iter().any(is_meant);
    let facts = RecipientFacts {
        may_read: participant.is_some(),
        active: user.deactivated_at.is_none(),
        blocks_actor: blocks::exists(db, user.id, message.sender_id)?,
        follows_thread: follows == Some(true),
        level: participant.map(|participant| participant.notify).unwrap_or_default(),
        ..RecipientFacts::towards_message(user.id, message.sender_id, named, replied_to)
    };
    let rule = match decide(Cause::Message { direct: chat.kind == ChatKind::Direct }, facts) {
        Decision::Notify(kind, why) => format!("current rule: notify ({}), because {why}", kind.as_str()),
        Decision::Silent(why) => format!("current rule: do not notify, because {why}"),
    };
    let made = match notifications::of_message(db, user.id, message.id)? {
        Some(made) => {
            let read = made.read_at.map_or_else(|| "unread".to_owned(), |at| format!("read {at}"));
            format!("stored: a notification ({}), {}, {read}", made.kind.as_str(), made.created_at)
        }
        None => "stored: nothing (never created, not written yet, or removed to make room for newer notifications)".to_owned(),
    };
    let deleted =
        if message.deleted { ", deleted since: its text and its mentions are no longer stored" } else { "" };
    Ok([
        format!("message {} from {sender} in {place}, to {}{deleted}", message.id, user.username),
        made,
        rule,
    ])
}
