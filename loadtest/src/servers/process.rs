//! A server as a child process.
//!
//! The child never outlives the load test. [`Process::stop`] shuts it down, dropping the
//! [`Process`] kills it, and the kernel terminates it when this process is killed.

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

/// Far longer than the shutdown timeout of the server (`limits.shutdown_ms`): a slower server
/// hangs.
const STOP_WITHIN: Duration = Duration::from_secs(60);

/// The addresses of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Addresses {
    pub(crate) http: SocketAddr,
    pub(crate) tcp: SocketAddr,
    pub(crate) ops: SocketAddr,
    /// NetBit does not print its UDP address at startup.
    pub(crate) udp: Option<SocketAddr>,
}

/// A running child process.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    pid: u32,
    pub(crate) addresses: Addresses,
    /// Time from the start until the server has printed its addresses.
    pub(crate) ready_after: Duration,
    log_lines: Rc<Cell<usize>>,
    /// Deleted with the server.
    _data: TempDir,
}

/// Returns a command that runs this program in `directory`, away from any netbit.toml.
pub(super) fn own_executable(directory: &Path) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.current_dir(directory).stdin(Stdio::null()).kill_on_drop(true);
    Ok(command)
}

pub(super) fn temporary() -> anyhow::Result<TempDir> {
    Ok(tempfile::Builder::new().prefix("netbit-loadtest-").tempdir()?)
}

/// Makes this process, a child, terminate with its parent, however the parent ends.
pub(crate) fn exit_with_parent() {
    if let Err(error) = set_parent_process_death_signal(Some(Signal::TERM)) {
        eprintln!("loadtest: cannot bind the lifetime of the server to the load test: {error}");
    }
}

impl Process {
    /// Starts `command` and waits until it has printed its addresses.
    pub(super) async fn start(mut command: Command, data: TempDir) -> anyhow::Result<Self> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let begun = Instant::now();
        let mut child = command.spawn().context("cannot start the server")?;
        let pid = child.id().context("the server exited at once")?;
        let log_lines = Rc::new(Cell::new(0));
        if let Some(log) = child.stderr.take() {
            spawn_local(forward_log(log, log_lines.clone()));
        }
        let stdout = child.stdout.take().context("the server has no standard output")?;
        let Some(addresses) = read_addresses(stdout).await? else {
            bail!("the server exited before it was ready ({})", child.wait().await?);
        };
        Ok(Self { child, pid, addresses, ready_after: begun.elapsed(), log_lines, _data: data })
    }

    pub(crate) fn usage(&self) -> Option<Usage> {
        Usage::of(self.pid)
    }

    /// Starts a new measurement of the peak memory.
    pub(crate) fn reset_peak(&self) {
        reset_peak(self.pid);
    }

    /// Returns the number of lines that the server has logged, all of them warnings or errors.
    pub(crate) fn log_lines(&self) -> usize {
        self.log_lines.get()
    }

    /// Shuts the server down.
    ///
    /// # Errors
    /// The server does not exit in time, or exits with a failure.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).context("invalid process id")?;
        // Safe after an exit, too: the process id is not reused before the child is waited for.
        kill_process(pid, Signal::TERM).context("cannot signal the server")?;
        let Ok(status) = tokio::time::timeout(STOP_WITHIN, self.child.wait()).await else {
            bail!("the server did not stop within {} s of SIGTERM", STOP_WITHIN.as_secs());
        };
        let status = status?;
        ensure!(status.success(), "the server exited with {status}");
        Ok(())
    }
}

/// Reads until all addresses were printed; returns `None` when the output ends first. Discards the
/// rest of the output in the background, so that the server can always write.
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

/// Finds the addresses by their URLs, independent of the surrounding text.
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
    fn startup_output_names_three_listeners() {
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
