//! A PostgreSQL server of one test, which may crash it. Other tests share the common server.

use std::io::Write;
use std::process::{Child, Command, Stdio};

use crate::harness::postgres::psql;
use crate::harness::until;

pub(crate) const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/check/postgres.sh");

/// A running server with fsync on. It ends, and its directory is deleted, when this is dropped.
pub(super) struct PrivateServer {
    directory: tempfile::TempDir,
    pub(super) url: String,
}

impl PrivateServer {
    pub(super) async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = script(&["start", "--fsync"], &directory).await;
        Self { directory, url }
    }

    /// Starts a streaming standby of this server.
    pub(super) async fn standby(&self) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let folder = |directory: &tempfile::TempDir| directory.path().to_str().unwrap().to_owned();
        let url = run_script(vec!["standby".to_owned(), folder(&self.directory), folder(&directory)]).await;
        Self { directory, url }
    }

    /// Ends the server without a checkpoint.
    pub(super) async fn crash(&self) {
        script(&["crash"], &self.directory).await;
    }

    /// Starts the server after a crash, on the same address.
    pub(super) async fn start_again(&self) {
        assert_eq!(script(&["start", "--fsync"], &self.directory).await, self.url);
    }

    /// Returns the environment variable that sets the database of a server.
    pub(super) fn environment(&self) -> (&'static str, &str) {
        ("NETBIT_DATABASE", &self.url)
    }
}

impl Drop for PrivateServer {
    fn drop(&mut self) {
        let mut command = Command::new(SCRIPT);
        drop(command.arg("stop").arg(self.directory.path()).stdout(Stdio::null()).status());
    }
}

async fn script(arguments: &[&str], directory: &tempfile::TempDir) -> String {
    let directory = directory.path().to_str().unwrap();
    run_script(arguments.iter().chain([&directory]).map(|text| (*text).to_owned()).collect()).await
}

/// Runs the script on another thread, so that the clients of the test go on. Returns its output.
pub(crate) async fn run_script(arguments: Vec<String>) -> String {
    let mut command = Command::new(SCRIPT);
    command.args(&arguments).stderr(Stdio::inherit());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{SCRIPT} {arguments:?}: {}", output.status);
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Returns the printed result of a statement, without the line end.
pub(crate) fn query(url: &str, statement: &str) -> String {
    psql(url, &[statement.to_owned()]).unwrap().trim().to_owned()
}

/// Ends all connections that servers have to the database. Returns their number.
pub(crate) fn terminate_connections(url: &str) -> u64 {
    let statement = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                     WHERE application_name = 'netbit' AND datname = current_database()";
    query(url, statement).parse().unwrap()
}

/// Locks a table until it is dropped.
pub(crate) struct Locked(Child);

impl Locked {
    pub(crate) async fn new(database: &str, table: &str) -> Self {
        let mut command = Command::new("psql");
        command.args(["-X", "-q", "-d", database]).stdin(Stdio::piped());
        let mut holder = command.spawn().unwrap();
        let lock = format!("BEGIN; LOCK TABLE {table};\n");
        holder.stdin.as_mut().unwrap().write_all(lock.as_bytes()).unwrap();
        let held = format!(
            "SELECT count(*) FROM pg_locks WHERE relation = '{table}'::regclass AND granted \
             AND mode = 'AccessExclusiveLock'"
        );
        until(async || query(database, &held) == "1").await;
        Self(holder)
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}
