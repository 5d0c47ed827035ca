//! A server of Redis or NATS of its own for a test.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::nodes::skip;
use crate::harness::until;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Redis,
    Nats,
}

/// A running server, killed when it is dropped.
pub(super) struct BusServer {
    kind: Kind,
    port: u16,
    directory: TempDir,
    child: Child,
}

impl BusServer {
    /// Starts a server on a free port; `None` if the program is not installed.
    pub(super) async fn start(kind: Kind) -> Option<Self> {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let directory = tempfile::tempdir().unwrap();
        let Some(child) = spawn(kind, free, &directory) else {
            skip(&format!("{} is not installed", program(kind)));
            return None;
        };
        let server = Self { kind, port: free, directory, child };
        server.until_ready().await;
        Some(server)
    }

    pub(super) fn url(&self) -> String {
        match self.kind {
            Kind::Redis => format!("redis://127.0.0.1:{}", self.port),
            Kind::Nats => format!("nats://127.0.0.1:{}", self.port),
        }
    }

    async fn until_ready(&self) {
        until(async || TcpStream::connect(("127.0.0.1", self.port)).is_ok()).await;
    }

    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts the server again on its port.
    pub(super) async fn restart(&mut self) {
        self.child = spawn(self.kind, self.port, &self.directory).unwrap();
        self.until_ready().await;
    }

    /// Stops the process without ending it, or continues it.
    pub(super) fn freeze(&self, is_frozen: bool) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, if is_frozen { Signal::STOP } else { Signal::CONT }).unwrap();
    }
}

impl Drop for BusServer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn program(kind: Kind) -> &'static str {
    match kind {
        Kind::Redis => "redis-server",
        Kind::Nats => "nats-server",
    }
}

fn spawn(kind: Kind, port: u16, directory: &TempDir) -> Option<Child> {
    let mut command = Command::new(program(kind));
    let port = port.to_string();
    match kind {
        Kind::Redis => command.args(["--port", &port, "--bind", "127.0.0.1", "--save", ""]),
        Kind::Nats => command.args(["--port", &port, "--addr", "127.0.0.1"]),
    };
    command.current_dir(directory).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()
}
