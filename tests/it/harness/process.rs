//! A server in its own process, for tests that end a process.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use netbit::client::HttpClient;
use rustix::process::{Pid, Signal, kill_process};

use super::{PATIENCE, eventually, postgres, s3, soon};

/// A running `netbit` process.
///
/// A test that ends normally calls [`Process::stop`], which checks the exit status. Other tests
/// kill the process ([`Process::kill`], or a drop) on purpose and check the data directory
/// afterwards. The checks of [`super::TestServer::stop`] are not made here: actors and cache live
/// in another process, and after SIGKILL there is nothing to compare.
///
/// A process that ended by itself, without [`Process::end`] or [`Process::has_ended`] observing it,
/// fails the test when it is dropped.
pub(crate) struct Process {
    child: Child,
    /// The directory in which the process runs: most often its data directory.
    directory: PathBuf,
    /// Whether the test has observed that the process ended.
    seen_to_end: bool,
    pub(crate) http: HttpClient,
    tcp: SocketAddr,
    base: String,
    ops: String,
    /// The text that the server printed until it was ready.
    pub(crate) greeting: String,
}

/// Returns the `netbit` command on free ports; its log goes to the test's stderr.
pub(crate) fn command(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netbit"));
    for listener in ["--http-listen", "--tcp-listen", "--udp-listen", "--ops-listen"] {
        command.args([listener, "127.0.0.1:0"]);
    }
    command.arg("--data-dir").arg(directory).current_dir(directory);
    // The environment variables that configure a test must not configure the server.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("NETBIT_")) {
        command.env_remove(name);
    }
    command.env("NETBIT_LIMITS__RATES", "false").env("NETBIT_LOG__LEVEL", "warn");
    command.envs(postgres::environment(directory)).envs(s3::environment(directory));
    command
}

impl Process {
    pub(crate) async fn start(directory: &Path) -> Self {
        Self::with(directory, &[]).await
    }

    /// Starts the server with additional environment variables.
    pub(crate) async fn with(directory: &Path, environment: &[(&str, &str)]) -> Self {
        let started = Self::try_with(directory, environment).await;
        started.unwrap_or_else(|status| panic!("the server ended before it was ready: {status}"))
    }

    /// Starts the server.
    ///
    /// # Errors
    ///
    /// Returns the exit status when the server ended before it was ready.
    pub(crate) async fn try_with(
        directory: &Path,
        environment: &[(&str, &str)],
    ) -> Result<Self, std::process::ExitStatus> {
        let mut command = command(directory);
        command.envs(environment.iter().copied());
        Self::spawn(command).await
    }

    /// Starts the server with its log in a file.
    pub(crate) async fn logging(directory: &Path, environment: &[(&str, &str)], log: &Path) -> Self {
        let mut command = command(directory);
        command.envs(environment.iter().copied()).stderr(std::fs::File::create(log).unwrap());
        let started = Self::spawn(command).await;
        started.unwrap_or_else(|status| panic!("the server ended before it was ready: {status}"))
    }

    /// Starts the server from a prepared command.
    ///
    /// # Errors
    ///
    /// Returns the exit status when the server ended before it was ready.
    pub(crate) async fn spawn(mut command: Command) -> Result<Self, std::process::ExitStatus> {
        command.stdout(Stdio::piped());
        let directory = command.get_current_dir().unwrap().to_owned();
        let mut child = command.spawn().unwrap();
        // The first line has the URL for registration, the last one the URL of the operations port.
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut text = String::new();
        while !text.contains("/readyz") {
            if stdout.read_line(&mut text).unwrap() == 0 {
                return Err(child.wait().unwrap());
            }
        }
        let url = |path: &str| {
            let url = text.split_whitespace().find_map(|word| word.strip_suffix(path));
            url.unwrap_or_else(|| panic!("{path} is not in {text}")).to_owned()
        };
        let (base, ops) = (url("/api/users/register"), url("/readyz"));
        // Over TLS a test uses its own client.
        let http = HttpClient::trusting(&*base, None).unwrap();
        let sessions = text.split("Chat sessions: ").nth(1).and_then(|rest| rest.split_whitespace().next());
        let tcp = sessions.unwrap().trim_start_matches("tls://").trim_start_matches("tcp://");
        let tcp = tcp.parse().unwrap();
        Ok(Self { child, directory, seen_to_end: false, http, tcp, base, ops, greeting: text })
    }

    /// Returns a field of the process's kernel status (proc(5)).
    pub(crate) fn status(&self, key: &str) -> Option<String> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.map(|value| value.trim().to_owned())
    }

    /// Returns the HTTP address.
    pub(crate) fn address(&self) -> &str {
        self.base.strip_prefix("http://").unwrap()
    }

    pub(crate) fn tcp(&self) -> SocketAddr {
        self.tcp
    }

    /// Requests a path from the operations port; returns the status and the body.
    pub(crate) async fn operations(&self, path: &str) -> (u16, String) {
        let answer = soon(reqwest::get(format!("{}{path}", self.ops))).await.unwrap();
        (answer.status().as_u16(), soon(answer.text()).await.unwrap())
    }

    /// Sends SIGKILL and waits for the end.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.seen_to_end = true;
        self.await_lock();
    }

    /// Waits until the lock of the data directory is free. A child of the server that has not
    /// reached its `exec` has a copy of the lock's descriptor, and may outlive the server.
    fn await_lock(&self) {
        let Ok(lock) = std::fs::File::open(self.directory.join("lock")) else { return };
        let begun = std::time::Instant::now();
        while lock.try_lock().is_err() {
            assert!(begun.elapsed() < PATIENCE, "the data directory is still locked");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// Sends SIGTERM; fails when the process does not exit with status 0.
    pub(crate) async fn stop(mut self) {
        assert!(!self.has_ended(), "the server ended before it was stopped");
        self.terminate();
        assert_eq!(self.end().await, Some(0), "the server stopped with an error");
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        kill_process(self.pid(), Signal::TERM).unwrap();
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.seen_to_end |= self.child.try_wait().unwrap().is_some();
        self.seen_to_end
    }

    /// Waits until the process ends; returns the exit code, or `None` when a signal ended it.
    pub(crate) async fn end(&mut self) -> Option<i32> {
        let status = eventually(async || self.child.try_wait().unwrap()).await;
        self.seen_to_end = true;
        self.await_lock();
        status.code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let ended = if self.seen_to_end { None } else { self.child.try_wait().ok().flatten() };
        drop(self.child.kill());
        drop(self.child.wait());
        if let Some(status) = ended
            && !std::thread::panicking()
        {
            panic!("the server ended during the test: {status}");
        }
    }
}
