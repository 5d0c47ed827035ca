//! A server as a child process.
//!
//! It never outlives the load test: it is stopped in order by [`Process::stop`], killed when the [`Process`] is dropped,
//! and told to end by the kernel when this process is killed.

use std::cell::Cell;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::spawn_local;

use super::usage::{Usage, reset_peak};

/// Far beyond what the server allows itself (`limits.shutdown_ms`): a server that needs longer hangs.
const STOP_WITHIN: Duration = Duration::from_secs(60);

/// Where a server listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Addresses {
    pub(crate) http: SocketAddr,
    pub(crate) tcp: SocketAddr,
    pub(crate) ops: SocketAddr,
    /// NetBit does not name it in its greeting.
    pub(crate) udp: Option<SocketAddr>,
}

/// A running child.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    pid: u32,
    pub(crate) addresses: Addresses,
    /// From its start until it stdout where it listens.
    pub(crate) ready_after: Duration,
    log_lines: Rc<Cell<usize>>,
    /// Removed with the server.
    _data: TempDir,
}

/// This program with other arguments, away from any netbit.toml.
pub(super) fn own_executable(directory: &Path) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.current_dir(directory).stdin(Stdio::null()).kill_on_drop(true);
    Ok(command)
}

pub(super) fn temporary() -> anyhow::Result<TempDir> {
    Ok(tempfile::Builder::new().prefix("netbit-loadtest-").tempdir()?)
}

/// In the child: it ends with its parent, however that ends.
pub(crate) fn exit_with_parent() {
    if let Err(error) = set_parent_process_death_signal(Some(Signal::TERM)) {
        eprintln!("loadtest: the server would outlive a killed load test: {error}");
    }
}

impl Process {
    /// Starts `command` and waits until it says where it listens.
    pub(super) async fn start(mut command: Command, data: TempDir) -> anyhow::Result<Self> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let begun = Instant::now();
        let mut child = command.spawn().context("cannot start the server")?;
        let pid = child.id().context("the server ended at once")?;
        let log_lines = Rc::new(Cell::new(0));
        if let Some(log) = child.stderr.take() {
            spawn_local(forward_log(log, log_lines.clone()));
        }
        let stdout = child.stdout.take().context("the server has no standard output")?;
        let Some(addresses) = read_addresses(stdout).await? else {
            bail!("the server ended before it was ready ({})", child.wait().await?);
        };
        Ok(Self { child, pid, addresses, ready_after: begun.elapsed(), log_lines, _data: data })
    }

    pub(crate) fn usage(&self) -> Option<Usage> {
        Usage::of(self.pid)
    }

    /// From now on the peak is a new one.
    pub(crate) fn reset_peak(&self) {
        reset_peak(self.pid);
    }

    /// Lines that the server logged so far, all of them warnings or worse.
    pub(crate) fn log_lines(&self) -> usize {
        self.log_lines.get()
    }

    /// Stops the server in order; anything but success is an error.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).context("a strange process id")?;
        // Also right when it has ended by itself: until it is waited for, its id is not given to another process.
        kill_process(pid, Signal::TERM).context("cannot signal the server")?;
        let Ok(status) = tokio::time::timeout(STOP_WITHIN, self.child.wait()).await else {
            bail!("the server did not stop within {} s of SIGTERM", STOP_WITHIN.as_secs());
        };
        let status = status?;
        ensure!(status.success(), "the server ended with {status}");
        Ok(())
    }
}

/// Reads until all listeners were named; `None` when the output ends first. What follows is read and forgotten, so that
/// the server can always write.
async fn read_addresses(stdout: impl AsyncRead + Unpin + 'static) -> anyhow::Result<Option<Addresses>> {
    let mut lines = BufReader::new(stdout).lines();
    let mut text = String::new();
    while let Some(line) = lines.next_line().await? {
        text.push_str(&line);
        text.push('\n');
        if let Some(addresses) = parse(&text) {
            spawn_local(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return Ok(Some(addresses));
        }
    }
    Ok(None)
}

/// The listeners by their URLs, whatever the sentences around them are.
fn parse(text: &str) -> Option<Addresses> {
    let mut urls = text.split("http://").skip(1).filter_map(|rest| {
        let (address, path) = split_address(rest);
        Some((address.parse().ok()?, path))
    });
    let http = urls.clone().find(|(_, path)| path.starts_with("/api/"))?.0;
    let ops = urls.find(|(_, path)| path.starts_with("/readyz"))?.0;
    let after = |scheme| text.split(scheme).skip(1).find_map(|rest| split_address(rest).0.parse().ok());
    Some(Addresses { http, tcp: after("tcp://")?, ops, udp: after("udp://") })
}

fn split_address(text: &str) -> (&str, &str) {
    let address = |c: char| c.is_ascii_hexdigit() || matches!(c, '.' | ':' | '[' | ']');
    text.split_at(text.find(|c| !address(c)).unwrap_or(text.len()))
}

async fn forward_log(log: impl AsyncRead + Unpin, count: Rc<Cell<usize>>) {
    let mut lines = BufReader::new(log).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        count.set(count.get() + 1);
        eprintln!("server: {line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greeting_names_three_listeners() {
        let http = "NetBit is ready. Register: curl --json '{}' http://127.0.0.1:41000/api/users/register\n";
        let tcp =
            "Chat sessions: tcp://127.0.0.1:41001 (netbit chat --server http://127.0.0.1:41000 --user you)\n";
        let ops = "Documentation: README.md; operations: http://127.0.0.1:41002/readyz\n";
        let found = parse(&format!("{http}{tcp}{ops}")).unwrap();
        let ports = [found.http.port(), found.tcp.port(), found.ops.port()];
        assert_eq!(ports, [41000, 41001, 41002]);
        assert_eq!(parse(&format!("{ops}noise http://\n{tcp}{http}")), Some(found), "in any order");
        assert_eq!(parse(&format!("{http}{tcp}")), None);
        let six = "http://[::1]:1/api/x tcp://[::1]:2 http://[::1]:3/readyz";
        assert!(parse(six).is_some_and(|found| found.ops.is_ipv6()));
    }
}
