//! The full screen of `netbit chat`.
//!
//! Events of the terminal ([`input`], [`decoder`], [`sequences`]), packets ([`receive`],
//! [`session`]) and answers ([`answers`]) change the [`model`], which is free of I/O. [`view`]
//! draws it. [`app`] carries out its orders over the session and over REST ([`desk`]).
//!
//! * [`store`], [`history`], [`names`], [`inbox`] and [`found`]: what the server reported.
//! * [`sending`], [`draft`] and [`kept`]: the user's own messages until they are committed, also on
//!   disk.
//! * [`ahead`], [`press`], [`actions`], [`navigate`], [`search`], [`switch`], [`quick`],
//!   [`editor`], [`recall`], [`copying`], [`complete`] and [`attaching`]: what the user does.

mod actions;
mod ahead;
mod answers;
mod app;
mod attaching;
#[cfg(test)]
mod attaching_test;
mod complete;
mod copying;
mod decoder;
mod desk;
mod draft;
#[cfg(test)]
mod draft_test;
mod editor;
mod failed;
mod found;
#[cfg(test)]
mod found_test;
#[cfg(test)]
mod habits_test;
mod history;
#[cfg(test)]
mod history_test;
mod inbox;
mod input;
mod kept;
mod measure;
mod model;
#[cfg(test)]
mod model_test;
mod names;
mod navigate;
mod press;
mod quick;
mod recall;
mod receive;
mod retry;
mod search;
mod selection;
mod sending;
mod sequences;
mod session;
#[cfg(test)]
mod session_test;
mod signals;
mod store;
#[cfg(test)]
mod store_test;
#[cfg(test)]
mod support_test;
mod switch;
mod terminal;
mod thread;
mod view;

use std::process::ExitCode;

use anyhow::{Context, bail};
use ratatui::crossterm::event::Event;
use tokio::sync::mpsc;

use self::app::{App, End};
use self::desk::Desk;
use self::kept::KeptFile;
use self::model::Model;
use self::signals::Signals;
use self::terminal::Terminal;
use super::ChatArguments;
use super::account::Identity;
use super::config::Config;
use crate::cli::output::warn;

pub(super) async fn run(arguments: &ChatArguments) -> anyhow::Result<ExitCode> {
    let (config, mut warnings) = Config::load(arguments.config.as_deref())?;
    warnings.iter().for_each(|warning| warn(format_args!("{warning}")));
    let identity = Identity::find(arguments).await?;
    let opened = KeptFile::open(&identity.server.base, &identity.user)?;
    opened.warnings.iter().for_each(|warning| warn(format_args!("{warning}")));
    warnings.extend(opened.warnings.iter().cloned());
    // From here on, signals end the client by a return, which restores the terminal.
    let mut signals = Signals::new().context("cannot handle signals")?;
    let terminal = Terminal::open(config.mouse).context("cannot use the terminal: try --plain")?;
    let mut events = input::start();
    // Keys that are typed during the login.
    let mut early = Vec::new();
    let rest = tokio::select! {
        rest = identity.log_in() => rest?,
        () = interrupted(&mut events, &mut early) => bail!("interrupted"),
        () = signals.end() => bail!("interrupted by a signal"),
    };
    let mut model = Model::new(config, identity.server.base.clone(), identity.user.clone(), opened.kept);
    for (event, is_text) in ahead::bursts(early) {
        if is_text { model.input_text(event) } else { model.input(event) }
    }
    // Until the first key.
    model.report.clone_from(&warnings);
    let desk = Desk::new(rest, identity.server.host.clone());
    let mut app = App::new(model, terminal, (events, signals), desk, opened.file);
    let ended = app.run().await;
    let remains = app.remains();
    // Restores the terminal.
    drop(app);
    for warning in warnings.iter().chain(&remains) {
        warn(format_args!("{warning}"));
    }
    match ended? {
        End::Quit => Ok(ExitCode::SUCCESS),
        End::LoginNeeded => Err(identity.login_needed()),
    }
}

/// Collects events until the user interrupts.
async fn interrupted(events: &mut mpsc::Receiver<Vec<Event>>, early: &mut Vec<Event>) {
    while let Some(events) = events.recv().await {
        if events.iter().any(ahead::is_interrupt) {
            return;
        }
        if early.len() < model::AHEAD_MAX {
            early.extend(events);
        }
    }
}
