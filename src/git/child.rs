//! A git command with its limits, and the child process that it starts.
//!
//! Invariant: git is started only through this module. Every child starts inside its [`Sandbox`]
//! and gets its [`Cage`] limits before it gets input. Its memory is measured while it runs.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::Stdio;

use rustix::process::Pid;
use tokio::process::{Child, Command};
use tokio::runtime::Handle;

use super::cage::Cage;
use super::memory::{self, MemoryMonitor, Watched};
use super::process::Group;
use super::sandbox::Sandbox;
use crate::core::shares::Holder;

/// A command that has not been started yet.
#[derive(Debug)]
pub struct GitCommand {
    command: Command,
    cage: Cage,
    monitor: MemoryMonitor,
    /// `None` if the operator disabled the sandbox.
    sandbox: Option<Sandbox>,
    /// The group that the memory of the child is charged to.
    memory: memory::Group,
}

/// A started child with its limits applied.
pub(super) struct Caged {
    pub(super) child: Child,
    pub(super) group: Group,
    pub(super) watched: Watched,
}

impl GitCommand {
    pub(super) fn new(program: &Path, cage: Cage, monitor: MemoryMonitor, sandbox: Option<Sandbox>) -> Self {
        Self { command: Command::new(program), cage, monitor, sandbox, memory: memory::Group::Upkeep }
    }

    /// Charges the memory of the child to `holder`; the default is the server's own work.
    pub fn on_behalf_of(mut self, holder: Holder) -> Self {
        self.memory = memory::Group::of(holder);
        self
    }

    pub(super) fn env(&mut self, name: &str, value: impl AsRef<OsStr>) -> &mut Self {
        self.command.env(name, value);
        self
    }

    pub(super) fn arg(&mut self, argument: impl AsRef<OsStr>) -> &mut Self {
        self.command.arg(argument);
        self
    }

    pub(super) fn args<S: AsRef<OsStr>>(&mut self, arguments: impl IntoIterator<Item = S>) -> &mut Self {
        self.command.args(arguments);
        self
    }

    /// Adds a setting as a command-line `-c` option: git trusts some settings only there.
    pub(super) fn set(&mut self, setting: impl AsRef<OsStr>) -> &mut Self {
        self.command.arg("-c").arg(setting);
        self
    }

    /// Returns the underlying command, for options that this type has no method for.
    pub(super) fn as_command(&mut self) -> &mut Command {
        &mut self.command
    }

    /// Starts the child with pipes for stdout and stderr.
    pub(super) fn spawn(self, input: Stdio) -> io::Result<Caged> {
        self.spawn_into(input, Stdio::piped())
    }

    /// Starts the child with stdout redirected to `output`.
    pub(super) fn spawn_into(mut self, input: Stdio, output: Stdio) -> io::Result<Caged> {
        let command = self.command.stdin(input).stdout(output).stderr(Stdio::piped());
        let mut child = match &self.sandbox {
            Some(sandbox) => {
                let runtime = Handle::current();
                sandbox.run(|| {
                    let _within = runtime.enter();
                    command.spawn()
                })?
            }
            None => command.spawn()?,
        };
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        let group = Group::of(&child);
        let Some(pid) = pid else { return Err(io::Error::other("the child has no id")) };
        if let Err(error) = self.cage.close(pid) {
            // A child that has already exited needs no limits.
            if error.raw_os_error() != Some(rustix::io::Errno::SRCH.raw_os_error()) {
                tracing::error!(%error, "cannot apply resource limits to a git child; the child is killed");
                child.start_kill()?;
                return Err(error);
            }
        }
        let watched = self.monitor.watch(pid, self.memory);
        Ok(Caged { child, group, watched })
    }
}
