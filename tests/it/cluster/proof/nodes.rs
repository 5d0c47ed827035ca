//! The nodes of a trial: processes that a test kills, stops, freezes and starts again.

use std::path::PathBuf;
use std::process::Command;

use rustix::process::{Signal, kill_process};

use super::network::Network;
use crate::harness::{Process, command};

/// Lines of its log that a node prints when the test fails.
const LOG_LINES_SHOWN: usize = 80;

pub(super) struct Node {
    pub(super) number: usize,
    place: tempfile::TempDir,
    /// `None` while the node is down.
    process: Option<Process>,
    /// The processes that served so far.
    starts: u32,
}

impl Node {
    pub(super) fn new(number: usize) -> Self {
        Self { number, place: tempfile::tempdir().unwrap(), process: None, starts: 0 }
    }

    pub(super) fn process(&self) -> &Process {
        self.process.as_ref().expect("the node runs")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.place.path().join("log")
    }

    /// Starts the node. Clients of the other nodes go on meanwhile.
    ///
    /// # Errors
    ///
    /// Returns the exit status when the node ended before it was ready.
    pub(super) async fn start(
        &mut self,
        network: &Network,
        database: &str,
        fail_points: &str,
    ) -> Result<(), std::process::ExitStatus> {
        assert!(self.process.is_none());
        let command = self.command(network, database, fail_points);
        let runtime = tokio::runtime::Handle::current();
        let started = tokio::task::spawn_blocking(move || runtime.block_on(Process::spawn(command)));
        self.process = Some(started.await.unwrap()?);
        self.starts += 1;
        Ok(())
    }

    fn command(&self, network: &Network, database: &str, fail_points: &str) -> Command {
        let plain = command(self.place.path());
        let mut words = network.wrapper(self.number);
        let tested = plain.get_program().to_str().unwrap().to_owned();
        words.push(std::env::var("NETBIT_PROOF_BINARY").unwrap_or(tested));
        let listen = format!("{}:0", network.node_address(self.number));
        words.extend(plain.get_args().map(|word| match word.to_str().unwrap() {
            "127.0.0.1:0" => listen.clone(),
            other => other.to_owned(),
        }));
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir(self.place.path());
        for (name, value) in plain.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log()).unwrap();
        command.stderr(log);
        command
            .env("FAILPOINTS", fail_points)
            .env("NETBIT_DATABASE", database)
            .env("NETBIT_CLUSTER__ENABLED", "true")
            .env("NETBIT_CLUSTER__NAME", format!("node{}", self.number))
            .env("NETBIT_LIMITS__READ_ONLY_PROBE_MS", "50")
            // Longer than any trial.
            .env("NETBIT_LIMITS__ACCESS_TOKEN_SECONDS", "86400")
            // A client that was away gets everything in events.
            .env("NETBIT_LIMITS__REPLAY_EVENTS", "100000000");
        command
    }

    pub(super) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Stops the node gracefully; fails if it reports an error.
    pub(super) async fn stop(&mut self) {
        let mut process = self.process.take().expect("the node runs");
        process.terminate();
        assert_eq!(process.end().await, Some(0), "node {} stopped with an error", self.number);
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill_process(self.process().pid(), signal).unwrap();
    }

    /// Returns whether the node runs.
    pub(super) fn runs(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| !process.has_ended())
    }

    /// Takes the exit code of a node that has ended by itself; `None` inside: by a signal.
    pub(super) async fn take_ended(&mut self) -> Option<Option<i32>> {
        if self.process.is_none() || self.runs() {
            return None;
        }
        let mut process = self.process.take()?;
        Some(process.end().await)
    }
}

impl Drop for Node {
    #[expect(clippy::print_stdout, reason = "the log of a node explains a failure")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.log()).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            let shown = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
            println!("log of node {} ({} starts):\n{}\n", self.number, self.starts, shown.join("\n"));
            // A frozen process would end only after it continues; SIGKILL ends it as well.
            if let Some(process) = &mut self.process {
                process.kill();
            }
        }
    }
}
