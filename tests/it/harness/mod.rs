//! A separate server for every test: its own directory, its own ports, no shared state.
//!
//! A test ends with [`TestServer::stop`], which fails if an actor panicked or the cache and the
//! database disagree. A [`TestServer`] that is dropped without it fails the test.

pub(crate) mod attack;
pub(crate) mod browser;
pub(crate) mod bucket;
pub(crate) mod database;
pub(crate) mod files;
pub(crate) mod git;
pub(crate) mod lfs;
pub(crate) mod memory;
pub(crate) mod pictures;
pub(crate) mod postgres;
mod process;
pub(crate) mod rust_text;
pub(crate) mod s3;
pub(crate) mod udp;

use std::net::SocketAddr;
use std::time::Duration;

use netbit::app::{RunningApp, StartError, StopReport};
use netbit::client::{HttpAnswer, HttpClient, TcpClient};
use netbit::core::config::{Config, DataDirPath, Listen};
use netbit::core::data_dir::DataDirError;
use netbit::core::limits::Limits;
use netbit::domain::ids::{ChatId, UserId};
use netbit::protocol::answer::ReceivedPacket;
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) use process::{Process, command};

pub(crate) const PASSWORD: &str = "correct horse";
/// The longest wait in a test: a lost answer fails the test instead of hanging it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The pause between two attempts of [`eventually`].
const POLL_EVERY: Duration = Duration::from_millis(5);

/// A server in the test's process, on its own data directory.
pub(crate) struct TestServer {
    pub(crate) app: RunningApp,
    pub(crate) http: HttpClient,
    directory: TempDir,
    check: CheckAtTheEnd,
}

/// Fails the test when its server is dropped without the checks of [`TestServer::stop`].
///
/// This is a separate field, so that [`TestServer`] can be destructured.
struct CheckAtTheEnd {
    made: bool,
}

impl Drop for CheckAtTheEnd {
    fn drop(&mut self) {
        assert!(
            self.made || std::thread::panicking(),
            "the test ended without `stop()`: panics of actors and the cache were not checked"
        );
    }
}

/// A registered, logged-in user.
pub(crate) struct Person {
    pub(crate) id: UserId,
    pub(crate) name: String,
    pub(crate) http: HttpClient,
    pub(crate) refresh_token: String,
    tcp: SocketAddr,
}

/// Returns the configuration of a test: free ports, few threads, and the database of the directory.
pub(crate) fn config(directory: &std::path::Path, limits: Limits) -> Config {
    let mut config = Config { data_dir: DataDirPath(directory.to_owned()), ..Config::default() };
    let free = Listen::from(SocketAddr::from(([127, 0, 0, 1], 0)));
    (config.http.listen, config.tcp.listen) = (free.clone(), free.clone());
    (config.ops.listen, config.udp.listen) = (free.clone(), free);
    // The children of a server within a test must not be tests.
    config.program = Some(env!("CARGO_BIN_EXE_netbit").into());
    config.limits = Limits { session_threads: 2, http_workers: 1, ..limits };
    postgres::configure(&mut config);
    s3::configure(&mut config);
    config
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        Self::with(|_| ()).await
    }

    /// Starts a server with changed limits.
    pub(crate) async fn with_limits(change: impl FnOnce(&mut Limits)) -> Self {
        Self::with(|config| change(&mut config.limits)).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut config = config(directory.path(), Limits::default());
        change(&mut config);
        Self::run(config, directory).await
    }

    /// Stops the server and keeps the directory.
    pub(crate) async fn stop_and_keep(mut self) -> TempDir {
        let directory = std::mem::replace(&mut self.directory, tempfile::tempdir().unwrap());
        self.stop().await;
        directory
    }

    /// Starts a server on an existing data directory.
    pub(crate) async fn on(directory: TempDir) -> Self {
        let config = config(directory.path(), Limits::default());
        Self::run(config, directory).await
    }

    /// Starts a server with this configuration; the directory lives as long as the server.
    pub(crate) async fn run(config: Config, directory: TempDir) -> Self {
        let begun = std::time::Instant::now();
        let app = loop {
            match RunningApp::start(config.clone()).await {
                // An aborted stop on a busy machine may still hold the directory.
                Err(StartError::DataDir(DataDirError::InUse(_))) if begun.elapsed() < PATIENCE => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                started => break started.unwrap(),
            }
        };
        let http = HttpClient::new(format!("http://{}", app.addresses.http)).unwrap();
        Self { app, http, directory, check: CheckAtTheEnd { made: false } }
    }

    /// Stops the server and starts it again on the same directory.
    pub(crate) async fn restart(mut self, change: impl FnOnce(&mut Config)) -> Self {
        let directory = std::mem::replace(&mut self.directory, tempfile::tempdir().unwrap());
        self.stop().await;
        let mut config = config(directory.path(), Limits::default());
        change(&mut config);
        Self::run(config, directory).await
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        self.directory.path()
    }

    /// Registers the administrator with the server's setup code and logs in.
    pub(crate) async fn admin(&self, name: &str) -> Person {
        let code = self.setup_code();
        let body = json!({"username": name, "password": PASSWORD, "setup_code": code});
        let made = self.http.post("/api/users/register", &body).await.unwrap();
        assert_eq!(made.status, 201, "{}", made.body);
        self.login(name).await
    }

    /// Returns the code that the server prints at startup while it has no administrator.
    pub(crate) fn setup_code(&self) -> String {
        self.app.services.setup_code().expect("the server had an administrator at startup").text().to_owned()
    }

    /// Registers a user and logs in.
    pub(crate) async fn user(&self, name: &str) -> Person {
        self.http.register(name, PASSWORD).await.unwrap();
        self.login(name).await
    }

    /// Logs in again: another login session of the same user.
    pub(crate) async fn login(&self, name: &str) -> Person {
        let account = self.http.login(name, PASSWORD).await.unwrap();
        Person {
            id: account.user.id,
            name: name.to_owned(),
            http: self.http.with_token(account.token),
            refresh_token: account.refresh_token,
            tcp: self.app.addresses.tcp,
        }
    }

    pub(crate) async fn operations(&self, path: &str) -> (u16, String) {
        let url = format!("http://{}{path}", self.app.addresses.ops);
        let response = reqwest::get(url).await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// Stops gracefully; fails on a panic, or when the cache and the database disagree.
    pub(crate) async fn stop(self) -> StopReport {
        let actors = self.app.actors.clone();
        let stopped = self.stop_after_panics().await;
        for stats in &actors {
            assert_eq!(stats.panics(), 0, "an actor panicked: {:?}", stats.snapshot());
        }
        stopped
    }

    /// Like [`TestServer::stop`], for tests that make actors panic.
    pub(crate) async fn stop_after_panics(self) -> StopReport {
        let Self { app, directory, mut check, .. } = self;
        check.made = true;
        let stopped = app.shutdown().await;
        assert_eq!(stopped.differences, 0, "the cache and the database disagree");
        drop(directory);
        stopped
    }

    /// Drops the server without checks, after a failure that would end a real server process.
    pub(crate) fn abandon(mut self) {
        self.check.made = true;
    }
}

impl Person {
    /// Opens a TCP session and reads its Welcome.
    pub(crate) async fn tcp(&self) -> TcpClient {
        self.tcp_welcomed().await.0
    }

    pub(crate) async fn tcp_welcomed(&self) -> (TcpClient, ReceivedPacket) {
        soon(TcpClient::open(self.tcp, self.http.token().unwrap())).await.unwrap()
    }

    /// Creates a group with the others in it.
    pub(crate) async fn group(&self, others: &[&Person]) -> ChatId {
        let names: Vec<_> = others.iter().map(|person| person.name.as_str()).collect();
        self.http.create_group("team", &names).await.unwrap()
    }

    /// Creates an access token; returns its id and a client that uses it.
    pub(crate) async fn access_token(&self, body: Value) -> (i64, HttpClient) {
        let made = self.post("/api/users/me/tokens", body).await;
        assert_eq!(made.status, 201, "{}", made.body);
        (made.body["id"].as_i64().unwrap(), self.http.with_token(made.body["token"].as_str().unwrap()))
    }

    pub(crate) async fn get(&self, path: &str) -> HttpAnswer {
        self.http.get(path).await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> HttpAnswer {
        self.http.post(path, &body).await.unwrap()
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> HttpAnswer {
        self.http.send(reqwest::Method::PATCH, path, Some(&body), &[]).await.unwrap()
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> HttpAnswer {
        self.http.send(reqwest::Method::PUT, path, Some(&body), &[]).await.unwrap()
    }

    pub(crate) async fn delete(&self, path: &str) -> HttpAnswer {
        self.http.send(reqwest::Method::DELETE, path, None, &[]).await.unwrap()
    }

    /// Posts a message over REST.
    pub(crate) async fn say(&self, chat: ChatId, content: &str) -> HttpAnswer {
        self.post(&format!("/api/chats/{chat}/messages"), json!({"content": content})).await
    }

    /// Returns the contents of the newest messages.
    pub(crate) async fn contents(&self, chat: ChatId) -> Vec<String> {
        let (messages, _) = self.http.messages(chat, "?limit=100").await.unwrap();
        messages.into_iter().map(|message| message.content).collect()
    }
}

/// Runs the `netbit` command on another thread, so that the test's server keeps running.
pub(crate) async fn netbit_beside(arguments: &[&str]) -> std::process::Output {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_netbit"));
    command.args(arguments).envs(postgres::environment_of(arguments));
    command.envs(s3::environment_of(arguments));
    soon(tokio::task::spawn_blocking(move || command.output())).await.unwrap().unwrap()
}

/// Awaits `work`; fails after [`PATIENCE`].
pub(crate) async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("timed out")
}

/// Calls `attempt` until it returns a value, and returns that value; fails after [`PATIENCE`].
#[track_caller]
pub(crate) fn eventually<T>(mut attempt: impl AsyncFnMut() -> Option<T>) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        let attempts = async {
            loop {
                if let Some(value) = attempt().await {
                    return value;
                }
                tokio::time::sleep(POLL_EVERY).await;
            }
        };
        let value = tokio::time::timeout(PATIENCE, attempts).await;
        value.unwrap_or_else(|_| panic!("{caller}: not done within {PATIENCE:?}"))
    }
}

/// Waits until `condition` is true; fails after [`PATIENCE`].
#[track_caller]
pub(crate) fn until(mut condition: impl AsyncFnMut() -> bool) -> impl Future<Output = ()> {
    eventually(async move || condition().await.then_some(()))
}

/// Asserts the status and the code of a problem response.
#[track_caller]
pub(crate) fn assert_problem(answer: &HttpAnswer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.code()), (status, code), "{}", answer.body);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert!(answer.body["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
}
