//! The client that reads and writes lines.
//!
//! * [`model`]: state of the client, free of I/O.
//! * [`session`]: applies typed lines ([`actions`]) and packets of the server ([`incoming`]) to the
//!   model.
//! * [`found`]: messages that a search found; [`attaching`]: files that are sent.
//! * [`line`] and [`screen`]: output, cleaned of everything but text.

mod actions;
mod attaching;
mod directory;
mod found;
mod incoming;
mod keys;
mod line;
mod model;
#[cfg(test)]
mod model_test;
mod recent;
mod screen;
mod session;

use std::process::ExitCode;

use anyhow::{Context, anyhow};

use self::line::Line;
use self::model::Model;
use self::session::{Session, Stop};
use super::ChatArguments;
use super::account::Identity;
use super::link::open_once;
use super::text;
use crate::domain::ids::UserId;

pub(super) async fn run(arguments: &ChatArguments) -> anyhow::Result<ExitCode> {
    let identity = Identity::find(arguments).await?;
    let version = Identity::greet(&identity.server).await?;
    let mut rest = identity.log_in().await?;
    let opened = open_once(&mut rest, &identity.server.host).await;
    let opened = opened.map_err(|reason| anyhow!(text::clean_line(&reason)))?;
    let (wire, welcome) = opened.ok_or_else(|| identity.login_needed())?;
    let username = welcome.username.clone().unwrap_or_else(|| identity.user.clone());
    let mut model = Model::new(welcome.user_id.unwrap_or(UserId(0)), username);
    model.server.clone_from(&identity.server.base);

    let (mut screen, input) = screen::open();
    let base = &identity.server.base;
    let greeting =
        format!("NetBit {version} at {base}, as {}. /help lists the commands.", model.name(model.me));
    screen.show(&[Line::Info(greeting)])?;
    let host = identity.server.host.clone();
    let mut session = Session::new((screen, input), model, (wire, rest), host);
    match session.run(&welcome).await {
        Ok(true) => Ok(ExitCode::SUCCESS),
        Ok(false) => Ok(ExitCode::FAILURE),
        Err(Stop::LoginNeeded) => Err(identity.login_needed()),
        // The reader of standard output has closed it: `netbit chat | head`.
        Err(Stop::Screen(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(ExitCode::FAILURE),
        Err(Stop::Screen(error)) => Err(error).context("cannot write to the terminal"),
    }
}
