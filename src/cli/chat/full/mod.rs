//! The full screen of `netbit chat`.
//!
//! Events of the terminal ([`input`], [`decoder`]), packets ([`receive`]) and answers ([`answers`])
//! change the [`model`], which is free of I/O. [`view`] draws it. [`app`] carries out its orders
//! over the session and over REST ([`desk`]).
//!
//! * [`store`], [`history`], [`names`] and [`inbox`]: what the server reported.
//! * [`sending`], [`draft`] and [`kept`]: the user's own messages until they are committed, also on
//!   disk.
//! * [`press`], [`actions`], [`navigate`], [`editor`] and [`complete`]: what the user does.

mod actions;
mod answers;
mod app;
mod complete;
mod decoder;
mod desk;
mod draft;
mod editor;
mod history;
#[cfg(test)]
mod history_test;
mod inbox;
mod input;
mod kept;
mod model;
#[cfg(test)]
mod model_test;
mod names;
mod navigate;
mod press;
mod receive;
mod selection;
mod sending;
mod store;
#[cfg(test)]
mod store_test;
#[cfg(test)]
mod support_test;
mod terminal;
mod view;

use std::process::ExitCode;

use anyhow::{Context, bail};
use ratatui::crossterm::event::Event;
use tokio::sync::mpsc;

use self::app::{App, End};
use self::desk::Desk;
use self::kept::KeptFile;
use self::model::Model;
use self::terminal::Terminal;
use super::ChatArguments;
use super::account::Identity;
use super::config::Config;
use super::rest::Rest;
use crate::cli::output::warn;
use crate::core::plural::plural;

pub(super) async fn run(arguments: &ChatArguments) -> anyhow::Result<ExitCode> {
    let (config, warnings) = Config::load(arguments.config.as_deref())?;
    warnings.iter().for_each(|warning| warn(format_args!("{warning}")));
    let identity = Identity::find(arguments).await?;
    let (file, kept) = KeptFile::open(&identity.server.base, &identity.user)?.unzip();
    let terminal = Terminal::open(config.mouse).context("cannot use the terminal: try --plain")?;
    let mut events = input::start();
    // Keys that are typed during the login.
    let mut early = Vec::new();
    let rest = tokio::select! {
        rest = identity.log_in() => rest?,
        () = interrupted(&mut events, &mut early) => bail!("interrupted"),
    };
    let ended = converse(&identity, config, kept.unwrap_or_default(), (terminal, events, early), rest, file);
    let (ended, unsent) = ended.await;
    if unsent > 0 {
        let count = plural(unsent, "message is", "messages are");
        warn(format_args!("{count} not sent yet, and will be sent at the next start"));
    }
    for warning in warnings {
        warn(format_args!("{warning}"));
    }
    match ended? {
        End::Quit => Ok(ExitCode::SUCCESS),
        End::LoginNeeded => Err(identity.login_needed()),
    }
}

/// Runs the screen and returns how it ended, and the number of messages that are not sent. The
/// terminal is restored on return.
async fn converse(
    identity: &Identity,
    config: Config,
    kept: kept::Kept,
    (terminal, events, early): (Terminal, mpsc::Receiver<Event>, Vec<Event>),
    rest: Rest,
    file: Option<KeptFile>,
) -> (anyhow::Result<End>, usize) {
    let mut model = Model::new(config, identity.server.base.clone(), identity.user.clone(), kept);
    early.into_iter().for_each(|event| model.input(event));
    let desk = Desk::new(rest, identity.server.host.clone());
    match App::new(model, terminal, events, desk, file) {
        Ok(mut app) => {
            let ended = app.run().await;
            (ended, app.unsent())
        }
        Err(error) => (Err(error), 0),
    }
}

/// Collects events until the user interrupts.
async fn interrupted(events: &mut mpsc::Receiver<Event>, early: &mut Vec<Event>) {
    while let Some(event) = events.recv().await {
        if press::is_interrupt(&event) {
            return;
        }
        if early.len() < model::AHEAD_MAX {
            early.push(event);
        }
    }
}
